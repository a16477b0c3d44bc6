"""Pictures whose lines are known, as the network is shown them: rendered scenes and annotated
pictures. Map-style data sets without a state of their own.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lsd.annotations import Annotated, load
from lsd.architecture import CELL
from lsd.augment import drawn_view, recoloured, seen, whole
from lsd.config import TrainConfig
from lsd.targets import Target, targets
from vretr import images
from vretr.data.worlds import wireframe
from vretr.errors import MismatchError
from vretr.images import Unreadable
from vretr.images.decode import FULL_SIZE
from vretr.paths import display

Sample = tuple[Tensor, Target]  # uint8 pixels [3, S, S], or [B, 3, S, S] of a batch


class Pictures:
    """Annotated pictures.

    Args:
        records: as `annotations.load` gives them.
        size: side of the input.
        augment: shows each in a random view and light, another one each time.
    """

    def __init__(self, records: Sequence[Annotated], size: int, *, augment: bool) -> None:
        self.records, self.size, self.augment = records, size, augment

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, number: int) -> Sample:
        """
        Raises:
            MismatchError: the picture cannot be read, or has another size than its annotation.
        """
        record = self.records[number]
        # Twice as large as it is shown: a view may show half of it.
        image = images.open(record.path, target=2 * self.size)
        if isinstance(image, Unreadable):
            raise MismatchError(
                f"{display(record.path)} cannot be read ({image.reason}): take it out of the "
                "annotations, then --resume."
            )
        width, height = image.info.get(FULL_SIZE, image.size)
        if (width, height) != (record.width, record.height):
            raise MismatchError(
                f"{display(record.path)} has {width} x {height} pixels, but its lines are for "
                f"{record.width} x {record.height}: correct the annotation, then --resume."
            )
        scale = np.array(image.size) / (width, height)  # it may be decoded smaller
        return sample(image, record.lines * np.tile(scale, 2), self.size, augment=self.augment)


class Rendered:
    """The first `count` wireframes of a seed, drawn at the network's own size.

    Args:
        size: side of the input.
        augment: shows each in a random view and light, another one each time.
    """

    def __init__(self, count: int, size: int, *, seed: int = 0, augment: bool = True) -> None:
        self.count, self.size, self.seed, self.augment = count, size, seed, augment

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> Sample:
        scene = wireframe(number, seed=self.seed, size=self.size)
        return sample(scene.picture, scene.lines, self.size, augment=self.augment)


def learned(source: Path, config: TrainConfig) -> tuple[Pictures, Pictures]:
    """What is trained on of the annotated pictures of a source, and what is kept out.

    Raises:
        MismatchError: see `annotations.load`.
    """
    records = load(source, split="train")
    # L-CNN's processed files hold each picture four times: NAME_0, NAME_1, …
    photos = [re.sub(r"_[0-3]$", "", str(record.path.with_suffix(""))) for record in records]
    kept, out = split(photos, config.holdout, config.seed)
    return (
        Pictures([records[number] for number in kept], config.size, augment=config.augment),
        Pictures([records[number] for number in out], config.size, augment=False),
    )


def split(photos: Sequence[Any], holdout: float, seed: int) -> tuple[list[int], list[int]]:
    """Numbers of the samples that are trained on and that are kept out: all of a photo, or none.

    Args:
        photos: of each sample, which photo it is from.
        holdout: share of photos that are kept out.
    """
    names = np.unique(photos)
    order = np.random.default_rng(seed).permutation(names)
    out = {*order[: round(holdout * len(names))].tolist()}
    numbers = range(len(photos))
    return (
        [number for number in numbers if photos[number] not in out],
        [number for number in numbers if photos[number] in out],
    )


def rendered(config: TrainConfig) -> Rendered:
    """The rendered scenes of a training."""
    return Rendered(config.rendered, config.size, seed=config.seed, augment=config.augment)


def sample(image: Image.Image, lines: NDArray[np.floating], size: int, *, augment: bool) -> Sample:
    """What the network is shown of a picture, and what it should give.

    Args:
        image: RGB.
        lines: [N, 4] in its pixels, as in `lines.Lines`.
        size: side of the input.
        augment: a random view and light, drawn from NumPy's global generator, which the training
            seeds for each step.
    """
    if augment:
        random = np.random.default_rng(np.random.randint(2**32, size=4, dtype=np.uint32))
        image, lines = seen(image, lines, drawn_view(random), size)
        image = recoloured(image, random)
    else:
        image, lines = seen(image, lines, whole(), size)
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
    return pixels, targets(lines / CELL, size // CELL)


def collate(samples: Sequence[Sample]) -> Sample:
    """A batch; lines, of which each picture has another number, are padded with NaN."""
    pixels, wanted = zip(*samples, strict=True)
    maps, weight, lines, segments = zip(*wanted, strict=True)
    return torch.stack(pixels), Target(
        torch.stack(maps), torch.stack(weight), _padded(lines), _padded(segments)
    )


def _padded(rows: Sequence[Tensor]) -> Tensor:
    """[N, 4] of each -> [B, most N, 4]"""
    return pad_sequence(list(rows), batch_first=True, padding_value=torch.nan)
