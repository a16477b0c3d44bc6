"""Folder -> pixels: find pictures, open one, batches of many.

    for batch in images.batches(images.find([Path("photos")]), encoder.preprocessing):
        vectors = encoder.encode_images(batch.pixels)      # rows align with batch.files

What cannot be read comes back as a value (`Unreadable`), never as an exception that ends a run.
"""

from vretr.images.decode import MAX_PIXELS, open
from vretr.images.files import File, Unreadable, digest
from vretr.images.masked import Masked
from vretr.images.preprocessing import Preprocessing
from vretr.images.region import Region
from vretr.images.stream import Batch, batches
from vretr.images.walk import find

__all__ = [
    "MAX_PIXELS",
    "Batch",
    "File",
    "Masked",
    "Preprocessing",
    "Region",
    "Unreadable",
    "batches",
    "digest",
    "find",
    "open",
]
