"""Quadrilaterals whose sides are line segments that were found: sheets, screens, signs.

As in the demo of M-LSD's authors (not in the paper), built anew: pieces of a side are one line,
lines that nearly meet make a corner, and four lines that meet one after another make a box.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsd.joining import joined
from lsd.lines import Lines

Array = NDArray[np.floating]

CELLS = 256  # of the authors' map; here along the longer side of a picture
SIDES = 60  # lines that are looked at, the longest
NEAR, GAP = 2.0, 0.5  # pieces of a side: cells beside it; missing between them, of its length
OUTSIDE, INSIDE = 0.28, 0.45  # of its length that a line ends before a corner, or runs past it
LEVEL = 0.5  # cosine of the least angle at a corner, 60 degrees; the largest is 120
SMALLEST = 0.01  # of the picture's area
COVERED = 0.75  # of its perimeter that lines lie on, at least
BEYOND = 0.05  # of the picture's sides that a corner may lie outside of it
SAME = 0.25  # of a box's size, the root of its area: boxes with corners nearer on average repeat it
MOST = 10

# Of a box's score. The authors' own, but for COVER, which they leave out: it tells edges of things
# from lines that happen to meet.
COVER, ANGLES, AREA, CENTRE = 1.5, 1.95, 1.86, 0.14


@dataclass(frozen=True, eq=False, slots=True)
class Boxes:
    """N convex quadrilaterals, the surest first; N may be 0.

    Attributes:
        corners: float32 [N, 4, 2], x and y in pixels of the original picture, clockwise from the
            corner that is farthest to the upper left.
        scores: float32 [N], falling; 1 for an upright rectangle as large as the picture.
    """

    corners: NDArray[np.float32]
    scores: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.corners)


def boxes(lines: Lines) -> Boxes:
    """The boxes among these lines."""
    picture = np.array([lines.width, lines.height], float)
    near = NEAR * float(picture.max()) / CELLS
    sides, _ = joined(lines.ends.astype(float), near=near, share=GAP)
    length = np.hypot(*(sides[:, 2:] - sides[:, :2]).T)
    sides = sides[np.argsort(-length, kind="stable")[:SIDES]]
    points, meet = corners(sides)
    meet &= ((points >= -BEYOND * picture) & (points <= (1 + BEYOND) * picture)).all(axis=-1)
    cycles = four_cycles(meet)
    following = np.roll(cycles, -1, axis=1)
    quads = points[cycles, following]  # [C, 4, 2]; from corner k to the next lies side k + 1
    covered = coverage(quads, sides[following])
    area = np.abs(signed_area(quads)) / picture.prod()
    kept = convex(quads) & (covered >= COVERED) & (area >= SMALLEST)
    quads, covered, area = quads[kept], covered[kept], area[kept]
    away = np.hypot(*(quads.mean(axis=1) - picture / 2).T) / np.hypot(*picture / 2)
    scores = COVER * covered + ANGLES * regularity(quads) + AREA * area - CENTRE * away
    order = np.argsort(-scores, kind="stable")
    quads, scores = clockwise(quads[order]), scores[order] / (COVER + ANGLES + AREA)
    kept = distinct(quads)
    return Boxes(quads[kept].astype(np.float32), scores[kept].astype(np.float32))


def corners(sides: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Where each two lines, drawn on, meet [M, M, 2]; and whether that is a corner [M, M]: at a
    fair angle, and near an end of both."""
    middle = (sides[:, :2] + sides[:, 2:]) / 2
    along = (sides[:, 2:] - sides[:, :2]) / 2
    half = np.maximum(np.hypot(*along.T), 1e-9)
    direction = along / half[:, None]
    sine = _cross(direction[:, None], direction[None])
    level = np.abs(direction @ direction.T) >= LEVEL
    between = middle[None] - middle[:, None]
    # How far from the middle of line i, along it, line j is met.
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = np.where(level, 0, _cross(between, direction[None]) / sine)
    points = middle[:, None] + reach[..., None] * direction[:, None]
    beyond = np.abs(reach) - half[:, None]
    reached = np.where(beyond > 0, beyond / OUTSIDE, -beyond / INSIDE) <= 2 * half[:, None]
    return points, reached & reached.T & ~level


def four_cycles(meet: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Each way round four lines of which each meets the next, once: [C, 4]."""
    found = [np.empty((0, 4), np.intp)]
    for first in range(len(meet)):
        for third in range(first + 1, len(meet)):
            both = np.flatnonzero(meet[first] & meet[third])
            both = both[both > first]  # else the same cycle begins at a smaller number
            second, fourth = (both[which] for which in np.triu_indices(len(both), 1))
            ones = np.ones_like(second)
            found.append(np.stack([first * ones, second, third * ones, fourth], axis=1))
    return np.concatenate(found)


def coverage(quads: Array, sides: Array) -> Array:
    """Share of the perimeters [C] of quadrilaterals [C, 4, 2] that their sides [C, 4, 4] lie on."""
    edge = np.roll(quads, -1, axis=1) - quads
    length = np.maximum(np.hypot(edge[..., 0], edge[..., 1]), 1e-9)
    ends = sides.reshape(*sides.shape[:2], 2, 2) - quads[:, :, None]
    where = (ends * edge[:, :, None]).sum(axis=-1) / length[..., None]
    there = np.minimum(where.max(axis=-1), length) - np.maximum(where.min(axis=-1), 0)
    return np.maximum(there, 0).sum(axis=1) / length.sum(axis=1)


def regularity(quads: Array) -> Array:
    """Mean, over both pairs of opposite angles, of the smaller one over the larger one [C]."""
    after, before = np.roll(quads, -1, axis=1) - quads, np.roll(quads, 1, axis=1) - quads
    angle = np.arctan2(np.abs(_cross(after, before)), (after * before).sum(axis=-1))
    opposite = np.stack([angle[:, :2], angle[:, 2:]])
    return (opposite.min(axis=0) / opposite.max(axis=0)).mean(axis=1)


def convex(quads: Array) -> NDArray[np.bool_]:
    """Whether each corner turns the same way [C]; where sides cross, they do not."""
    edge = np.roll(quads, -1, axis=1) - quads
    turn = _cross(edge, np.roll(edge, -1, axis=1))
    return np.all(turn > 0, axis=1) | np.all(turn < 0, axis=1)


def signed_area(quads: Array) -> Array:
    """In square pixels [C]; positive where the corners go round clockwise, as y points down."""
    return _cross(quads, np.roll(quads, -1, axis=1)).sum(axis=1) / 2


def clockwise(quads: Array) -> Array:
    """The same quadrilaterals, their corners clockwise from the upper left one."""
    quads = np.where(signed_area(quads)[:, None, None] > 0, quads, quads[:, ::-1])
    first = quads.sum(axis=-1).argmin(axis=1)
    turned = (first[:, None] + np.arange(4)) % 4
    return np.take_along_axis(quads, turned[..., None], axis=1)


def distinct(quads: Array) -> NDArray[np.intp]:
    """Numbers of at most MOST quadrilaterals that repeat no earlier one."""
    kept: list[int] = []
    distance = SAME * np.sqrt(np.abs(signed_area(quads)))
    for number, quad in enumerate(quads):
        offsets = quads[kept] - quad
        if (np.hypot(offsets[..., 0], offsets[..., 1]).mean(axis=1) >= distance[kept]).all():
            kept.append(number)
        if len(kept) == MOST:
            break
    return np.array(kept, np.intp)


def _cross(a: Array, b: Array) -> Array:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
