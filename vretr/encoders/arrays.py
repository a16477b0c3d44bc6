"""Pictures as uint8 arrays, without torch."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vretr.images import Preprocessing
from vretr.images.modes import to_rgb

if TYPE_CHECKING:
    from vretr.encoders.base import Images


def uint8_array(images: "Images", preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Pictures as uint8 [B, 3, S, S]; pixels that are uint8 already pass as they are.

    Raises:
        ValueError: pixels of another shape or dtype.
    """
    size = preprocessing.size
    pixels: NDArray[Any]
    if isinstance(images, np.ndarray):
        pixels = images
    elif hasattr(images, "numpy"):  # a torch Tensor, known without importing torch
        pixels = images.numpy(force=True)
    else:
        pictures = [preprocessing.pixels(to_rgb(picture)) for picture in images]
        stack = np.stack(pictures) if pictures else np.empty((0, size, size, 3), np.uint8)
        pixels = stack.transpose(0, 3, 1, 2)
    if pixels.dtype != np.uint8 or pixels.shape[1:] != (3, size, size):
        raise ValueError(
            f"pixels are uint8 [B, 3, {size}, {size}], not {pixels.dtype} {list(pixels.shape)}"
        )
    return pixels
