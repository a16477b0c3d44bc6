"""A query - pictures and words, wanted and not - and its answer from an index.

searcher = Searcher.open(locate())
hits = searcher.answer(Query(image=["cat.jpg"], text=["in the snow"], k=5))
"""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import translate
from functools import cached_property
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
from numpy.typing import NDArray

from vretr import calibration, images, masks
from vretr.calibration import Scale
from vretr.composers import (
    Composer,
    Negatives,
    Vectors,
    WeightedSum,
    Weights,
    default_composer,
    load_composer,
)
from vretr.encoders import Encoder, load_encoder
from vretr.encoders.base import KeepsLengths
from vretr.errors import MismatchError, UsageError, VretrError
from vretr.images.masked import Mask, blanked
from vretr.index import Hit, Index
from vretr.paths import display

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURES_AT_ONCE = 32  # query photos that are decoded and encoded together


@dataclass(frozen=True, kw_only=True)
class Query:
    """What is asked: the options of `vretr query` by their names.

    A list of weights is as long as the list of its terms, or empty for all 1.

    Raises:
        UsageError: nothing is asked, or a value is impossible.
        TypeError: one term was given where a list of them belongs.
    """

    text: Sequence[str] = ()
    image: Sequence[Path] = ()
    not_text: Sequence[str] = ()
    not_image: Sequence[Path] = ()
    text_weight: Sequence[float] = ()
    image_weight: Sequence[float] = ()
    not_text_weight: Sequence[float] = ()
    not_image_weight: Sequence[float] = ()
    k: int = 10
    min_score: float | Literal["auto"] | None = None  # auto: only what fits; `vretr.calibration`
    mask: Path | None = None  # of the one picture: white where it is to be another
    mask_box: masks.Box | None = None  # or left, top, width, height of that part in pixels
    filter: str | None = None  # glob on the path relative to the index's root, or on the name
    include_self: bool = False  # whether the query photo and its copies may be hits

    def __post_init__(self) -> None:
        for term in TERMS:
            terms, weights = getattr(self, term), getattr(self, f"{term}_weight")
            if isinstance(terms, str | os.PathLike):
                raise TypeError(f"{term} takes a list, not {terms!r} alone")
            option = "--" + term.replace("_", "-")
            if weights and len(weights) != len(terms):
                raise UsageError(
                    f"{len(terms)} x {option} but {len(weights)} x {option}-weight: "
                    "give one weight for each, in the same order, or none."
                )
            if not all(0 < weight < float("inf") for weight in weights):
                raise UsageError(f"{option}-weight must be a positive number.")
        if not (self.text or self.image or self.not_text or self.not_image):
            raise UsageError("Nothing is asked: give --text, --image, --not-text or --not-image.")
        for words in (*self.text, *self.not_text):
            if not words.strip():
                raise UsageError("There are no words in one of the texts.")
            if any("\ud800" <= letter <= "\udfff" for letter in words):
                raise UsageError(f"The text {display(words)} is not UTF-8.")
        if self.masked:
            self._check_mask()
        if self.k < 1:
            raise UsageError(f"-k must be at least 1, not {self.k}.")
        if isinstance(self.min_score, str) and self.min_score != AUTO:
            raise UsageError(f"--min-score must be a number or auto, not {self.min_score!r}.")
        if isinstance(self.min_score, float) and isnan(self.min_score):
            raise UsageError("--min-score must be a number or auto.")

    @property
    def composed(self) -> bool:
        """Whether pictures and words come together in it."""
        return bool((self.image and self.text) or (self.not_image and self.not_text))

    @property
    def masked(self) -> bool:
        """Whether a part of the picture is to be another."""
        return self.mask is not None or self.mask_box is not None

    def _check_mask(self) -> None:
        if self.mask is not None and self.mask_box is not None:
            raise UsageError("Give --mask or --mask-box, not both.")
        if len(self.image) != 1:
            raise UsageError(
                f"A mask belongs to one picture, and there are {len(self.image)}: give one --image."
            )
        if self.mask_box is not None and not (
            len(self.mask_box) == 4 and self.mask_box[2] > 0 and self.mask_box[3] > 0
        ):
            raise UsageError(
                "--mask-box is left,top,width,height in pixels, as in 10,20,100,50, not "
                f"{','.join(map(str, self.mask_box))}."
            )

    @property
    def weights(self) -> Weights:
        """As a Composer takes them."""
        return Weights(
            references=self.image_weight,
            texts=self.text_weight,
            negative_references=self.not_image_weight,
            negative_texts=self.not_text_weight,
        )


TERMS = ("text", "image", "not_text", "not_image")
AUTO: Literal["auto"] = "auto"

Answer = list[Hit] | VretrError


@dataclass(frozen=True, slots=True)
class _Photo:
    """A query photo: its content hash and its vector."""

    digest: bytes
    vector: Vectors  # [dim]


@dataclass(frozen=True, slots=True)
class _Terms:
    """A query as a Composer takes it, and the photos in it that are no answer to it."""

    references: Vectors
    texts: Sequence[str]
    negatives: Negatives
    weights: Weights
    itself: frozenset[bytes]
    mask: Mask | None = None


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
        photos = self._see({path for query in queries for path in (*query.image, *query.not_image)})
        answers: dict[int, Answer] = {}
        terms: dict[int, _Terms] = {}
        for number, query in enumerate(queries):
            try:
                terms[number] = self._terms(query, photos)
            except VretrError as problem:
                answers[number] = problem
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
            found = self.index.search_batch(
                np.stack(vectors),
                max(k, calibration.NEAREST) if fits or min_score == AUTO else k,
                keep=None if glob is None else self._matches(glob),
                min_score=None if min_score == AUTO else min_score,
                without=itself,
            )
            answers.update(zip(numbers, found, strict=True))
            if fits or min_score == AUTO:
                for number, hits in zip(numbers, found, strict=True):
                    answers[number] = self._judged(hits, queries[number], terms[number])
        return [answers[number] for number in range(len(queries))]

    def _judged(self, hits: Sequence[Hit], query: Query, term: "_Terms") -> Answer:
        """The query's hits with their fits; of min_score auto only those that fit."""
        scale = self._scale(hits, term, read=query.min_score == AUTO) if hits else None
        if scale:
            hits = [replace(hit, fit=scale.fit(hit.score)) for hit in hits]
        if query.min_score == AUTO and hits:
            if scale is None:
                return UsageError(NO_SCALE)
            hits = [hit for hit in hits if cast(float, hit.fit) >= calibration.FITS]
        return [*hits[: query.k]]

    def _scale(self, hits: Sequence[Hit], term: "_Terms", *, read: bool) -> Scale | None:
        """What this query's scores mean; None where nothing tells.

        Words have to beat everyday phrases in their place: of a query of both, beside the same
        pictures. What only leads away has no scale.
        """
        if term.texts:
            phrases = (calibration.read_phrases if read else calibration.phrase_vectors)(
                self.encoder
            )
            if phrases is None:
                return None
            near = [self.index.vector_of(hit.digest) for hit in hits[: calibration.NEAREST]]
            photos = np.stack([vector for vector in near if vector is not None])
            beside = len(term.references) > 0
            summed = isinstance(self.composer, WeightedSum) and not beside
            few = getattr(self.composer, "reads_together", True) and not summed
            scores = self._in_their_place(phrases, term, few=few) @ photos.T
            rank = 1 if few else calibration.RANK
            if (scale := Scale.of_words(scores, beside=beside, rank=rank)) or not beside:
                return scale
        return self._scale_of_pictures if len(term.references) else None

    def _in_their_place(self, phrases: Vectors, term: "_Terms", *, few: bool) -> Vectors:
        """The query with each phrase, or each of a few, instead of its words: [P, dim]."""
        negatives, composer = term.negatives, self.composer
        if isinstance(composer, WeightedSum):
            if not (len(term.references) or len(negatives.references) or negatives.texts):
                return phrases
            composer = composer.read_by(
                cast(Encoder, calibration.PhraseReader(self.encoder, phrases))
            )
        asked = calibration.phrases()[:: calibration.FEW if few else 1]
        count = len(asked)
        return composer.compose_batch(
            [term.references] * count,
            [[phrase] * len(term.texts) for phrase in asked],
            [negatives] * count,
            weights=[term.weights] * count,
            **({} if term.mask is None else {"masks": [term.mask] * count}),
        )

    @cached_property
    def _scale_of_pictures(self) -> Scale | None:
        return Scale.of_pictures(self.index.neighbour_scores(calibration.NEIGHBOURS))

    def _terms(self, query: Query, photos: Mapping[Path, _Photo | VretrError]) -> _Terms:
        if (query.text or query.not_text) and not self.encoder.reads_text:
            raise UsageError(
                f"{self.encoder.name}, which this index was made with, reads no words: ask by "
                "picture, or make an index with an encoder that reads words (`vretr encoders`)."
            )
        wanted, unwanted = _found(query.image, photos), _found(query.not_image, photos)
        references, mask = self._stack(wanted), None
        if query.masked:
            references, mask = self._masked(query)
        return _Terms(
            references=references,
            texts=query.text,
            negatives=Negatives(self._stack(unwanted), query.not_text),
            weights=query.weights,
            itself=frozenset(() if query.include_self else (photo.digest for photo in wanted)),
            mask=mask,
        )

    def _masked(self, query: Query) -> tuple[Vectors, Mask]:
        """The vector [1, dim] of the query's one picture without the masked part, and the mask."""
        if not getattr(self.composer, "reads_masks", False):
            raise UsageError(
                f"The composer {self.composer.name} has no use for a mask: --composer takes a run "
                "of one that has, as of `vretr train compodiff`."
            )
        (path,), seen = query.image, self.encoder.preprocessing
        picture = images.open(path, target=seen.target)
        if isinstance(picture, images.Unreadable):
            raise _unreadable(picture)
        given = query.mask if query.mask is not None else cast(masks.Box, query.mask_box)
        mask = masks.mask_of(picture, path, seen, given)
        pixels = blanked(seen.pixels(picture), mask, seen)[None].transpose(0, 3, 1, 2)
        return self._vectors(pixels), mask

    def _stack(self, photos: Sequence[_Photo]) -> Vectors:
        rows = [photo.vector for photo in photos]
        return np.stack(rows) if rows else np.zeros((0, self.encoder.dim), dtype=np.float32)

    def _compose(self, terms: Sequence[_Terms]) -> list[Vectors | VretrError]:
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

    def _see(self, paths: Collection[Path]) -> dict[Path, _Photo | VretrError]:
        """Each photo's vector: the stored one where the index has its content, else encoded now."""
        photos: dict[Path, _Photo | VretrError] = {}
        unknown: list[tuple[Path, bytes]] = []
        for path in paths:
            if not os.path.isfile(path):
                photos[path] = UsageError(f"There is no picture {display(path)}.")
            elif isinstance(file := images.digest(path), images.Unreadable):
                photos[path] = _unreadable(file)
            elif (vector := self.index.vector_of(file.digest)) is not None:
                photos[path] = _Photo(file.digest, vector)
            else:
                unknown.append((path, file.digest))
        for start in range(0, len(unknown), PICTURES_AT_ONCE):
            photos |= self._encode(unknown[start : start + PICTURES_AT_ONCE])
        return photos

    def _encode(self, files: Sequence[tuple[Path, bytes]]) -> dict[Path, _Photo | VretrError]:
        target = self.encoder.preprocessing.target
        photos: dict[Path, _Photo | VretrError] = {}
        pictures: dict[tuple[Path, bytes], Image] = {}
        for path, digest in files:
            picture = images.open(path, target=target)
            if isinstance(picture, images.Unreadable):
                photos[path] = _unreadable(picture)
            else:
                pictures[path, digest] = picture
        if pictures:
            vectors = self._vectors([*pictures.values()])
            for (path, digest), vector in zip(pictures, vectors, strict=True):
                photos[path] = _Photo(digest, vector)
        return photos

    def _vectors(self, pictures: "Sequence[Image] | NDArray[np.uint8]") -> Vectors:
        """Vectors [B, dim], as long as the tower makes them where the composer reads lengths."""
        if getattr(self.composer, "reads_lengths", False) and isinstance(
            self.encoder, KeepsLengths
        ):
            return self.encoder.project_images(pictures)
        return self.encoder.encode_images(pictures)

    def _matches(self, glob: str) -> Callable[[Path], bool]:
        """Whether a file's name, or its path from the index's root, matches; `*` takes slashes."""
        fits, root = re.compile(translate(glob)).match, os.path.join(self.index.root, "")

        def keep(path: Path) -> bool:
            return bool(fits(path.name) or fits(str(path).removeprefix(root)))

        return keep


def _found(paths: Sequence[Path], photos: Mapping[Path, _Photo | VretrError]) -> list[_Photo]:
    found = []
    for path in paths:
        if isinstance(photo := photos[path], VretrError):
            raise photo
        found.append(photo)
    return found


NO_SCALE = (
    "--min-score auto cannot tell what fits this query: it takes words that the encoder can "
    "compare with everyday phrases, or a picture and an index of two photos or more."
)
CANCELLED = "The parts of the query cancel one another out: nothing is left to look for."


def _unreadable(file: images.Unreadable) -> VretrError:
    return VretrError(f"{display(file.path)} cannot be read as a picture: {file.reason}.")
