"""SoL: long lines cut into overlapping segments, a second thing to learn from each picture.

Section 3.3 of the paper. The network cannot see a long line whole; its parts it can.
"""

import numpy as np
from numpy.typing import NDArray

LENGTH = 0.125
"""Of a segment: a share of the picture's side."""


def segments(lines: NDArray[np.floating], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Each line's segments, or the line itself where it is too short for two: float32 [K, 4].

    A line of length L has k = floor(L / (LENGTH / 2)) - 1 of them, each two of its k + 1 equal
    steps long, so that neighbours share one step. Lengths are of the picture scaled to a side of 1
    in both directions.

    Args:
        lines: [N, 4], x1 y1 x2 y2 in the units of `shape`.
        shape: height and width.
    """
    start, end = (part.astype(np.float64) for part in np.split(lines.reshape(-1, 4), 2, axis=1))
    length = np.hypot(*((end - start) / shape[::-1]).T)
    # A length of exactly k + 1 half segments must not be rounded down.
    count = np.floor(length / (LENGTH / 2) + 1e-6).astype(int) - 1
    count[count < 2] = 1
    line = np.repeat(np.arange(len(count)), count)
    number = np.arange(len(line)) - np.repeat(np.cumsum(count) - count, count)
    whole = count[line] == 1
    steps = np.where(whole, 1, count[line] + 1)
    step = ((end - start)[line]) / steps[:, None]
    first = start[line] + number[:, None] * step
    last = first + np.where(whole, 1, 2)[:, None] * step
    return np.concatenate([first, last], axis=1).astype(np.float32)
