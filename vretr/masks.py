"""Masks of query pictures: which part is to be another, from a picture or from a box.

vretr query --image room.jpg --mask sofa.png --text "a piano" --composer runs/x
"""

from pathlib import Path

import numpy as np
from PIL import Image

from vretr import images
from vretr.errors import UsageError, VretrError
from vretr.images.decode import FULL_SIZE
from vretr.images.masked import Mask, seen_mask
from vretr.paths import display

Box = tuple[int, int, int, int]  # left, top, width, height in pixels of the upright picture
Given = Path | Box
"""A mask as a file, white where the picture is to be another, or as a box."""

GREY = (128, 128, 128)
VEIL = 0.85  # share of the grey where a mask is shown


def mask_of(picture: Image.Image, name: Path, seen: images.Preprocessing, given: Given) -> Mask:
    """The mask as the encoder sees it, bool [S, S], true where the picture is not shown.

    Args:
        picture: as it was opened, perhaps at a reduced scale.
        name: what sentences call it.
        given: a picture of the same size, white where the mask is; or a box.

    Raises:
        UsageError: it is missing, of another size, all black or all white, or the encoder sees
            nothing of it or nothing but it.
        VretrError: it cannot be read.
    """
    mask = seen_mask(_shades(picture, name, given), seen)
    if not mask.any():
        raise UsageError(
            f"The mask of {display(name)} lies outside of what the encoder sees of it, the middle "
            "square."
        )
    if mask.all():
        raise UsageError(
            f"The mask covers all that the encoder sees of {display(name)}: ask by words alone "
            "instead."
        )
    return mask


def shown(picture: Image.Image, name: Path, given: Given) -> Image.Image:
    """The picture for people, with the masked part under grey.

    Raises:
        UsageError, VretrError: as `mask_of`, but for what the encoder sees.
    """
    shades = _shades(picture, name, given).resize(picture.size)
    grey = Image.new("RGB", picture.size, GREY)
    return Image.composite(Image.blend(picture, grey, VEIL), picture, shades)


def _shades(picture: Image.Image, name: Path, given: Given) -> Image.Image:
    """The mask in the full size of the picture, white where it is to be another."""
    size: tuple[int, int] = picture.info.get(FULL_SIZE, picture.size)
    return _opened(given, name, size) if isinstance(given, Path) else _drawn(given, name, size)


def _opened(file: Path, name: Path, size: tuple[int, int]) -> Image.Image:
    if not file.is_file():
        raise UsageError(f"There is no mask {display(file)}.")
    found = images.open(file)
    if isinstance(found, images.Unreadable):
        raise VretrError(f"The mask {display(file)} cannot be read: {found.reason}.")
    if found.size != size:
        raise UsageError(
            f"The mask {display(file)} has {found.width} x {found.height} pixels and "
            f"{display(name)} {size[0]} x {size[1]}: they must have the same."
        )
    shades = found.convert("L")
    white = np.asarray(shades) > 127
    if not white.any():
        raise UsageError(
            f"The mask {display(file)} is black all over: it must be white where the picture is "
            "to be another."
        )
    if white.all():
        raise UsageError(
            f"The mask {display(file)} is white all over and leaves nothing of the picture: ask "
            "by words alone instead."
        )
    return shades


def _drawn(box: Box, name: Path, size: tuple[int, int]) -> Image.Image:
    left, top, width, height = box
    corners = (max(left, 0), max(top, 0), min(left + width, size[0]), min(top + height, size[1]))
    if corners[0] >= corners[2] or corners[1] >= corners[3]:
        raise UsageError(
            f"The box {','.join(map(str, box))} lies outside of {display(name)}, which has "
            f"{size[0]} x {size[1]} pixels."
        )
    shades = Image.new("L", size)
    shades.paste(255, corners)
    return shades
