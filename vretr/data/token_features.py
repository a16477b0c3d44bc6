"""States of the tokens of texts, cached on disk beside the vectors (`vretr.data.features`).

They are many: of 18,000 captions of a CLIP 2 GB. So they are kept in half precision, and mapped.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vretr.data.features import SHARD, TEXTS, cache_key
from vretr.encoders.base import Encoder, TellsTokens
from vretr.errors import UsageError
from vretr.paths import atomic_write, home
from vretr.progress import Bar, progress

log = logging.getLogger(__name__)

Half = NDArray[np.float16]


class TokenFeatures:
    """The states of N texts, in files of `SHARD` texts; `features[rows]` reads some of them."""

    def __init__(self, parts: Sequence[Half]) -> None:
        self._parts = parts  # each [SHARD or fewer, L, W]

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """float32 [len(rows), L, W]."""
        part, place = np.divmod(rows, SHARD)
        found = np.empty((len(rows), *self._parts[0].shape[1:]), np.float32)
        for number in np.unique(part):
            here = part == number
            found[here] = self._parts[number][place[here]]
        return found


def token_features(encoder: Encoder, texts: Sequence[str], *, variant: str = "") -> TokenFeatures:
    """The token states of N texts, rounded to half precision.

    Args:
        variant: how the encoder computes, for the cache's key.

    Raises:
        UsageError: the encoder tells no token states.
    """
    if not isinstance(encoder, TellsTokens):
        raise UsageError(f"{encoder.name} does not tell what it makes of the tokens of a text.")
    folder = home() / "features"
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    with progress(len(texts), "Reading texts") as bar:
        for start in range(0, len(texts), SHARD):
            shard = texts[start : start + SHARD]
            key = cache_key(
                encoder.identity, f"{variant} tokens", *(text.encode() for text in shard)
            )
            file = folder / f"{key}.npy"
            found = _mapped(file, len(shard))
            if found is None:
                _write(file, encoder, shard, bar)
                found = np.load(file, mmap_mode="r")
            else:
                bar.advance(len(shard))
            parts.append(found)
    return TokenFeatures(parts)


def _write(file: Path, encoder: TellsTokens, texts: Sequence[str], bar: Bar) -> None:
    states: list[Half] = []
    for start in range(0, len(texts), TEXTS):
        batch = texts[start : start + TEXTS]
        states.append(encoder.token_states(batch).astype(np.float16))
        bar.advance(len(batch))
    with atomic_write(file) as stream:
        np.save(stream, np.concatenate(states), allow_pickle=False)


def _mapped(file: Path, count: int) -> Half | None:
    """The file's content; None where it is missing or not what it should be."""
    try:
        found: Half = np.load(file, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning("%s is damaged and made anew: %s", file, error)
        return None
    if len(found) == count and found.dtype == np.float16 and found.ndim == 3:
        return found
    log.warning("%s is damaged and made anew.", file)
    return None
