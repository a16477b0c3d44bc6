"""A part of a picture that stands for itself: an object, cut out and set on black."""

import os
from dataclasses import dataclass
from typing import Literal

from PIL import Image

Growth = Literal["official", "symmetric"]


@dataclass(frozen=True, slots=True)
class Region:
    """A grown box of a picture, as a square; a path for all that opens files.

    Attributes:
        path: the picture's file.
        box: left, top, width, height in pixels of the upright picture at full size.
        dilation: the box grows by this share of its width and height.
        growth: `official`: to the left and to the top only, and where the picture's edge is in the
            way the opposite side moves out instead, as GeneCIS's own loader does it (`vaw_dataset`
            of facebookresearch/genecis); `symmetric`: half of it on each side.
    """

    path: str
    box: tuple[float, float, float, float]
    dilation: float = 0.7
    growth: Growth = "official"

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def grown(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Left, top, right, bottom in whole pixels of a picture of that size."""
        sides = (
            self._along(start, length, limit)
            for start, length, limit in zip(
                self.box[:2], self.box[2:], (width, height), strict=True
            )
        )
        (left, right), (top, bottom) = sides
        return round(left), round(top), round(right), round(bottom)

    def _along(self, start: float, length: float, limit: int) -> tuple[float, float]:
        growth = self.dilation * length
        if self.growth == "symmetric":
            return max(0, start - growth / 2), min(limit, start + length + growth / 2)
        first = max(0, start - growth)
        return first, min(limit, first + length + growth)

    def cut(self, image: Image.Image) -> Image.Image:
        """The part, in the middle of a black square of its longer side.

        Raises:
            OSError: the box lies outside of the picture.
        """
        box = self.grown(*image.size)
        if box[0] >= box[2] or box[1] >= box[3]:
            raise OSError(f"its box {self.box} is outside of {image.width} x {image.height} pixels")
        part = image.crop(box)
        side = max(part.size)
        square = Image.new("RGB", (side, side))
        square.paste(part, ((side - part.width) // 2, (side - part.height) // 2))
        return square
