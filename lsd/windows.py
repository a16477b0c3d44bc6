"""What the network is shown of a picture: all of it squashed, or overlapping windows.

Squashed to 512 x 512, a panorama loses nearly all its lines. So it is looked at piece by piece, and
lines that run on from one window into the next are joined. No torch; runs in decoding processes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsd.architecture import CELL
from lsd.joining import joined
from lsd.lines import Lines
from lsd.resizing import Resize, squashed
from vretr import images
from vretr.images import Unreadable
from vretr.images.decode import FULL_SIZE

LONG = 3  # times as long as wide: then windows, unless it is said otherwise
OVERLAP = 0.25  # of a window's side with the next one
MOST = 64  # windows of a picture; beyond that they grow longer than wide
NEAR = 2  # cells: pieces of one line lie no farther beside it

Box = tuple[int, int, int, int]  # left, top, right, bottom


@dataclass(frozen=True, eq=False, slots=True)
class Seen:
    """A picture as the network is shown it.

    Attributes:
        width, height: of the upright picture at full size.
        boxes: int [N, 4], left, top, right and bottom of the windows, in pixels of that size.
        pixels: uint8 [N, S, S, 3].
    """

    path: Path
    width: int
    height: int
    boxes: NDArray[np.intp]
    pixels: NDArray[np.uint8]


def see(path: Path, *, size: int, resize: Resize, tiles: int | None) -> Seen | Unreadable:
    """Opens a picture; a large JPEG is decoded at a reduced scale of at least twice `size`.

    Args:
        size, resize: see `squashed`.
        tiles: see `windows`.
    """
    image = images.open(path, target=2 * size * max(tiles or 1, 1))
    if isinstance(image, Unreadable):
        return image
    boxes = windows(*image.size, tiles)
    pixels = np.stack([squashed(image.crop(box), size, resize) for box in boxes])
    width, height = image.info.get(FULL_SIZE, image.size)
    places = np.rint(np.array(boxes) * ([width / image.width, height / image.height] * 2))
    return Seen(path, width, height, places.astype(np.intp), pixels)


def windows(width: int, height: int, tiles: int | None) -> list[Box]:
    """Overlapping windows, about as wide as high, row by row.

    Args:
        tiles: so many along the shorter side; 0: one window, the whole picture; None: 1 where one
            side is over LONG times the other, else 0.
    """
    short, long = sorted((width, height))
    if tiles is None:
        tiles = 1 if long > LONG * short else 0
    if not tiles:
        return [(0, 0, width, height)]
    tiles = min(tiles, short)
    side = short / (tiles - (tiles - 1) * OVERLAP)
    further = max(1, min(round((long / side - OVERLAP) / (1 - OVERLAP)), MOST // tiles))
    columns, rows = (further, tiles) if width >= height else (tiles, further)
    return [
        (left, top, right, bottom)
        for top, bottom in _along(height, rows)
        for left, right in _along(width, columns)
    ]


def _along(length: int, count: int) -> list[tuple[int, int]]:
    side = length / (count - (count - 1) * OVERLAP)
    starts = [number * side * (1 - OVERLAP) for number in range(count)]
    return [(int(start), min(length, max(int(start) + 1, round(start + side)))) for start in starts]


def together(parts: Sequence[Lines], seen: Seen) -> Lines:
    """Lines of a picture out of those of its windows, which are measured from each window's corner.

    What lies along one line, without a gap, is one line, and the surest piece's score counts: a
    line that is longer than a window is found as many pieces there, too.
    """
    placed = [part.ends + box[[0, 1, 0, 1]] for part, box in zip(parts, seen.boxes, strict=True)]
    scores = np.concatenate([part.scores for part in parts])
    window = (seen.boxes[:, 2:] - seen.boxes[:, :2]).max()
    near = NEAR * CELL * float(window) / seen.pixels.shape[1]
    ends, members = joined(np.concatenate(placed), near=near)
    highest = np.array([scores[group].max() for group in members], np.float32)
    order = np.argsort(-highest, kind="stable")
    best = max((part.best for part in parts), default=0.0)
    return Lines(ends[order].astype(np.float32), highest[order], seen.width, seen.height, best)
