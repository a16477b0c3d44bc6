"""The network's maps as line segments: spec of the released graphs, in NumPy."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsd.architecture import CELL
from lsd.lines import Lines, clipped, distinct

Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """Which line segments are given.

    Attributes:
        top_k: at most so many, the surest. The released files give 200; sAP is measured at 1,000.
        score: those surer than this, 0 to 1.
        length: those longer than this, in pixels of the original picture.
        clip: end them at the picture's border.
        subpixel: their centres are means over 3x3 cells by score, not whole cells.
        merge: leave out those whose ends lie within so many pixels of a surer one's; 0: none.
    """

    top_k: int = 200
    score: float = 0.1
    length: float = 0.0
    clip: bool = True
    subpixel: bool = False
    merge: float = 0.0

    def __post_init__(self) -> None:
        """Raises ValueError for a value by which nothing could be found."""
        if self.top_k < 1:
            raise ValueError(f"top_k is {self.top_k}, but must be at least 1")
        if not 0 <= self.score < 1:
            raise ValueError(f"score is {self.score}, but must be at least 0 and less than 1")
        if not (self.length >= 0 and self.merge >= 0):
            raise ValueError("length and merge must be 0 or more")


def decode(maps: Array, decoding: Decoding, width: int, height: int) -> Lines:
    """Line segments of one picture.

    Args:
        maps: [5, H, W], logit of the centre and displacements of both ends in cells.
        width, height: of the original picture, in pixels.
    """
    logits = maps[0]
    rows, columns, best = peaks(logits, decoding.top_k, decoding.score)
    if decoding.subpixel:
        ends = _averaged(maps, rows, columns)
    else:
        ends = maps[1:, rows, columns].T + np.stack([columns, rows, columns, rows], axis=1)
    scale = CELL * np.array([width, height]) / (CELL * np.array(logits.shape[::-1]))
    ends = (ends * np.tile(scale, 2)).astype(np.float32)
    lines = Lines(ends, _sigmoid(logits[rows, columns]), width, height, best)
    if decoding.clip:
        lines = clipped(lines)
    if decoding.length:
        lines = lines.take(lines.lengths > decoding.length)
    return distinct(lines, decoding.merge) if decoding.merge else lines


def peaks(
    logits: Array, most: int, score: float = 0.0
) -> tuple[NDArray[np.intp], NDArray[np.intp], float]:
    """Rows and columns of the highest cells that no neighbour exceeds, falling; and the highest
    score of all.

    Of equal cells side by side the first one counts, so a plateau is one peak. Logits are compared,
    for their sigmoids come out equal above some 17.
    """
    height, width = logits.shape
    padded = np.full((height + 2, width + 2), -np.inf, np.float32)
    padded[1:-1, 1:-1] = logits
    peak = np.ones(logits.shape, bool)
    if score > 0:
        peak &= logits > np.log(score / (1 - score))
    for down in range(3):
        for right in range(3):
            other = padded[down : down + height, right : right + width]
            if (down, right) < (1, 1):
                peak &= logits > other
            elif (down, right) > (1, 1):
                peak &= logits >= other
    flat = np.flatnonzero(peak)
    values = logits.ravel()[flat]
    if len(flat) > most:
        chosen = np.argpartition(-values, most - 1)[:most]
        chosen.sort()
        flat, values = flat[chosen], values[chosen]
    flat = flat[np.argsort(-values, kind="stable")]
    rows, columns = np.divmod(flat, width)
    return rows, columns, float(_sigmoid(logits.max(initial=-np.inf)))


def _averaged(maps: Array, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Array:
    """Both ends [K, 4] in cells: means, by score, of what the 3x3 cells around each peak say."""
    height, width = maps.shape[1:]
    steps = np.arange(-1, 2)
    y = np.clip(rows[:, None] + np.repeat(steps, 3), 0, height - 1)
    x = np.clip(columns[:, None] + np.tile(steps, 3), 0, width - 1)
    weight = _sigmoid(maps[0, y, x])
    weight /= weight.sum(axis=1, keepdims=True)
    ends = maps[1:, y, x].transpose(1, 2, 0) + np.stack([x, y, x, y], axis=2)
    return np.einsum("kn,knc->kc", weight, ends).astype(np.float32)


def _sigmoid(logits: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -80, None))), np.float32)
