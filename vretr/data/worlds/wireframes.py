"""Pictures of boxes, facades and polygons in which the place of every line is known.

Each shape has a cell of the picture to itself, so none hides another: what `lines` lists is
visible from end to end, and what is straight in the picture is listed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vretr.data.worlds.drawing import add_noise, edges
from vretr.data.worlds.raster import FINE, Colour, Corners, fill_polygons, placed, turned


@dataclass(frozen=True, eq=False, slots=True)
class Wireframe:
    """A picture with its lines [N, 4] and the points where they meet [M, 2], float32 in pixels.

    Coordinates are of the plane, as in `drawing.lines`: a whole number lies between two pixels.
    """

    picture: Image.Image
    lines: NDArray[np.float32]
    junctions: NDArray[np.float32]


Face = tuple[Corners, int]  # corners in fine cells, grey value


def wireframe(number: int, *, seed: int = 0, size: int = 256, noise: int = 4) -> Wireframe:
    """The wireframe of that number: one to nine shapes on a grid, in grey tones with a tint."""
    random = Random(f"{seed} wireframe {number}")
    across = 1 + int(random.random() * 3)
    cell = size * FINE // across
    canvas = np.full((size, size, 3), 225, dtype=np.uint8)
    found = []
    for row in range(across):
        for column in range(across):
            centre = (cell * column + cell // 2, cell * row + cell // 2)
            kind = KINDS[int(random.random() * len(KINDS))]
            tint = [int(random.random() * 30) for _ in range(3)]
            faces = kind(random, centre, cell * 9 // 20)
            fill_polygons(canvas, [(corners, _tinted(grey, tint)) for corners, grey in faces])
            found += [edges(corners) for corners, _ in faces]
    lines = _unique(np.concatenate(found))
    junctions = np.unique(lines.reshape(-1, 2), axis=0)
    if noise:
        canvas = add_noise(canvas, noise, seed=int(random.random() * 2**48))
    return Wireframe(Image.fromarray(canvas), lines, junctions)


def _tinted(grey: int, tint: list[int]) -> Colour:
    red, green, blue = (grey + part for part in tint)
    return red, green, blue


def _polygon(random: Random, centre: tuple[int, int], radius: int) -> list[Face]:
    """A triangle to hexagon with its corners on a circle, at least half a step apart."""
    n = 3 + int(random.random() * 4)
    turn = random.random() * 360
    corners = [turned([(1.0, 0.0)], turn + 360 / n * (i + 0.5 * random.random())) for i in range(n)]
    return [(placed(np.concatenate(corners), centre, radius), 60)]


def _facade(random: Random, centre: tuple[int, int], radius: int) -> list[Face]:
    """A slanted wall with two to three rows and columns of windows."""
    slant, turn = 0.4 * (random.random() - 0.5), 60 * random.random() - 30
    rows, columns = (2 + int(random.random() * 2) for _ in range(2))

    def wall(left: float, top: float, right: float, bottom: float) -> Corners:
        flat = [(left, top), (right, top), (right, bottom), (left, bottom)]
        return placed(
            turned([(0.6 * (x + slant * y), 0.6 * y) for x, y in flat], turn), centre, radius
        )

    windows = [
        wall(
            2 * c / columns - 0.8,
            2 * r / rows - 0.8,
            2 * (c + 1) / columns - 1.2,
            2 * (r + 1) / rows - 1.2,
        )
        for r in range(rows)
        for c in range(columns)
    ]
    return [(wall(-1, -1, 1, 1), 130), *((window, 40) for window in windows)]


def _box(random: Random, centre: tuple[int, int], radius: int) -> list[Face]:
    """A box seen from a corner: three faces that meet in a point, each of another grey."""
    angles = [90 + 20 * (random.random() - 0.5), 210 + 30 * (random.random() - 0.5)]
    angles.append(330 + 30 * (random.random() - 0.5))
    a, b, c = (
        placed(turned([(0.5 + 0.2 * random.random(), 0.0)], angle), (0, 0), radius)[0]
        for angle in angles
    )
    o = np.array(centre)
    # The silhouette, under the two others, is the third face.
    silhouette = np.stack([o + a, o + a + b, o + b, o + b + c, o + c, o + c + a])
    faces = [
        (np.stack([o, o + p, o + p + q, o + q]), grey) for p, q, grey in ((a, b, 50), (b, c, 160))
    ]
    return [(silhouette, 105), *faces]


KINDS: tuple[Callable[[Random, tuple[int, int], int], list[Face]], ...] = (_polygon, _facade, _box)


def _unique(lines: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each line once, whichever end it starts from: the faces of a box share edges."""
    ends = lines.reshape(-1, 2, 2)
    first_is_left = (ends[:, :1] <= ends[:, 1:]).all(axis=2) | (ends[:, :1, 0] < ends[:, 1:, 0])
    sorted_ends = np.where(first_is_left[..., None], ends, ends[:, ::-1])
    return np.unique(sorted_ends.reshape(-1, 4), axis=0)
