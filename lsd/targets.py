"""What the network should give for a picture whose lines are known.

Sections 3.2 to 3.4 of the paper, in the layout of the output. Coordinates are in cells of the map:
a cell's displacement is counted from the whole number that is its place.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lsd.architecture import CHANNELS, Channel
from lsd.segments import segments

Array = NDArray[np.float32]
Indices = NDArray[np.int64]

NO_LINES = torch.empty(0, 4)
RINGS = (
    (0.25, [(-1, -1), (1, -1), (-1, 1), (1, 1)]),
    (0.5, [(0, -1), (-1, 0), (1, 0), (0, 1)]),
    (1.0, [(0, 0)]),
)
TP, SOL = 0, 1  # whole lines ("tri-points") and segments of lines: rows of `Target.weight`


class Target(NamedTuple):
    """What is wanted of the network for a picture; for B pictures each part has a leading B."""

    maps: Tensor
    """float32 [16, H, W] as `architecture.Channel`: probabilities of centres, junctions and lines
    in [0, 1], displacements in cells, length (1 = diagonal of the map) and degree in [0, 1]."""
    weight: Tensor
    """float32 [2, H, W]: how much displacement, length and degree count in a cell, TP and SoL:
    1 in the 3x3 cells around a centre, else 0; of a teacher its probability."""
    lines: Tensor = NO_LINES
    """float32 [N, 4] in cells, for the matching loss; of B pictures padded with NaN; of a teacher
    empty."""
    segments: Tensor = NO_LINES
    """float32 [K, 4]: the same for segments of lines."""


def targets(lines: NDArray[np.floating], side: int | tuple[int, int]) -> Target:
    """The target of a picture with these lines.

    Where lines want the same cell, the one whose centre is nearer has it, then the longer one.

    Args:
        lines: [N, 4], x1 y1 x2 y2 in cells, within the map; the order of the ends means nothing.
        side: of the map, or its height and width.
    """
    shape = (side, side) if isinstance(side, int) else side
    lines = np.asarray(lines, np.float32).reshape(-1, 4)
    parts = segments(lines, shape)
    maps = np.zeros((CHANNELS, *shape), np.float32)
    weight = np.zeros((2, *shape), np.float32)
    _draw_tri_points(maps[Channel.CENTRE : Channel.DEGREE + 1], weight[TP], lines)
    drawn = np.zeros((7, *shape), np.float32)
    _draw_tri_points(drawn, weight[SOL], parts)
    maps[Channel.SOL_CENTRE], maps[Channel.SOL_DISPLACEMENT] = drawn[0], drawn[1:5]
    maps[Channel.SOL_LENGTH], maps[Channel.SOL_DEGREE] = drawn[5:]
    for _, x, y, value in _around(lines.reshape(-1, 2), shape):
        maps[Channel.JUNCTION, y, x] = value
    _draw_lines(maps[Channel.LINE], lines)
    return Target(*(torch.from_numpy(part) for part in (maps, weight, lines, parts)))


def _draw_tri_points(maps: Array, weight: Array, lines: Array) -> None:
    """Draws centre, displacement, length and degree [7, H, W] and their weight [H, W].

    A displacement is the end minus the very cell that it stands in, so that the line is found
    exactly from each of the 3x3 cells. (The port copies the middle cell's numbers, from rounded
    ends; the released networks' own displacements fall by about 0.9 from a cell to the next.)
    """
    _, height, width = maps.shape
    across, down = (lines[:, 2:] - lines[:, :2]).T
    length = np.hypot(across, down)
    order = np.argsort(length, kind="stable")  # the longest is drawn last
    geometry = np.stack([length / np.hypot(height, width), degree(across, down)])
    middles = (lines[:, :2] + lines[:, 2:]) / 2
    for number, x, y, value in _around(middles[order], (height, width)):
        line = order[number]
        maps[0, y, x] = value
        maps[1:5, y, x] = (lines[line] - np.stack([x, y, x, y], axis=1)).T
        maps[5:7, y, x] = geometry[:, line]
        weight[y, x] = 1


def degree(across: Array, down: Array) -> Array:
    """A line's angle / 2π + 1/2, in [0.25, 0.75], whichever end it starts from.

    A line that falls to the right has more than 0.5; an upright one is both 0.25 and 0.75.
    """
    rightward = np.where(across < 0, -1, 1)
    return (np.arctan2(rightward * down, rightward * across) / (2 * np.pi) + 0.5).astype(np.float32)


def _around(
    points: NDArray[np.floating], shape: tuple[int, int]
) -> Iterator[tuple[Indices, Indices, Indices, float]]:
    """The 3x3 cells around each point [N, 2]: many points' numbers, x, y, and a value at a time.

    Values are those of the blur [1 2 1] / 4 with a peak of 1. They rise, so that a cell that is
    written several times keeps the greatest and the nearest point, and of these the last.
    """
    height, width = shape
    cells = np.floor(points + 0.5).astype(np.int64)
    cells = np.clip(cells, 0, [width - 1, height - 1])  # 255.75 is within a map of 256
    for value, steps in RINGS:
        around = (cells[:, None] + steps).reshape(-1, 2)
        numbers = np.repeat(np.arange(len(cells)), len(steps))
        inside = ((around >= 0) & (around < [width, height])).all(axis=1)
        yield numbers[inside], *around[inside].T, value


def _draw_lines(drawn: Array, lines: Array) -> None:
    """Draws lines one cell wide: in each column (or row, if it is steep) the nearest cell."""
    height, width = drawn.shape
    start, way = lines[:, :2], lines[:, 2:] - lines[:, :2]
    steps = np.ceil(np.abs(way).max(axis=1, initial=0)).astype(np.int64)
    line = np.repeat(np.arange(len(lines)), steps + 1)
    number = np.arange(len(line)) - np.repeat(np.cumsum(steps + 1) - (steps + 1), steps + 1)
    share = number / np.maximum(steps[line], 1)
    x, y = np.floor(start[line] + share[:, None] * way[line] + 0.5).astype(np.int64).T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    drawn[y[inside], x[inside]] = 1
