"""A scene becomes pixels, and the exact lines in them."""

from collections.abc import Iterator
from functools import cache
from math import cos, pi, sin
from random import Random

import numpy as np
from numpy.typing import NDArray

from vretr.data.worlds.raster import (
    FINE,
    Colour,
    Corners,
    fill_polygons,
    fill_ring,
    placed,
    turned,
)
from vretr.data.worlds.scenes import VOCABULARY, Group, Scene

COLOURS: dict[str, Colour] = {
    "red": (220, 30, 30),
    "green": (30, 150, 50),
    "blue": (40, 70, 220),
    "yellow": (240, 215, 30),
    "orange": (245, 135, 20),
    "purple": (140, 50, 170),
    "brown": (120, 75, 35),
    "pink": (250, 150, 185),
    "white": (245, 245, 245),
    "grey": (150, 150, 150),
    "black": (20, 20, 20),
}
RADIUS = {"small": 6, "large": 10}  # of 64: three large shapes just fit into a half's length
PARTS = {  # left, top, right, bottom, of 64
    "left": (0, 0, 32, 64),
    "right": (32, 0, 64, 64),
    "top": (0, 0, 64, 32),
    "bottom": (0, 32, 64, 64),
    "middle": (16, 0, 48, 64),
}
HOLE = 0.55  # a ring's inner radius
TURN = 15  # degrees to either side: a cross stays a cross


@cache
def _outline(shape: str) -> tuple[tuple[float, float], ...]:
    """Corners in the unit circle, y downwards."""
    if shape == "cross":
        arm, reach = 0.3, 0.95
        corner = [(arm, -reach), (arm, -arm), (reach, -arm)]
        return tuple(p for turn in range(4) for p in (_quarter(*xy, turn) for xy in corner))
    n, inner = {"square": (4, 1.0), "triangle": (3, 1.0), "star": (5, 0.42)}[shape]
    first = pi / 4 if shape == "square" else 0.0
    steps = range(n if inner == 1 else 2 * n)
    angles = [first + 2 * pi * step / len(steps) for step in steps]
    reach_of = [1.0 if inner == 1 or step % 2 == 0 else inner for step in steps]
    return tuple((r * sin(a), -r * cos(a)) for r, a in zip(reach_of, angles, strict=True))


def _quarter(x: float, y: float, turns: int) -> tuple[float, float]:
    for _ in range(turns):
        x, y = -y, x
    return x, y


def _poses(scene: Scene, size: int) -> Iterator[tuple[Group, tuple[int, int], int, float]]:
    """Group, centre, radius (fine cells) and turn (degrees) of every single shape.

    Each group takes the same number of draws whatever it is, so that an edit of one group moves
    nothing in the other.
    """
    random = Random(scene.pose)
    for group in scene.groups:
        draws = [random.random() for _ in range(3 * len(VOCABULARY["count"]))]
        left, top, right, bottom = (edge * size * FINE // 64 for edge in PARTS[group.place])
        radius = RADIUS[group.size] * size * FINE // 64
        tall = bottom - top > right - left
        for i in range(group.number):
            lanes = [(left, right), (top, bottom)]
            start, end = lanes[tall]
            step = (end - start) // group.number
            lanes[tall] = (start + i * step, start + (i + 1) * step)
            x, y = (
                low + radius + int(u * (high - low - 2 * radius + 1))
                for (low, high), u in zip(lanes, draws[3 * i : 3 * i + 2], strict=True)
            )
            yield group, (x, y), radius, (2 * draws[3 * i + 2] - 1) * TURN


def _corners(group: Group, centre: tuple[int, int], radius: int, turn: float) -> Corners:
    return placed(turned(_outline(group.shape), turn), centre, radius)


def pixels(scene: Scene, size: int, *, noise: int = 0) -> NDArray[np.uint8]:
    """The scene as RGB, uint8 [size, size, 3]; each value off by at most `noise`."""
    canvas = np.empty((size, size, 3), dtype=np.uint8)
    canvas[:] = COLOURS[scene.background]
    for group, centre, radius, turn in _poses(scene, size):
        colour = COLOURS[group.colour]
        if group.shape in ("circle", "ring"):
            inner = int(radius * HOLE) if group.shape == "ring" else 0
            fill_ring(canvas, centre, outer=radius, inner=inner, colour=colour)
        else:
            fill_polygons(canvas, [(_corners(group, centre, radius, turn), colour)])
    return add_noise(canvas, noise, seed=scene.pose) if noise else canvas


def lines(scene: Scene, size: int) -> NDArray[np.float32]:
    """The straight edges in the picture: float32 [N, 4] of x1, y1, x2, y2 in pixels.

    Coordinates are of the plane, not of pixel centres: the picture covers [0, size] x [0, size],
    and the pixel in column c and row r covers [c, c + 1) x [r, r + 1). Subtract 0.5 for a
    convention in which whole numbers are pixel centres. Circles and rings have no lines.
    """
    found = [
        edges(_corners(*pose))
        for pose in _poses(scene, size)
        if pose[0].shape not in ("circle", "ring")
    ]
    return np.concatenate([np.empty((0, 4), np.float32), *found])


def edges(corners: Corners) -> NDArray[np.float32]:
    """The sides of a polygon given in fine cells: [n, 4] in pixels."""
    return (np.hstack([corners, np.roll(corners, -1, axis=0)]) / FINE).astype(np.float32)


def add_noise(picture: NDArray[np.uint8], noise: int, *, seed: int) -> NDArray[np.uint8]:
    """The picture with each value moved by a whole number from -noise to noise."""
    # random_raw and not a distribution: only the raw stream is promised to stay the same.
    raw = np.random.PCG64(seed).random_raw((picture.size + 7) // 8)
    spread = raw.view(np.uint8)[: picture.size].reshape(picture.shape) % (2 * noise + 1)
    return np.clip(picture.astype(np.int16) + spread - noise, 0, 255).astype(np.uint8)
