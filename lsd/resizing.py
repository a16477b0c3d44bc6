"""A picture of any size as the square that the network takes: squashed, as its authors do."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Resize = Literal["area", "bilinear"]


def squashed(image: Image.Image, size: int, resize: Resize = "area") -> NDArray[np.uint8]:
    """RGB pixels [size, size, 3].

    `area` averages what a pixel covers where the picture shrinks on both sides, and is bilinear
    elsewhere, as the authors' code does. `bilinear` mixes the four nearest pixels always.
    """
    if image.size == (size, size):
        return np.asarray(image)
    if resize == "area" and min(image.size) >= size:
        return np.asarray(image.resize((size, size), Image.Resampling.BOX))
    width, height = image.size
    across, down = width / size, height / size
    # Not `resize`, whose bilinear filter grows where the picture shrinks.
    return np.asarray(
        image.transform(
            (size, size),
            Image.Transform.AFFINE,
            (across, 0, 0, 0, down, 0),
            Image.Resampling.BILINEAR,
        )
    )
