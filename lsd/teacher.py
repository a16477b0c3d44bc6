"""What a teacher's network says of ordinary photos, kept on disk as targets for a student."""

import hashlib
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lsd.architecture import CELL, CHANNELS, MULTIPLE, Channel
from lsd.augment import recoloured
from lsd.network import OnnxNetwork, Weights
from lsd.resizing import squashed
from lsd.targets import SOL, TP, Target, degree
from vretr import images
from vretr.data.sources import folder_of
from vretr.errors import MismatchError
from vretr.paths import display, home
from vretr.progress import progress

log = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]
Maps = NDArray[np.floating]

PROBABILITIES = [
    *(Channel.SOL_CENTRE, Channel.LINE, Channel.JUNCTION, Channel.CENTRE),
    *(Channel.LENGTH, Channel.DEGREE, Channel.SOL_LENGTH, Channel.SOL_DEGREE),
]
SOL_CHANNELS = (
    *(Channel.SOL_CENTRE, Channel.SOL_DISPLACEMENT),
    *(Channel.SOL_LENGTH, Channel.SOL_DEGREE),
)
LEAVING = 1.0  # cells beyond the border where an end is still taken to lie in the picture
SURE = 0.02  # where a teacher's probability is less, its displacements are not learned
LEAST = 0.5  # share of a photo's width and height that a crop takes at least


@dataclass(frozen=True)
class Crop:
    """The part of a photo that a student sees; shares of its width and height."""

    photo: Path
    left: float
    top: float
    right: float
    bottom: float

    def pixels(self, image: Image.Image, size: int) -> NDArray[np.uint8]:
        """[size, size, 3]"""
        width, height = image.size
        left, right = round(self.left * width), round(self.right * width)
        top, bottom = round(self.top * height), round(self.bottom * height)
        return squashed(image.crop((left, top, right, bottom)), size)


def crops_of(photo: Path, image: Image.Image, size: int, most: int, seed: int) -> list[Crop]:
    """Up to `most` random parts of a photo, fewer where it is small: one for each half of the
    network's input in pixels. A photo of that size is taken whole."""
    width, height = image.size
    count = max(1, min(most, 2 * width * height // size**2))
    if count == 1:
        return [Crop(photo, 0, 0, 1, 1)]
    draw = np.random.default_rng([seed, *hashlib.blake2b(photo.name.encode()).digest()])
    spans = draw.uniform(LEAST, 1, (count, 2))
    starts = draw.uniform(0, 1 - spans)
    return [Crop(photo, *start, *(start + span)) for start, span in zip(starts, spans, strict=True)]


class Taught:
    """A map-style data set: uint8 pixels [S, S, 3] and the teacher's maps [16, S/2, S/2] float16,
    probabilities where a channel is one.

    Made when first asked for, and kept in vretr's cache: what was made is never made again.
    """

    def __init__(self, files: Sequence[Path], photos: Sequence[int]) -> None:
        self.files, self.photos = files, photos  # the number of each file's photo

    @classmethod
    def of(
        cls, photos: Sequence[Path], weights: Weights, *, size: int, crops: int, seed: int = 0
    ) -> "Taught":
        """Shows each photo's crops to the teacher.

        Args:
            weights: the teacher's, folded.
            size: side of what it sees, a multiple of 16.
            crops: of one photo, at most.

        Raises:
            MismatchError: no photo could be read.
        """
        folder = home() / "lsd" / _key(weights, size)
        folder.mkdir(parents=True, exist_ok=True)
        network = OnnxNetwork(weights, channels=slice(0, CHANNELS))
        files: list[Path] = []
        owners: list[int] = []
        paths = sorted(images.find(_unpacked(place) for place in photos))
        with progress(len(paths), "Asking the teacher") as bar:
            for number, path in enumerate(paths, start=1):
                image = images.open(path, target=2 * size)
                if isinstance(image, images.Unreadable):
                    log.warning("%s is left out: %s", display(path), image.reason)
                    continue
                content = hashlib.blake2b(image.tobytes(), digest_size=10).hexdigest()
                for place, crop in enumerate(crops_of(path, image, size, crops, seed)):
                    file = folder / f"{content}-{seed}-{crops}-{place}.npz"
                    if not file.exists():
                        _ask(network, crop.pixels(image, size), file)
                    files.append(file)
                    owners.append(number)
                bar.update(number)
        if not files:
            raise MismatchError("There is no photo that could be shown to the teacher.")
        return cls(files, owners)

    def take(self, numbers: Sequence[int]) -> "Taught":
        """Only these samples."""
        return Taught(
            [self.files[number] for number in numbers], [self.photos[number] for number in numbers]
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, number: int) -> tuple[Pixels, Maps]:
        with np.load(self.files[number], allow_pickle=False) as kept:
            return kept["pixels"], kept["maps"]


class Lessons:
    """The same as (pixels [3, S, S], Target), for training and validation.

    Args:
        taught: what the teacher said.
        window: side of the part that is shown, at random, of each; None: all of it, as it is.
            Otherwise it is also mirrored and recoloured at random, and now and then x is exchanged
            with y.
    """

    def __init__(self, taught: Taught, *, window: int | None) -> None:
        self.taught, self.window = taught, window

    def __len__(self) -> int:
        return len(self.taught)

    def __getitem__(self, number: int) -> tuple[Tensor, Target]:
        pixels, maps = self.taught[number]
        maps = maps.astype(np.float32)
        if self.window is not None:
            draw = np.random.default_rng(np.random.randint(2**32, size=4, dtype=np.uint32))
            places = (len(pixels) - self.window) // MULTIPLE + 1
            left, top = MULTIPLE * draw.integers(places, size=2)
            pixels, maps = part(pixels, maps, left, top, self.window)
            if draw.random() < 0.5:
                pixels, maps = pixels[:, ::-1], mirrored(maps)
            if draw.random() < 0.25:
                pixels, maps = pixels.transpose(1, 0, 2), exchanged(maps)
            pixels = np.asarray(recoloured(Image.fromarray(pixels), draw))
        return torch.from_numpy(pixels.transpose(2, 0, 1).copy()), target_of(maps)


def part(pixels: Pixels, maps: Maps, left: int, top: int, side: int) -> tuple[Pixels, Maps]:
    """A square of a picture and of its maps. Lines that leave it are none of it."""
    pixels = pixels[top : top + side, left : left + side]
    rows, columns = (slice(at // CELL, (at + side) // CELL) for at in (top, left))
    maps = maps[:, rows, columns].copy()
    cells = np.arange(side // CELL, dtype=np.float32)
    for centre, displacement in (
        (Channel.CENTRE, Channel.DISPLACEMENT),
        (Channel.SOL_CENTRE, Channel.SOL_DISPLACEMENT),
    ):
        ends = maps[displacement].astype(np.float32)
        ends[0::2] += cells
        ends[1::2] += cells[:, None]
        leaves = (ends < -LEAVING) | (ends > len(cells) + LEAVING)
        maps[centre][leaves.any(axis=0)] = 0
    return pixels, maps


def mirrored(maps: Maps) -> Maps:
    """The maps of the picture with left and right exchanged.

    A cell's displacement is counted from its left border, which becomes its right one.
    """
    maps = maps[:, :, ::-1].copy()
    for first in (Channel.SOL_DISPLACEMENT.start, Channel.DISPLACEMENT.start):
        maps[[first, first + 2]] = 1 - maps[[first, first + 2]]
    return maps


def exchanged(maps: Maps) -> Maps:
    """The maps of the picture with x and y exchanged."""
    maps = maps.transpose(0, 2, 1).copy()
    for first in (Channel.SOL_DISPLACEMENT.start, Channel.DISPLACEMENT.start):
        maps[first : first + 4] = maps[[first + 1, first, first + 3, first + 2]]
    return maps


def target_of(maps: Maps) -> Target:
    """What a student should give. Length and degree are those of the displacements, so that they
    have our convention, which is not the teacher's, and fit pictures that were turned."""
    maps = maps.copy()
    height, width = maps.shape[1:]
    weight = np.zeros((2, height, width), np.float32)
    for row, centre, displacement, length, angle in (
        (TP, Channel.CENTRE, Channel.DISPLACEMENT, Channel.LENGTH, Channel.DEGREE),
        (SOL, *SOL_CHANNELS),
    ):
        x1, y1, x2, y2 = maps[displacement]
        maps[length] = np.hypot(x2 - x1, y2 - y1) / np.hypot(height, width)
        maps[angle] = degree(x2 - x1, y2 - y1)
        weight[row] = np.where(maps[centre] >= SURE, maps[centre], 0)
    return Target(torch.from_numpy(maps), torch.from_numpy(weight))


def _unpacked(place: Path) -> Path:
    return folder_of(place) if place.suffix.lower() == ".zip" else place


def _key(weights: Weights, size: int) -> str:
    state = hashlib.blake2b(str(size).encode(), digest_size=10)
    for name in sorted(weights):
        state.update(np.ascontiguousarray(weights[name]).tobytes())
    return state.hexdigest()


def _ask(network: OnnxNetwork, pixels: NDArray[np.uint8], file: Path) -> None:
    maps = network(pixels[None])[0]
    maps[PROBABILITIES] = 1 / (1 + np.exp(-maps[PROBABILITIES]))
    content = io.BytesIO()
    np.savez(content, pixels=pixels, maps=maps.astype(np.float16))
    part = file.with_suffix(".part")
    part.write_bytes(content.getvalue())
    part.rename(file)
