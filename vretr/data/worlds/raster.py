"""Filled shapes with exact edges, by integer arithmetic alone.

A canvas is divided `FINE` times finer than its pixels, and a shape's corners lie on that finer
grid; a fine cell belongs to the shape when its centre does (even-odd rule). A pixel takes the
colour in proportion to its cells. Pillow's own polygons are not used: they grow by half a cell on
each side, and how they are filled has changed between versions.
"""

from collections.abc import Sequence
from math import cos, radians, sin

import numpy as np
from numpy.typing import NDArray

FINE = 4  # fine cells along a pixel's side
_ONE = 2**14  # fixed-point 1 of sines and cosines: no machine rounds them differently at this step

Colour = tuple[int, int, int]
Corners = NDArray[np.int64]  # [n, 2], x and y in fine cells


def turned(points: Sequence[tuple[float, float]], degrees: float) -> Corners:
    """Points of the unit circle's plane, turned clockwise on the screen, in fixed point."""
    c, s = (round(f(radians(degrees)) * _ONE) for f in (cos, sin))
    x, y = (np.array([round(point[axis] * _ONE) for point in points]) for axis in (0, 1))
    return np.stack([(x * c - y * s) // _ONE, (x * s + y * c) // _ONE], axis=1)


def placed(shape: Corners, centre: tuple[int, int], radius: int) -> Corners:
    """Fixed-point corners as corners on the canvas, radius and centre in fine cells."""
    return (shape * radius + _ONE // 2) // _ONE + np.array(centre)


def fill_polygons(canvas: NDArray[np.uint8], faces: Sequence[tuple[Corners, Colour]]) -> None:
    """Fills simple polygons on `canvas` [H, W, 3], which must hold them; later ones lie on top.

    Faces that share an edge leave no seam between them, and one on top of another moves no edge:
    pixels are mixed only when all cells have their face.
    """
    every = np.concatenate([corners for corners, _ in faces])
    low, high = every.min(axis=0), every.max(axis=0)
    x, y = _cell_centres(low, high)
    corner = (x[0, 0] // 2, y[0, 0] // 2)
    face_of = np.zeros((y.size, x.size), dtype=np.uint8)
    for number, (corners, _) in enumerate(faces, start=1):
        columns, rows = (
            slice(first, last)
            for first, last in zip(corners.min(0) - corner, corners.max(0) - corner, strict=True)
        )
        face_of[rows, columns][_inside(corners, x[:, columns], y[rows])] = number
    masks = [face_of == number for number in range(1, len(faces) + 1)]
    _blend(canvas, low, [(mask, colour) for mask, (_, colour) in zip(masks, faces, strict=True)])


def fill_ring(
    canvas: NDArray[np.uint8], centre: tuple[int, int], *, outer: int, inner: int, colour: Colour
) -> None:
    """Fills the cells between two circles (a disc where `inner` is 0); lengths in fine cells."""
    low, high = np.array(centre) - outer, np.array(centre) + outer
    x, y = _cell_centres(low, high)
    distance = (x - 2 * centre[0]) ** 2 + (y - 2 * centre[1]) ** 2
    inside = (distance <= 4 * outer**2) & (distance >= 4 * inner**2)
    _blend(canvas, low, [(inside, colour)])


def _cell_centres(low: Corners, high: Corners) -> tuple[Corners, Corners]:
    """Doubled coordinates (so that they are whole) of the cells of all pixels in a box."""
    low, high = low // FINE * FINE, -(-high // FINE) * FINE
    x = 2 * np.arange(low[0], high[0])[None, :] + 1
    y = 2 * np.arange(low[1], high[1])[:, None] + 1
    return x, y


def _inside(corners: Corners, x: Corners, y: Corners) -> NDArray[np.bool_]:
    """Which cells lie in the polygon: those with an odd number of edges to their right."""
    inside = np.zeros((y.size, x.size), dtype=bool)
    for start, end in zip(2 * corners, 2 * np.roll(corners, -1, axis=0), strict=True):
        (x1, y1), (x2, y2) = (start, end) if start[1] < end[1] else (end, start)
        rows = slice((y1 - y[0, 0] + 1) // 2, (y2 - y[0, 0] + 1) // 2)
        # The cell is left of the edge: (x - x1) / (x2 - x1) < (y - y1) / (y2 - y1), undivided.
        inside[rows] ^= (x - x1) * (y2 - y1) < (y[rows] - y1) * (x2 - x1)
    return inside


def _blend(
    canvas: NDArray[np.uint8], low: Corners, layers: list[tuple[NDArray[np.bool_], Colour]]
) -> None:
    """Mixes colours into the box at `low`, in proportion to the cells of each; no cell has two."""
    height, width = (side // FINE for side in layers[0][0].shape)
    left, top = (int(value) // FINE for value in low)
    box = canvas[top : top + height, left : left + width]
    whole = FINE * FINE
    mixed = box.astype(np.int32) * whole
    for inside, colour in layers:
        share = inside.reshape(height, FINE, width, FINE).sum(axis=(1, 3), dtype=np.int32)[
            ..., None
        ]
        mixed += share * (np.array(colour) - box)
    box[...] = (mixed + whole // 2) // whole
