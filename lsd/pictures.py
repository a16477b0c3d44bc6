"""Pictures that are written for a picture: the overlay and cut-out boxes. In decoding processes."""

import os
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from lsd.boxes import Boxes
from lsd.drawing import MOST_PIXELS, overlay
from lsd.lines import Lines
from lsd.rectifying import rectified
from vretr import images
from vretr.images import Unreadable
from vretr.paths import atomic_write, display

SOFTWARE = "vretr detect-lines"  # by which a PNG of ours is known


@dataclass(frozen=True, eq=False, slots=True)
class Drawing:
    """What is to be written for a picture, and where; None: nothing.

    Attributes:
        crops: a file for each box.
    """

    path: Path
    lines: Lines
    boxes: Boxes | None
    overlay: Path | None
    crops: tuple[Path, ...]

    def __fspath__(self) -> str:
        return os.fspath(self.path)


def draw(drawing: Drawing) -> list[Path] | Unreadable:
    """Writes the files and says which."""
    whole = bool(drawing.crops)
    target = None if whole else round(MOST_PIXELS**0.5)
    image = images.open(drawing.path, target=target)
    if isinstance(image, Unreadable):
        return image
    files = [file for file in (drawing.overlay, *drawing.crops) if file is not None]
    for file in files:
        if file.exists() and not _ours(file):
            reason = f"{display(file)} is there already and was not written by {SOFTWARE}"
            return Unreadable(drawing.path, reason)
    if drawing.overlay is not None:
        _write(overlay(image, drawing.lines, drawing.boxes), drawing.overlay)
    if drawing.boxes is not None:
        for file, corners in zip(drawing.crops, drawing.boxes.corners, strict=bool(drawing.crops)):
            _write(rectified(image, corners), file)
    return files


def _ours(file: Path) -> bool:
    try:
        with Image.open(file, formats=("PNG",)) as image:
            return image.info.get("Software") == SOFTWARE
    except (UnidentifiedImageError, OSError):
        return False


def _write(image: Image.Image, file: Path) -> None:
    about = PngInfo()
    about.add_text("Software", SOFTWARE)
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as stream:
        image.save(stream, "PNG", pnginfo=about, compress_level=4)
