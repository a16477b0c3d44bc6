"""What a teacher's network says of ordinary photos, kept on disk as targets for a student."""

import hashlib
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lsd.architecture import CHANNELS, Channel
from lsd.network import OnnxNetwork, Weights
from lsd.resizing import squashed
from vretr import images
from vretr.errors import MismatchError
from vretr.paths import display, home
from vretr.progress import progress

log = logging.getLogger(__name__)

PROBABILITIES = [
    *(Channel.SOL_CENTRE, Channel.LINE, Channel.JUNCTION, Channel.CENTRE),
    *(Channel.LENGTH, Channel.DEGREE, Channel.SOL_LENGTH, Channel.SOL_DEGREE),
]
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
        box = (self.left * width, self.top * height, self.right * width, self.bottom * height)
        return squashed(image.crop(tuple(map(round, box))), size)


def crops_of(photo: Path, image: Image.Image, size: int, most: int, seed: int) -> list[Crop]:
    """Up to `most` random parts of a photo, fewer where it is small: one for each half of the
    network's input in pixels. A photo of that size is taken whole."""
    width, height = image.size
    count = max(1, min(most, 2 * width * height // size**2))
    if count == 1:
        return [Crop(photo, 0, 0, 1, 1)]
    random = np.random.default_rng([seed, *hashlib.blake2b(photo.name.encode()).digest()])
    spans = random.uniform(LEAST, 1, (count, 2))
    starts = random.uniform(0, 1 - spans)
    return [
        Crop(photo, *start, *(start + span)) for start, span in zip(starts, spans, strict=True)
    ]


class Taught:
    """A map-style data set: uint8 pixels [S, S, 3] and the teacher's maps [16, S/2, S/2] float16,
    probabilities where a channel is one.

    Made when first asked for, and kept in vretr's cache: what was made is never made again.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = files

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
        paths = sorted(images.find(photos))
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
                bar.update(number)
        if not files:
            raise MismatchError("There is no photo that could be shown to the teacher.")
        return cls(files)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, number: int) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
        with np.load(self.files[number], allow_pickle=False) as kept:
            return kept["pixels"], kept["maps"]


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
