"""Pictures that are made for a picture: the overlay and cut-out boxes. Drawn in other processes."""

import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from lsd.boxes import Boxes
from lsd.drawing import MOST_PIXELS, overlay
from lsd.lines import Lines
from lsd.rectifying import rectified
from vretr import images
from vretr.images import Unreadable
from vretr.paths import atomic_write

SOFTWARE = "vretr detect-lines"  # by which a PNG of ours is known


@dataclass(frozen=True, eq=False, slots=True)
class Drawing:
    """What is to be drawn of a picture.

    Attributes:
        overlay: whether, and with which boxes.
        crops: corners [N, 4, 2] of what is to be cut out.
    """

    path: Path
    lines: Lines
    boxes: Boxes | None
    overlay: bool
    crops: NDArray[np.float32]

    def __fspath__(self) -> str:
        return os.fspath(self.path)


def draw(drawing: Drawing) -> list[bytes] | Unreadable:
    """The overlay, if it is wanted, and the cut-outs, as PNG files."""
    target = None if len(drawing.crops) else round(MOST_PIXELS**0.5)
    image = images.open(drawing.path, target=target)
    if isinstance(image, Unreadable):
        return image
    drawn = [overlay(image, drawing.lines, drawing.boxes)] if drawing.overlay else []
    return [_png(each) for each in (*drawn, *(rectified(image, box) for box in drawing.crops))]


def _png(image: Image.Image) -> bytes:
    about = PngInfo()
    about.add_text("Software", SOFTWARE)
    file = io.BytesIO()
    image.save(file, "PNG", pnginfo=about, compress_level=4)
    return file.getvalue()


def is_foreign(file: Path) -> bool:
    """Whether there is such a file and this command has not written it."""
    if not file.exists():
        return False
    try:
        with Image.open(file, formats=("PNG",)) as image:
            return image.info.get("Software") != SOFTWARE
    except (UnidentifiedImageError, OSError):
        return True


def write(file: Path, content: bytes) -> None:
    """Writes a file and the folders that it needs; all of it or nothing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as opened:
        opened.write(content)
