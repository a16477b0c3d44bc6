"""Sums of pictures and words: the composers that need no training, and what others build upon."""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from vretr.composers.base import NO_PICTURES, NOTHING, Negatives, Vectors, Weights
from vretr.encoders.base import Encoder, unit
from vretr.errors import UsageError

PICTURE_WEIGHT = 0.3
"""Share of the pictures where there are words as well: the best on colour triplets of training
products that `lite`'s heads had not seen (vretr/encoders/lite/README.md)."""

SLERP_WEIGHT = 0.2
"""The same for `Slerp`: its authors' choice for CIRCO and FashionIQ (0.1 for CIRR)."""

NEGATIVE_WEIGHT = 0.5
"""How much of what is not wanted is taken away. At 1 a picture that resembles the unwanted as much
as the wanted would score 0, and in spaces where all texts lie close together little but noise
would remain; at 0.5 the wanted still leads."""

CANCELLED = 1e-6
"""Below this length a sum of unit vectors is rounding error."""


class WeightedSum:
    """The weighted sum: picture part + word part - what is not wanted.

        P = unit(sum of w_i r_i)          pictures; words T likewise
        q = unit(s P + (1 - s) T)         s = picture_weight; only P or only T where one is missing
        q' = unit(q - c N)                N is made from the negatives as q is; c = NEGATIVE_WEIGHT

    Weights count against one another within P and within T, and their means scale s, (1 - s) and c:
    a text of weight 2 beside a picture counts twice, a negative of weight 2 is taken away twice.
    Terms that cancel one another out give a zero vector, never NaN. Negatives alone are allowed:
    the query then leads away from them.
    """

    reads_together = False  # whether words are read together with the pictures, for every query

    def __init__(
        self, encoder: Encoder, picture_weight: float = PICTURE_WEIGHT, *, name: str = "sum"
    ) -> None:
        if not 0 <= picture_weight <= 1:
            raise UsageError(f"The picture weight must lie in [0, 1], not {picture_weight:g}.")
        self.encoder = encoder
        self.picture_weight = picture_weight
        self.name = name

    def compose(
        self,
        references: Vectors,
        texts: Sequence[str],
        negatives: Negatives = NOTHING,
        *,
        weights: Weights | None = None,
    ) -> Vectors:
        """See `Composer.compose`."""
        return self.compose_batch([references], [texts], [negatives], weights=[weights])[0]

    def compose_batch(
        self,
        references: Vectors | Sequence[Vectors],
        texts: Sequence[Sequence[str]],
        negatives: Sequence[Negatives] | None = None,
        *,
        weights: Sequence[Weights | None] | None = None,
    ) -> Vectors:
        """See `Composer.compose_batch`."""
        count = len(texts)
        if not count:
            return np.zeros((0, self.encoder.dim), dtype=np.float32)
        negatives = negatives or [NOTHING] * count
        if self.picture_weight == 1:  # words beside a picture count nothing; they may be unreadable
            texts = [() if len(p) else words for p, words in zip(references, texts, strict=True)]
        weighed = [weight or Weights() for weight in weights or [None] * count]
        words = self.words_of(
            [*texts, *(negative.texts for negative in negatives)],
            [*references, *(negative.references for negative in negatives)],
            [*(w.references for w in weighed), *(w.negative_references for w in weighed)],
        )
        return np.stack(
            [
                self._query(unit(seen), wanted, unit(negative.references), unwanted, weight)
                for seen, wanted, negative, unwanted, weight in zip(
                    references, words[:count], negatives, words[count:], weighed, strict=True
                )
            ]
        )

    def words_of(
        self,
        groups: Sequence[Sequence[str]],
        pictures: Sequence[Vectors],
        weights: Sequence[Sequence[float]],
    ) -> list[Vectors]:
        """Groups of sentences -> one [T, dim] a group, each sentence encoded once, in one call.

        Args:
            groups: G groups.
            pictures: [R, dim] beside each group, and their weights: for composers whose words are
                read together with the pictures.
        """
        distinct = {text: n for n, text in enumerate(dict.fromkeys(chain.from_iterable(groups)))}
        if not distinct:
            return [NO_PICTURES] * len(groups)
        vectors = self.encoder.encode_texts([*distinct])
        return [vectors[[distinct[text] for text in group]] for group in groups]

    def read_by(self, encoder: Encoder) -> "WeightedSum":
        """The same composer, whose words another encoder reads."""
        return type(self)(encoder, self.picture_weight, name=self.name)

    def _query(
        self,
        pictures: Vectors,
        words: Vectors,
        unwanted_pictures: Vectors,
        unwanted_words: Vectors,
        weights: Weights,
    ) -> Vectors:
        seen = _mean(pictures, weights.references, "pictures")
        unread = seen and self.picture_weight == 1
        said = None if unread else _mean(words, weights.texts, "texts")
        wanted = self._mix(seen, said)
        unwanted = self._mix(
            _mean(unwanted_pictures, weights.negative_references, "pictures not wanted"),
            _mean(unwanted_words, weights.negative_texts, "texts not wanted"),
        )
        if wanted and unwanted:
            return _sum(
                (1, wanted.direction), (-NEGATIVE_WEIGHT * unwanted.weight, unwanted.direction)
            )
        if wanted:
            return wanted.direction
        if unwanted:
            return -unwanted.direction
        raise UsageError("A query needs a picture or words.")

    def _mix(self, pictures: "_Part | None", words: "_Part | None") -> "_Part | None":
        if not (pictures and words):
            return pictures or words
        share = self.picture_weight * pictures.weight
        rest = (1 - self.picture_weight) * words.weight
        mixed = _sum((share, pictures.direction), (rest, words.direction))
        return _Part(mixed, share + rest)


class Slerp(WeightedSum):
    """The weighted sum, but the picture part and the word part are mixed along the great circle.

        q = (sin(s a) P + sin((1 - s) a) T) / sin(a)        a = the angle between P and T

    So the share s = picture_weight is one of the way, however far apart the two are (Jang et al.,
    "Spherical Linear Interpolation and Text-Anchoring for Zero-shot Composed Image Retrieval", ECCV
    2024; its weight of the text is 1 - s). Between opposite vectors, where no great circle is
    shorter than another, it is the sum.
    """

    def __init__(
        self, encoder: Encoder, picture_weight: float = SLERP_WEIGHT, *, name: str = "slerp"
    ) -> None:
        super().__init__(encoder, picture_weight, name=name)

    def _mix(self, pictures: "_Part | None", words: "_Part | None") -> "_Part | None":
        if not (pictures and words):
            return pictures or words
        share = self.picture_weight * pictures.weight
        rest = (1 - self.picture_weight) * words.weight
        cosine = float(pictures.direction.astype(np.float64) @ words.direction)
        angle = np.arccos(np.clip(cosine, -1, 1))
        if np.sin(angle) > CANCELLED:
            way = share / (share + rest)
            seen, said = np.sin(way * angle), np.sin((1 - way) * angle)
        else:
            seen, said = share, rest
        mixed = _sum((seen, pictures.direction), (said, words.direction))
        return _Part(mixed, share + rest)


class _Part(NamedTuple):
    """Several terms as one: where they point together and how much they count."""

    direction: Vectors
    weight: float


def _mean(vectors: Vectors, weights: Sequence[float], what: str) -> _Part | None:
    if not len(vectors):
        if len(weights):
            raise UsageError(f"There are weights for {what}, but no {what}.")
        return None
    if not len(weights):
        weights = [1.0] * len(vectors)
    if len(weights) != len(vectors):
        raise UsageError(
            f"{len(vectors)} {what}, but {len(weights)} weights: give one for each, or none."
        )
    if not (all(weight > 0 for weight in weights) and sum(weights) < np.inf):
        raise UsageError(f"The weights of {what} must be positive numbers; got {list(weights)}.")
    return _Part(_sum(*zip(weights, vectors, strict=True)), sum(weights) / len(weights))


def _sum(*terms: tuple[float, Vectors]) -> Vectors:
    """Where a weighted sum of unit vectors points, at length 1; zero where the terms cancel.

    Coefficients are scaled to add up to 1, so that no weight is too large and what rounding leaves
    of terms that cancel is told by its length.
    """
    coefficients = np.array([coefficient for coefficient, _ in terms], dtype=np.float64)
    largest = coefficients / np.abs(coefficients).max()
    vector = largest / np.abs(largest).sum() @ np.stack([vector for _, vector in terms])
    return unit(vector) if np.linalg.norm(vector) > CANCELLED else np.zeros_like(terms[0][1])
