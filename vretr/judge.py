"""How well hits fit a query, told from the index's own photos; `vretr.calibration` says how."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import numpy as np

from vretr import calibration
from vretr.calibration import Scale
from vretr.composers import Composer, Vectors, WeightedSum
from vretr.encoders import Encoder
from vretr.errors import UsageError
from vretr.index import Hit, Index
from vretr.terms import Terms

NO_SCALE = (
    "--min-score auto cannot tell what fits this query: it takes words that the encoder can "
    "compare with everyday phrases, or a picture and an index of two photos or more."
)


@dataclass(frozen=True)
class Judge:
    """Tells fits of the hits in an index."""

    index: Index
    encoder: Encoder
    composer: Composer

    def judged(self, hits: Sequence[Hit], terms: Terms, *, only_fitting: bool) -> list[Hit]:
        """The hits with their fits, where anything tells them; perhaps only those that fit.

        Raises:
            UsageError: only those that fit are asked for, and nothing tells which do.
        """
        scale = self._scale(hits, terms, read=only_fitting) if hits else None
        if scale:
            hits = [replace(hit, fit=scale.fit(hit.score)) for hit in hits]
        if only_fitting and hits:
            if scale is None:
                raise UsageError(NO_SCALE)
            hits = [hit for hit in hits if cast(float, hit.fit) >= calibration.FITS]
        return [*hits]

    def _scale(self, hits: Sequence[Hit], terms: Terms, *, read: bool) -> Scale | None:
        """What this query's scores mean; None where nothing tells.

        Words have to beat everyday phrases in their place: of a query of both, beside the same
        pictures. What only leads away has no scale.
        """
        if terms.texts:
            phrases = (calibration.read_phrases if read else calibration.phrase_vectors)(
                self.encoder
            )
            if phrases is None:
                return None
            near = [self.index.vector_of(hit.digest) for hit in hits[: calibration.NEAREST]]
            photos = np.stack([vector for vector in near if vector is not None])
            beside = len(terms.references) > 0
            summed = isinstance(self.composer, WeightedSum) and not beside
            few = getattr(self.composer, "reads_together", True) and not summed
            scores = self._in_their_place(phrases, terms, few=few) @ photos.T
            rank = 1 if few else calibration.RANK
            if (scale := Scale.of_words(scores, beside=beside, rank=rank)) or not beside:
                return scale
        return self._scale_of_pictures if len(terms.references) else None

    def _in_their_place(self, phrases: Vectors, terms: Terms, *, few: bool) -> Vectors:
        """The query with each phrase, or each of a few, instead of its words: [P, dim]."""
        negatives, composer = terms.negatives, self.composer
        if isinstance(composer, WeightedSum):
            if not (len(terms.references) or len(negatives.references) or negatives.texts):
                return phrases
            composer = composer.read_by(
                cast(Encoder, calibration.PhraseReader(self.encoder, phrases))
            )
        asked = calibration.phrases()[:: calibration.FEW if few else 1]
        count = len(asked)
        return composer.compose_batch(
            [terms.references] * count,
            [[phrase] * len(terms.texts) for phrase in asked],
            [negatives] * count,
            weights=[terms.weights] * count,
            **({} if terms.mask is None else {"masks": [terms.mask] * count}),
        )

    @cached_property
    def _scale_of_pictures(self) -> Scale | None:
        return Scale.of_pictures(self.index.neighbour_scores(calibration.NEIGHBOURS))
