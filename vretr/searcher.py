"""An index that is asked: queries become vectors, are searched for, and hits are judged.

searcher = Searcher.of(index)
hits = searcher.answer(Query(image=[Path("cat.jpg")], text=["in the snow"], k=5))
"""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property
from pathlib import Path

import numpy as np

from vretr import calibration
from vretr.composers import Composer, Vectors, default_composer, load_composer
from vretr.encoders import Encoder, load_encoder
from vretr.errors import MismatchError, UsageError, VretrError
from vretr.index import Hit, Index
from vretr.judge import Judge
from vretr.query import AUTO, Query
from vretr.terms import Reader, Terms

Answer = list[Hit] | VretrError

CANCELLED = "The parts of the query cancel one another out: nothing is left to look for."


@dataclass(frozen=True)
class Searcher:
    """An index together with the encoder it was made with and a composer."""

    index: Index
    encoder: Encoder
    composer: Composer
    choice: tuple[str, ...] = ()  # composers there were, where nobody said which

    @classmethod
    def of(
        cls,
        index: Index,
        *,
        composer: str | None = None,
        picture_weight: float | None = None,
        prompt: str | None = None,
        options: Sequence[str] = (),
    ) -> "Searcher":
        """Loads the encoder of an index, and a composer by its name.

        Args:
            composer: None: the one that did best for this encoder (`default_composer`).
            picture_weight, prompt, options: see `load_composer`.

        Raises:
            MismatchError: that encoder is not here, or something else goes by its name.
            UsageError: no such composer.
        """
        if composer is None and options:
            raise UsageError("--composer-option belongs to a --composer: name it.")
        try:
            encoder = load_encoder(index.encoder)
        except UsageError as problem:
            raise MismatchError(f"The encoder of this index is not here. {problem}") from problem
        index.require(encoder)
        if composer is None:
            found, choice = default_composer(encoder, picture_weight=picture_weight, prompt=prompt)
            return cls(index, encoder, found, choice)
        asked = load_composer(
            composer, encoder, picture_weight=picture_weight, prompt=prompt, options=options
        )
        return cls(index, encoder, asked)

    def answer(self, query: Query, *, fits: bool = False) -> list[Hit]:
        """The hits, best first; see `answer_all`.

        Raises:
            UsageError: a picture is missing, or the encoder does not read words.
            VretrError: a picture cannot be read.
        """
        (found,) = self.answer_all([query], fits=fits)
        if isinstance(found, VretrError):
            raise found
        return found

    def answer_all(self, queries: Sequence[Query], *, fits: bool = False) -> list[Answer]:
        """An answer for each query in order; what is wrong with one query does not harm another.

        All words are encoded together, photos that are not in the index likewise, and queries
        that look for hits of one kind share one pass over the index.

        Args:
            fits: tell how well each hit fits, where the encoder has read the phrases that this
                takes (as `vretr index` lets it); asked with min_score auto, it reads them now.
        """
        answers: dict[int, Answer] = {}
        terms: dict[int, Terms] = {}
        for number, read in enumerate(
            Reader(self.index, self.encoder, self.composer).read(queries)
        ):
            if isinstance(read, VretrError):
                answers[number] = read
            else:
                terms[number] = read
        alike = defaultdict(list)
        composed = self._compose([*terms.values()])
        for (number, term), vector in zip(terms.items(), composed, strict=True):
            if isinstance(vector, VretrError):
                answers[number] = vector
            else:
                query = queries[number]
                alike[query.k, query.min_score, query.filter, term.itself].append((number, vector))
        for (k, min_score, glob, itself), members in alike.items():
            numbers, vectors = zip(*members, strict=True)
            judged = fits or min_score == AUTO
            found = self.index.search_batch(
                np.stack(vectors),
                max(k, calibration.NEAREST) if judged else k,
                keep=None if glob is None else self._matches(glob),
                min_score=None if min_score == AUTO else min_score,
                without=itself,
            )
            for number, hits in zip(numbers, found, strict=True):
                answers[number] = hits
                if judged:
                    answers[number] = self._judged(hits, terms[number], min_score, k)
        return [answers[number] for number in range(len(queries))]

    def _judged(
        self, hits: Sequence[Hit], terms: Terms, min_score: float | str | None, k: int
    ) -> Answer:
        try:
            return self._judge.judged(hits, terms, only_fitting=min_score == AUTO)[:k]
        except UsageError as problem:
            return problem

    @cached_property
    def _judge(self) -> Judge:
        return Judge(self.index, self.encoder, self.composer)

    def _compose(self, terms: Sequence[Terms]) -> list[Vectors | VretrError]:
        """One vector a query; a composer that refuses one of several is asked for each alone."""
        given = [term.mask for term in terms]
        try:
            vectors = self.composer.compose_batch(
                [term.references for term in terms],
                [term.texts for term in terms],
                [term.negatives for term in terms],
                weights=[term.weights for term in terms],
                **({"masks": given} if any(mask is not None for mask in given) else {}),
            )
        except UsageError as problem:
            if len(terms) == 1:
                return [problem]
            return [found for term in terms for found in self._compose([term])]
        return [vector if vector.any() else UsageError(CANCELLED) for vector in vectors]

    def _matches(self, glob: str) -> Callable[[Path], bool]:
        """Whether a file's name, or its path from the index's root, matches; `*` takes slashes."""
        fits, root = re.compile(translate(glob)).match, os.path.join(self.index.root, "")

        def keep(path: Path) -> bool:
            return bool(fits(path.name) or fits(str(path).removeprefix(root)))

        return keep
