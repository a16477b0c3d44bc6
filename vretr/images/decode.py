"""The only place that decodes pictures."""

import contextlib
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, UnidentifiedImageError
from PIL.ExifTags import Base as Tag

from vretr.images.files import Opened, Unreadable, open_regular, why
from vretr.images.formats import FORMATS, HEAD, enable_heif, is_heif
from vretr.images.modes import to_rgb
from vretr.paths import display

# The largest photo that phones take today is 16320 x 12240 (199.8 million). Decoded at full size it
# takes 800 MB, since Pillow keeps four bytes a pixel for RGB.
MAX_PIXELS = 200_000_000

# Key of `image.info`: width and height of the upright picture before it was decoded at reduced
# scale, which rounds them up. Without them `Preprocessing` might crop a pixel beside the place.
FULL_SIZE = "full_size"

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def open(
    path: Path, *, target: int | None = None, max_pixels: int = MAX_PIXELS
) -> Image.Image | Unreadable:
    """Reads a picture: RGB, upright, its first frame.

    The format is recognised by content and must be one of `formats.FORMATS`. A truncated or damaged
    picture is unreadable; damaged metadata is not a damaged picture, and an orientation that EXIF
    does not know counts as upright.

    Args:
        target: for JPEG, decode at 1/2, 1/4 or 1/8 of the size where neither side falls below this
            (`Preprocessing.target`); several times faster. None: full size.
        max_pixels: larger pictures are refused by their header, before anything is decoded. Values
            above MAX_PIXELS do not raise the limit.

    Returns:
        The picture, or why it cannot be read; no content of a file makes it raise. Where it was
        decoded at reduced scale, `info["full_size"]` is its full width and height.
    """
    opened = open_regular(Path(path))
    if isinstance(opened, Unreadable):
        return opened
    with opened.stream:
        return decode(opened, target=target, max_pixels=max_pixels)


def decode(
    opened: Opened, *, target: int | None = None, max_pixels: int = MAX_PIXELS
) -> Image.Image | Unreadable:
    """`open` for a file that is open already."""
    if opened.size == 0:
        return opened.unreadable("empty file")
    image = None
    try:
        formats = FORMATS
        if is_heif(opened.stream.read(HEAD)):
            if not enable_heif():
                return opened.unreadable("HEIC needs vretr[heif]")
            formats = ("HEIF",)
        opened.stream.seek(0)
        with _pillow_limits(), Image.open(opened.stream, formats=formats) as image:
            if image.width * image.height > max_pixels:
                return opened.unreadable(_too_many_pixels(image.width, image.height, max_pixels))
            stored = image.size
            if target is not None:
                image.draft(None, (target, target))
            reduced = image.size != stored
            image.load()
            orientation = _orientation(image)
            picture = to_rgb(image.transpose(_UPRIGHT[orientation]) if orientation > 1 else image)
            if reduced:
                picture.info[FULL_SIZE] = stored if orientation < 5 else stored[::-1]
            return picture
    # What a decoder raises for a broken file is anything: SyntaxError, struct.error, OverflowError,
    # MemoryError ... Here it becomes a value, with its reason; nowhere else is caught so broadly.
    except Exception as error:  # noqa: BLE001
        return opened.unreadable(_reason(error, image.format if image else None))


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(Tag.Orientation)
    except Exception:  # noqa: BLE001 - as above: broken EXIF must not lose a sound picture
        return 1
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def _too_many_pixels(width: int, height: int, limit: int) -> str:
    return f"{width} x {height} pixels, more than the limit of {limit / 1e6:.0f} million"


def _reason(error: Exception, format: str | None) -> str:
    if isinstance(error, Image.DecompressionBombError):
        return f"more pixels than the limit of {MAX_PIXELS / 1e6:.0f} million"
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None):
        return why(error)
    if isinstance(error, UnidentifiedImageError):
        return "not a picture of a known format"
    what = "truncated" if "truncated" in str(error).lower() else "damaged"
    detail = display(str(error) or type(error).__name__)[:100]
    return f"{what} {format or 'picture'} ({detail})"


_switches = threading.Lock()
_decoding = 0
_restore = contextlib.ExitStack()


@contextlib.contextmanager
def _pillow_limits() -> Iterator[None]:
    """Pillow's size limit raised to ours and its warnings silenced while any thread decodes.

    Both are switches of the whole process, and `catch_warnings` entered by two threads at once
    would restore them in the wrong order: hence the count.
    """
    global _decoding
    with _switches:
        _decoding += 1
        if _decoding == 1:
            _restore.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            _restore.callback(setattr, Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
            Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2  # Pillow refuses above twice this value
    try:
        yield
    finally:
        with _switches:
            _decoding -= 1
            if _decoding == 0:
                _restore.close()
