"""What a composer is, and what it is given."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

NO_PICTURES: Vectors = np.zeros((0, 0), dtype=np.float32)


@dataclass(frozen=True)
class Negatives:
    """What the query is to lead away from."""

    references: Vectors = field(default_factory=lambda: NO_PICTURES)  # [R, dim]
    texts: Sequence[str] = ()


NOTHING = Negatives()


@dataclass(frozen=True, kw_only=True)
class Weights:
    """One positive number for each term, or none for all 1. See `WeightedSum` for what they do."""

    references: Sequence[float] = ()
    texts: Sequence[float] = ()
    negative_references: Sequence[float] = ()
    negative_texts: Sequence[float] = ()


@runtime_checkable
class Composer(Protocol):
    """Pictures and words -> one unit vector. Asked alone or in a batch, it gives the same.

    A composer may also have: `reads_lengths`, it wants pictures as long as the image tower makes
    them (`project_images`); `reads_together`, it reads words anew for every picture; `is_default`,
    it did better than the sum on validation data; `settings`, what its figures depend on;
    `reads_masks`, `compose_batch` also takes `masks`, one or None a query: bool [S, S] over what
    the encoder sees of its one picture, true where that is grey and is to be another.
    """

    @property
    def name(self) -> str:
        """What `--composer` calls it."""

    def compose(
        self,
        references: Vectors,
        texts: Sequence[str],
        negatives: Negatives = NOTHING,
        *,
        weights: Weights | None = None,
    ) -> Vectors:
        """The query vector, float32 [dim], of unit length.

        Args:
            references: [R, dim], unit vectors of the encoder that the composer is for; R may be 0.
            texts: any number of sentences.

        Raises:
            UsageError: nothing was given, words cannot be read, weights do not fit the terms.
        """

    def compose_batch(
        self,
        references: Vectors | Sequence[Vectors],
        texts: Sequence[Sequence[str]],
        negatives: Sequence[Negatives] | None = None,
        *,
        weights: Sequence[Weights | None] | None = None,
    ) -> Vectors:
        """Query vectors float32 [B, dim]; `references` is [B, R, dim] or B arrays [R_b, dim]."""
