"""Lines drawn over their picture, to look at: thin, smooth, coloured by score, ends marked."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from lsd.boxes import Boxes
from lsd.lines import Lines

MOST_PIXELS = 4_000_000  # of an overlay; a larger picture is shrunk
FINER = 4  # times, each way: Pillow draws no smooth line, so what it draws is averaged
BAND = 64  # rows that are drawn at once, to spare memory
WIDTH = 1 / 360  # of a line, as a share of the shorter side; at least MIN_WIDTH pixels
MIN_WIDTH = 1.2

# Colours of the scores 0, 1/3, 2/3 and 1; between them, mixed.
SCALE = np.array([(110, 70, 230), (235, 60, 140), (255, 140, 40), (255, 235, 60)], float)
SHADE = (0, 0, 0, 100)  # beside each line, so that it shows on anything
EDGE, INSIDE = (40, 225, 185, 255), (40, 225, 185, 50)  # of a box

Array = NDArray[np.floating]


def overlay(image: Image.Image, lines: Lines, found: Boxes | None = None) -> Image.Image:
    """A picture with its lines, and boxes.

    Args:
        image: the picture, in RGB, perhaps smaller than the one that was measured.
    """
    shrink = min(1.0, (MOST_PIXELS / (image.width * image.height)) ** 0.5)
    size = (max(1, round(image.width * shrink)), max(1, round(image.height * shrink)))
    canvas = image.copy() if image.size == size else image.resize(size, Image.Resampling.LANCZOS)
    scale = FINER * np.array(size) / (lines.width, lines.height)
    width = FINER * max(MIN_WIDTH, WIDTH * min(size))
    # Whole numbers, as Pillow would round them differently in each band. The surest line is last,
    # above all others.
    ends = np.rint(lines.ends * np.tile(scale, 2))[::-1]
    inks = colours(lines.scores)[::-1]
    quads = np.empty((0, 4, 2)) if found is None else np.rint(found.corners * scale)[::-1]
    for top in range(0, size[1], BAND):
        bottom = min(top + BAND, size[1])
        layer = Image.new("RGBA", (size[0] * FINER, (bottom - top) * FINER))
        pen = ImageDraw.Draw(layer)
        near = _crosses(ends[:, 1::2], top * FINER, bottom * FINER, 3 * width)
        down = np.array([0, top * FINER])
        _draw_boxes(pen, quads - down, width)
        _draw_lines(pen, ends[near] - np.tile(down, 2), inks[near], width)
        place = (0, top, size[0], bottom)
        band = Image.alpha_composite(canvas.crop(place).convert("RGBA"), layer.reduce(FINER))
        canvas.paste(band.convert("RGB"), place)
    return canvas


def colours(scores: NDArray[np.float32]) -> NDArray[np.uint8]:
    """RGB [N, 3] of scores in [0, 1]."""
    at = np.linspace(0, 1, len(SCALE))
    return np.stack([np.interp(scores, at, channel) for channel in SCALE.T], axis=1).astype(
        np.uint8
    )


def _crosses(y: Array, top: float, bottom: float, margin: float) -> NDArray[np.bool_]:
    return (y.min(axis=1) < bottom + margin) & (y.max(axis=1) > top - margin)


def _draw_boxes(pen: ImageDraw.ImageDraw, quads: Array, width: float) -> None:
    for quad in quads:
        pen.polygon([*quad.ravel()], fill=INSIDE)
    for quad in quads:
        closed = [*quad.ravel(), *quad[:2].ravel()]
        pen.line(closed, fill=EDGE, width=round(2 * width), joint="curve")


def _draw_lines(
    pen: ImageDraw.ImageDraw, ends: Array, inks: NDArray[np.uint8], width: float
) -> None:
    for line in ends:
        pen.line([*line], fill=SHADE, width=round(2.4 * width))
    for line, ink in zip(ends, inks, strict=True):
        pen.line([*line], fill=(*map(int, ink), 255), width=round(width))
    for line, ink in zip(ends, inks, strict=True):
        for centre in line.reshape(2, 2):
            for radius, fill in ((1.7 * width, (*map(int, ink), 255)), (0.9 * width, "white")):
                pen.ellipse([*(centre - radius), *(centre + radius)], fill=fill)
