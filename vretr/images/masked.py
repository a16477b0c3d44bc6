"""A picture of which a part is not shown: grey, where its mask is true.

A mask is measured in what the encoder sees, bool [S, S]: a picture and its mask are resized and cut
alike first. Grey is the encoder's mean, which becomes 0 where pixels are normalised (CompoDiff).
"""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from vretr.images.preprocessing import Preprocessing

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Masked:
    """A picture with a box that is not shown; a path for all that opens files.

    Attributes:
        path: the picture's file.
        box: left, top, width, height, as shares of the square that the encoder sees.
    """

    path: str
    box: tuple[float, float, float, float]

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def mask(self, size: int) -> Mask:
        """bool [size, size]: the places whose middle is in the box."""
        left, top, width, height = self.box
        middle = (np.arange(size) + 0.5) / size
        across = (left <= middle) & (middle < left + width)
        down = (top <= middle) & (middle < top + height)
        return down[:, None] & across


def blanked(pixels: NDArray[np.uint8], mask: Mask, seen: "Preprocessing") -> NDArray[np.uint8]:
    """Pixels uint8 [S, S, 3], grey where the mask [S, S] is true."""
    grey = np.rint(255 * np.array(seen.mean)).astype(np.uint8)
    return np.where(mask[..., None], grey, pixels)


def seen_mask(mask: Image.Image, seen: "Preprocessing") -> Mask:
    """What an encoder sees of a mask of the picture's size, white where it is true: bool [S, S]."""
    return seen.pixels(mask.convert("RGB")).max(axis=2) > 127


def resized(mask: Mask, size: int) -> Mask:
    """A square mask at another size, thresholded again at one half."""
    if len(mask) == size:
        return mask
    shades = Image.fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(shades.resize((size, size), Image.Resampling.BILINEAR)) > 127
