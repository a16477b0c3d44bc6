"""Pictures whose lines are known, as the network is shown them: rendered scenes and annotated
photos. Map-style data sets, without an end or a state of their own.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lsd.architecture import CELL
from lsd.augment import drawn_view, recoloured, seen, whole
from lsd.config import TrainConfig
from lsd.targets import Target, targets
from vretr.data.worlds import wireframe

Sample = tuple[Tensor, Target]  # uint8 pixels [3, S, S], or [B, 3, S, S] of a batch


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
