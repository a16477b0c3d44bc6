"""Segments: immutable blocks of vectors, plain NumPy files that anyone can map.

float32, because NumPy has no arithmetic for smaller floats: float16 would halve the file, but every
query would have to widen it first, which costs many times what reading the larger file does.
"""

import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vretr.errors import VretrError
from vretr.paths import atomic_write

Vectors = NDArray[np.float32]

FOLDER = "segments"

_DTYPE = np.dtype("<f4")
_BLOCK = 1 << 23  # bytes copied at once


@dataclass(frozen=True, slots=True)
class Segment:
    """What SQLite knows of a segment: it holds the vectors of positions start … start + rows - 1.

    `crc32` is over the vectors' bytes, without the header.
    """

    start: int
    rows: int
    crc32: int

    @property
    def end(self) -> int:
        return self.start + self.rows

    @property
    def name(self) -> str:
        # Positions are never given twice, so neither are names.
        return f"{self.start}-{self.end}.npy"


def write(folder: Path, *, start: int, rows: int, dim: int, blocks: Iterable[Vectors]) -> Segment:
    """Writes `blocks`, together [rows, dim], as the segment that begins at `start`.

    The file is complete and synced when it gets its name; it counts once SQLite knows of it.
    """
    header = {"descr": _DTYPE.str, "fortran_order": False, "shape": (rows, dim)}
    crc = written = 0
    with atomic_write(folder / f"{start}-{start + rows}.npy") as file:
        os.fchmod(file.fileno(), 0o600)
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks:
            data = np.ascontiguousarray(block, dtype=_DTYPE).data.cast("B") if len(block) else b""
            file.write(data)
            crc = zlib.crc32(data, crc)
            written += len(block)
        if written != rows:
            raise ValueError(f"{written} vectors were given for a segment of {rows}")
    return Segment(start, rows, crc)


def load(folder: Path, segment: Segment, dim: int) -> Vectors:
    """Maps a segment: [rows, dim], read-only, nothing is read yet.

    Raises:
        FileNotFoundError: it is gone; whoever removed it has told SQLite before.
        VretrError: the file is not what SQLite says.
    """
    path = folder / segment.name
    with open(path, "rb") as file:
        try:
            if np.lib.format.read_magic(file) != (1, 0):
                raise ValueError("another version of the npy format")
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        except ValueError as error:
            raise _damaged(path, str(error)) from error
        offset, size = file.tell(), os.fstat(file.fileno()).st_size
    if (shape, fortran, dtype) != ((segment.rows, dim), False, _DTYPE):
        raise _damaged(path, f"it should hold float32 [{segment.rows}, {dim}]")
    if size != offset + segment.rows * dim * _DTYPE.itemsize:
        raise _damaged(path, "its length is wrong")
    mapped = np.memmap(path, dtype=_DTYPE, mode="r", offset=offset, shape=shape)
    return np.asarray(mapped)  # a plain view: np.memmap slows every slice down


def blocks(folder: Path, segment: Segment, dim: int) -> Iterator[tuple[int, Vectors]]:
    """Reads a segment from its file, piece by piece: (position of the first row, rows).

    Raises:
        VretrError: the file is not what was written; known only after its last piece.
    """
    load(folder, segment, dim)
    size = max(1, _BLOCK // (dim * _DTYPE.itemsize))
    crc = 0
    with open(folder / segment.name, "rb") as file:
        file.seek(-segment.rows * dim * _DTYPE.itemsize, os.SEEK_END)
        for first in range(0, segment.rows, size):
            count = min(size, segment.rows - first)
            block = np.fromfile(file, dtype=_DTYPE, count=count * dim).reshape(count, dim)
            crc = zlib.crc32(block.data.cast("B"), crc)
            yield segment.start + first, block
    if crc != segment.crc32:
        raise _damaged(folder / segment.name, "its checksum is wrong")


def is_segment(name: str) -> bool:
    """Whether a file of that name was made here, finished or not."""
    if name.startswith(".") and name.endswith(".tmp"):
        return True
    start, _, end = name.removesuffix(".npy").partition("-")
    return name.endswith(".npy") and start.isdecimal() and end.isdecimal()


def _damaged(path: Path, reason: str) -> VretrError:
    return VretrError(
        f"The index is damaged: {path} ({reason}). Build it anew with `vretr index --rebuild`."
    )
