"""The picture formats that are read. Everything else is never handed to a decoder.

A closed list is the defence against formats that run programs (EPS), fetch things (SVG) or are
hardly ever tested. HEIF needs the optional package `pillow-heif`.
"""

# Registers these decoders with Pillow; `Image.open` would otherwise import all forty of them.
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    IcoImagePlugin,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

_PLUGINS = (
    JpegImagePlugin.JpegImageFile,  # opens MPO (several JPEGs in one file) as well
    PngImagePlugin.PngImageFile,
    WebPImagePlugin.WebPImageFile,
    GifImagePlugin.GifImageFile,
    TiffImagePlugin.TiffImageFile,
    BmpImagePlugin.BmpImageFile,
    PpmImagePlugin.PpmImageFile,
    IcoImagePlugin.IcoImageFile,
    Jpeg2KImagePlugin.Jpeg2KImageFile,
    AvifImagePlugin.AvifImageFile,
)
FORMATS: tuple[str, ...] = tuple(plugin.format for plugin in _PLUGINS)
assert MpoImagePlugin  # imported by the JPEG decoder when it meets one; here so that it is early

_SUFFIXES = """
    .jpg .jpeg .jpe .jfif .mpo .png .apng .webp .gif .tif .tiff .bmp .dib .ppm .pgm .pbm .pnm .pfm
    .ico .jp2 .j2k .j2c .jpc .jpf .jpx .avif .avifs .heic .heif .heics .heifs .hif
"""
SUFFIXES = frozenset(_SUFFIXES.split())

HEAD = 64  # bytes that the functions below look at

_SIGNATURES = (
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"II*\x00",
    b"MM\x00*",
    b"\x00\x00\x00\x0cjP  \r\n\x87\n",
    b"\xff\x4f\xff\x51",
)
_AVIF = {b"avif", b"avis"}
_HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_EITHER = {b"mif1", b"msf1"}  # the container of both; the further brands tell


def looks_like_picture(head: bytes) -> bool:
    """Whether a file that begins so is worth opening although its name has no suffix.

    Only signatures that nothing else begins with; BMP, ICO and PPM have none.
    """
    return (
        head.startswith(_SIGNATURES)
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or bool(_brands(head) & (_AVIF | _HEIF | _EITHER))
    )


def is_heif(head: bytes) -> bool:
    """Whether the file is HEIF (HEIC) by its first bytes, whatever its name says."""
    brands = _brands(head)
    return bool(brands & (_HEIF | _EITHER)) and not brands & _AVIF


def _brands(head: bytes) -> set[bytes]:
    """Brands in the first box of an ISO media file (size, `ftyp`, major, version, further ones)."""
    if head[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[8:12]} | {head[start : start + 4] for start in range(16, end, 4)}


def enable_heif() -> bool:
    """Makes Pillow read HEIF; False where the optional package is missing."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener(decode_threads=1)  # files are read side by side instead
    return True
