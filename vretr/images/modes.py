"""Any of Pillow's modes to RGB, so that the picture looks as its maker saw it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def to_rgb(image: Image.Image) -> Image.Image:
    """A loaded picture of any mode as RGB.

    - Transparency (alpha, a transparent palette entry or colour): laid over white, as on paper.
    - 16 bits (`I;16`): the upper 8. `I` with values of 16 bits likewise; `F` within 0..1 is
      multiplied by 255, within 0..255 taken as it is; any other range of `I` and `F` is stretched
      to black..white. (Pillow's own conversion clips all of them.)
    - CMYK, Lab, YCbCr, HSV, palette, grey, 1 bit: Pillow's conversion; no colour profiles.
    """
    if image.mode.startswith(("I", "F")):
        return _grey(np.asarray(image)).convert("RGB")
    if image.has_transparency_data:
        return _over_white(image.convert("RGBA"))
    return image if image.mode == "RGB" else image.convert("RGB")


def _over_white(image: Image.Image) -> Image.Image:
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(image, mask=image)
    return canvas


def _grey(values: NDArray[Any]) -> Image.Image:
    if values.dtype.kind == "u":
        return Image.fromarray((values >> 8).astype(np.uint8))
    numbers = values.astype(np.float32)
    numbers[~np.isfinite(numbers)] = 0
    low, high = float(numbers.min()), float(numbers.max())
    if values.dtype.kind == "i" and low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0
    elif values.dtype.kind == "f" and low >= 0 and high <= 255:
        low, high = 0.0, 1.0 if high <= 1 else 255.0
    numbers -= low
    numbers *= 255 / (high - low or 1.0)
    return Image.fromarray(np.clip(np.rint(numbers), 0, 255).astype(np.uint8))
