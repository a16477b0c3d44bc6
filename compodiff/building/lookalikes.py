"""Photos that show nearly the same, by little pictures of them: no encoder is needed."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vretr import images
from vretr.images import Unreadable
from vretr.images.stream import read_ahead
from vretr.progress import progress

BITS = 4  # of the 64 of the hash that near-duplicates differ in, at most
TONES = 8.0  # mean difference of their colours, of 255, at most
_SIDE = 8


class Signature(NamedTuple):
    """Of N photos: the difference hash uint64 [N], and colours uint8 [N, 192] of 8 x 8 places."""

    hashes: NDArray[np.uint64]
    colours: NDArray[np.uint8]

    def alike(self, photo: int, others: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of the others are near-duplicates: the same shapes in the same colours. The hash
        alone knows no colours, and the same thing in blue is what is looked for."""
        bits = np.bitwise_count(self.hashes[others] ^ self.hashes[photo]) <= BITS
        tones = self.colours[others].astype(np.int16) - self.colours[photo]
        return bits & (np.abs(tones).mean(axis=1) <= TONES)


def signatures(paths: Sequence[Path], *, workers: int | None) -> tuple[Signature, list[Unreadable]]:
    """The signatures, in the order of the paths, and what could not be read (rows of zeros)."""
    hashes = np.zeros(len(paths), np.uint64)
    colours = np.zeros((len(paths), 3 * _SIDE * _SIDE), np.uint8)
    unreadable: list[Unreadable] = []
    with (
        progress(len(paths), "Looking for duplicates") as bar,
        closing(read_ahead(paths, _signature, workers=workers)) as stream,
    ):
        for number, found in enumerate(stream):
            if isinstance(found, Unreadable):
                unreadable.append(found)
            else:
                hashes[number], colours[number] = found
            bar.advance()
    return Signature(hashes, colours), unreadable


def _signature(path: Path) -> tuple[np.uint64, NDArray[np.uint8]] | Unreadable:
    picture = images.open(path, target=4 * _SIDE)
    if isinstance(picture, Unreadable):
        return picture
    grey = np.asarray(picture.convert("L").resize((_SIDE + 1, _SIDE)), np.int16)
    bits = np.packbits(grey[:, 1:] > grey[:, :-1])
    return bits.view(np.uint64)[0], np.asarray(picture.resize((_SIDE, _SIDE))).reshape(-1)
