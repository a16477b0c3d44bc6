"""Line segments that were found in a picture."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, slots=True)
class Lines:
    """N line segments, the surest first; N may be 0.

    Coordinates are pixels of the original picture, x to the right and y down: 0 is its left or
    upper border and `width` or `height` the other one, so a whole number lies between two pixels.

    Attributes:
        ends: float32 [N, 4], x and y of one end, then of the other; the order tells nothing.
        scores: float32 [N] in [0, 1], falling.
        best: the highest score in the picture, whether or not it was high enough.
    """

    ends: NDArray[np.float32]
    scores: NDArray[np.float32]
    width: int
    height: int
    best: float = 0.0

    def __len__(self) -> int:
        return len(self.ends)

    def take(self, kept: NDArray[np.generic]) -> "Lines":
        """Those of these numbers or of this mask [N]."""
        return replace(self, ends=self.ends[kept], scores=self.scores[kept])

    @property
    def lengths(self) -> NDArray[np.float32]:
        """In pixels [N]."""
        return np.hypot(*(self.ends[:, 2:] - self.ends[:, :2]).T)


def clipped(lines: Lines) -> Lines:
    """The parts that lie in the picture (Liang & Barsky 1984): ends move along their line.

    A line that lies outside altogether is left out.
    """
    start = lines.ends[:, :2].astype(np.float64)
    along = lines.ends[:, 2:] - start
    last = np.array([lines.width, lines.height], np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = -start / along, (last - start) / along
    # A line that runs along a border never crosses it: all of it lies on one side.
    level = along == 0
    inside = (start >= 0) & (start <= last)
    first = np.where(level, np.where(inside, -np.inf, np.inf), np.minimum(low, high)).max(axis=1)
    final = np.where(level, np.where(inside, np.inf, -np.inf), np.maximum(low, high)).min(axis=1)
    first, final = np.maximum(first, 0), np.minimum(final, 1)
    kept = first <= final
    first, final, start, along = first[kept], final[kept], start[kept], along[kept]
    ends = np.hstack([start + first[:, None] * along, start + final[:, None] * along])
    ends = np.clip(ends, 0, np.tile(last, 2))  # what rounding left outside
    found = lines.take(kept)
    return replace(found, ends=ends.astype(np.float32))


def distinct(lines: Lines, distance: float) -> Lines:
    """Without lines that repeat a surer one: both ends lie, on average of their squares, within
    `distance` pixels of the other's ends."""
    if len(lines) < 2:
        return lines
    ends = lines.ends.astype(np.float64)
    squares = np.minimum(*(_squares(ends, other) for other in (ends, ends[:, [2, 3, 0, 1]])))
    close = squares < 2 * distance**2
    kept = np.ones(len(ends), bool)
    for number in range(len(ends)):
        if kept[number]:
            kept[number + 1 :] &= ~close[number, number + 1 :]
    return lines.take(kept)


def _squares(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squared distances [N, M] between points of R^4."""
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    return np.maximum(squares, 0)
