"""Batches of sentences out of the token cache, each as long as its longest sentence."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor

from lincir.preparing import Ragged, Tokens
from lincir.tokens import alone
from vretr.encoders import PseudoTextEncoder
from vretr.encoders.prompts import PADDING, Prompts
from vretr.progress import progress

Rows = NDArray[np.int64]
Features = NDArray[np.float32]

AT_ONCE, CHUNK = 4096, 8192  # tokens a call of the tower; sentences sorted by length together


@dataclass(frozen=True)
class Batch:
    """B sentences, whole and masked."""

    sentences: Prompts
    masked: Prompts
    slots: Rows  # [P], which of its sentence's pseudo words stands in each place of `masked`
    features: Tensor | None  # [B, dim], of the whole sentences, where they are known


class Sentences:
    """A map-style data set over rows of the token cache.

    Args:
        tokens: pseudo words in each place.
        features: of all sentences of the cache, if they are kept.
    """

    def __init__(
        self, cache: Tokens, rows: Rows, *, tokens: int = 1, features: Features | None = None
    ) -> None:
        self.cache, self.rows, self.tokens, self.features = cache, rows, tokens, features

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, indices: list[int]) -> Batch:
        return self.batch(self.rows[indices])

    def batch(self, rows: Rows) -> Batch:
        """The sentences in these rows of the cache."""
        masked = _prompts(self.cache.masked, rows, self.cache.places)
        counts = self.cache.places.lengths(rows)
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        known = self.features is not None
        return Batch(
            _prompts(self.cache.sentences, rows if not known else rows[:0]),
            masked,
            within % self.tokens,
            torch.from_numpy(self.features[rows]) if self.features is not None else None,
        )


def _prompts(ids: Ragged, rows: Rows, places: Ragged | None = None) -> Prompts:
    lengths = ids.lengths(rows)
    batch = np.full((len(rows), lengths.max(initial=1)), PADDING, dtype=np.int64)
    batch[np.arange(batch.shape[1]) < lengths[:, None]] = ids.flat(rows)
    if places is None:
        return Prompts(batch)
    owners = np.repeat(np.arange(len(rows)), places.lengths(rows))
    return Prompts(batch, owners, places.flat(rows).astype(np.int64))


def text_vectors(encoder: PseudoTextEncoder, cache: Tokens, rows: Rows) -> Features:
    """What the text tower gives for these whole sentences, float32 [N, dim], not scaled."""
    vectors = np.empty((len(rows), encoder.dim), np.float32)
    for start in range(0, len(rows), CHUNK):
        chunk = _prompts(cache.sentences, rows[start : start + CHUNK])
        for numbers, _, part in chunk.batches(AT_ONCE):
            with torch.no_grad():
                vectors[start + numbers] = encoder.embed(part).cpu().numpy()
    return vectors


def kept_features(encoder: PseudoTextEncoder, cache: Tokens, folder: Path, *, how: str) -> Features:
    """`text_vectors` of the whole cache, mapped from a file beside it, which is made if need be.

    Args:
        how: device and precision that compute them: others have their own file.
    """
    key = hashlib.blake2b(f"{encoder.identity} {how}".encode(), digest_size=12).hexdigest()
    file = folder / f"features-{key}.npy"
    count = len(cache.sentences)
    with alone(file.with_suffix(".lock")):
        if not file.exists():
            part = file.with_suffix(".part")
            shape = (count, encoder.dim)
            whole = open_memmap(part, mode="w+", dtype=np.float32, shape=shape)
            with progress(count, "Reading the sentences") as bar:
                for start in range(0, count, CHUNK):
                    rows = np.arange(start, min(start + CHUNK, count))
                    whole[rows] = text_vectors(encoder, cache, rows)
                    bar.advance(len(rows))
            whole.flush()
            part.rename(file)
    return np.load(file, mmap_mode="r")
