"""A training picture seen otherwise, and its lines with it: turned, cut, slanted, recoloured.

The window that is shown never leaves the picture: what would lie outside has no pixels, and the
border between the two would be a straight line that nobody marked.
"""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from lsd.lines import Lines, clipped

Random = np.random.Generator
Matrix = NDArray[np.float64]

LEAST = 4.0  # pixels that a line must keep inside the window, else it cannot be told
SPAN = (0.5, 1.0)  # of the window, as a share of the largest that fits
STRETCH = 1.25  # at most, of one side against the other
TURN, SLANT = math.radians(30), 0.2  # at most, to either side
GREY = 0.1  # share of pictures without colour


def whole() -> Matrix:
    """The view of all of the picture, squashed."""
    return np.eye(2, 3)


def drawn_view(random: Random) -> Matrix:
    """A random view: half of them level; flipped and turned by quarters; nearer or less near.

    Returns:
        [2, 3], from points of the window to points of the picture, both of which reach from -1 to
        1 in x and y; windows lie within the picture.
    """
    view = np.eye(2)
    if random.random() < 0.5:
        turn, slant = random.uniform(-TURN, TURN), random.uniform(-SLANT, SLANT)
        c, s = math.cos(turn), math.sin(turn)
        view = np.array([[c, -s], [s, c]]) @ np.array([[1, slant], [0, 1]])
    stretch = STRETCH ** random.uniform(-0.5, 0.5)
    view = view @ np.diag([stretch, 1 / stretch])
    view *= random.uniform(*SPAN) / np.abs(view).sum(axis=1).max()
    slack = 1 - np.abs(view).sum(axis=1)
    place = random.uniform(-slack, slack)
    flips = np.diag(random.choice([-1, 1], 2))
    if random.random() < 0.5:
        flips = flips[::-1]  # x and y change places: with flips, a quarter turn
    return np.hstack([view @ flips, place[:, None]])


def seen(
    image: Image.Image, lines: NDArray[np.floating], view: Matrix, size: int
) -> tuple[Image.Image, NDArray[np.float32]]:
    """The view of a picture as a square, and the lines in it.

    Args:
        image: RGB.
        lines: [N, 4] in its pixels; a whole number lies between two pixels, as in `lines.Lines`.
        view: [2, 3], see `drawn_view`.
        size: side of the square in pixels.

    Returns:
        The square, and the parts [M, 4] of lines that lie in it, in its pixels.
    """
    across = np.array(image.size)
    # Bilinear sampling takes four pixels: what would be skipped is averaged beforehand.
    shrink = int(np.min(np.abs(view[:, :2]).max(axis=1) * across / size))
    if shrink > 1:
        image = image.resize(tuple(-(-across // shrink)), Image.Resampling.BOX)
    to_pixels = np.array(image.size) / 2
    steps = view[:, :2] * to_pixels[:, None] * (2 / size)  # pixels of the picture, per pixel
    start = (view[:, 2] - view[:, :2].sum(axis=1) + 1) * to_pixels
    square = image.transform(
        (size, size),
        Image.Transform.AFFINE,
        tuple(np.hstack([steps, start[:, None]]).ravel()),
        Image.Resampling.BILINEAR,
    )
    points = np.asarray(lines, np.float64).reshape(-1, 2) * 2 / across - 1
    points = (points - view[:, 2]) @ np.linalg.inv(view[:, :2]).T
    ends = ((points + 1) * size / 2).astype(np.float32).reshape(-1, 4)
    inside = clipped(Lines(ends, np.zeros(len(ends), np.float32), size, size))
    return square, inside.ends[inside.lengths >= LEAST]


def recoloured(image: Image.Image, random: Random) -> Image.Image:
    """The picture in other light: less or more colour, contrast, brightness, and a tint."""
    grey = ImageOps.grayscale(image).convert("RGB")
    colour = 0 if random.random() < GREY else random.uniform(0.5, 1.3)
    image = Image.blend(grey, image, colour)
    gamma = 2 ** random.uniform(-0.5, 0.5)
    contrast, brightness = random.uniform(0.6, 1.2), random.uniform(-0.15, 0.15)
    level = np.linspace(0, 1, 256) ** gamma
    tints = random.uniform(0.9, 1.1, 3)
    tables = [((level - 0.5) * contrast + 0.5 + brightness) * tint for tint in tints]
    return image.point((np.clip(np.concatenate(tables), 0, 1) * 255).round().astype(int).tolist())
