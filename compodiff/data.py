"""What is trained on: vectors that were encoded once, and rows that say how they go together."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset

from compodiff.conditions import Rows, Vectors
from vretr.images import Masked

Numbers = NDArray[np.int64]
Sample = tuple[str, int, int]  # task, row, number in `Task.targets`

NONE = -1  # no picture
SIDES = (0.2, 0.8)  # of random boxes, as shares of the picture's


@dataclass
class Task:
    """Rows of one task.

    Attributes:
        images: of each row, a place in `Samples.vectors`, or NONE.
        texts: a place in `Samples.texts`.
        first, counts: which of `targets` are right; one of them is drawn each time.
        targets: places in `Samples.vectors`.
        boxes: of each row, what is masked; empty where nothing is.
    """

    images: list[int] = field(default_factory=list)
    texts: list[int] = field(default_factory=list)
    first: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.texts)

    def add(self, image: int, text: int, targets: Sequence[int]) -> None:
        """One row more."""
        self.images.append(image)
        self.texts.append(text)
        self.first.append(len(self.targets))
        self.counts.append(len(targets))
        self.targets += targets


class Samples(IterableDataset[Sample]):
    """Batches of one task each, drawn by its share, without end: the same for the same seed.

    Args:
        tasks: with at least one row each.
        mix: their shares.
        vectors: [V, dim], unit.
        scale: what they are multiplied with.
        batch_size: rows of one task that follow one another.
        stage1: so many batches are of t2i, before the mix begins.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task],
        mix: Mapping[str, float],
        *,
        vectors: Vectors,
        texts: Rows,
        scale: float,
        mask_size: int,
        batch_size: int,
        seed: int,
        stage1: int = 0,
    ) -> None:
        self.tasks, self.vectors, self.texts = tasks, vectors, texts
        self.names = [*tasks]
        shares = np.array([mix[name] for name in self.names])
        self.shares = shares / shares.sum()
        self.scale, self.mask_size, self.batch_size = scale, mask_size, batch_size
        self.seed, self.stage1 = seed, stage1
        self._arrays: dict[str, dict[str, Any]] = {
            name: {part: np.array(value) for part, value in vars(task).items()}
            for name, task in tasks.items()
        }

    def __iter__(self) -> Iterator[Sample]:
        for number in count():
            draws = np.random.default_rng([self.seed, number])
            name = self.names[draws.choice(len(self.names), p=self.shares)]
            if number < self.stage1:
                name = "t2i"
            task = self._arrays[name]
            rows = draws.integers(len(task["texts"]), size=self.batch_size)
            which = (draws.random(self.batch_size) * task["counts"][rows]).astype(np.int64)
            places = task["first"][rows] + which
            for row, place in zip(rows.tolist(), places.tolist(), strict=True):
                yield name, row, place

    def collate(self, samples: Sequence[Sample]) -> dict[str, Tensor]:
        """Samples of one task -> target, image [B, dim], text [B, L, W], mask [B, S, S]."""
        names, rows, places = zip(*samples, strict=True)
        task, chosen = self._arrays[names[0]], np.array(rows)
        images = task["images"][chosen]
        image = self.vectors[images] * (images != NONE)[:, None]
        side = self.mask_size
        mask = np.zeros((len(chosen), side, side), np.float32)
        if len(task["boxes"]):
            for place, box in zip(mask, task["boxes"][chosen], strict=True):
                place[:] = Masked("", tuple(box)).mask(side)
        return {
            "target": torch.from_numpy(self.vectors[task["targets"][np.array(places)]])
            * self.scale,
            "image": torch.from_numpy(image.astype(np.float32)) * self.scale,
            "text": torch.from_numpy(self.texts[task["texts"][chosen]]),
            "mask": torch.from_numpy(mask),
        }


def random_boxes(count: int, seed: int) -> list[tuple[float, float, float, float]]:
    """Left, top, width, height as shares of the square, each within it; rounded, to be named."""
    draws = np.random.default_rng([seed, count])
    sides = draws.uniform(*SIDES, size=(count, 2))
    corners = draws.random((count, 2)) * (1 - sides)
    found = np.concatenate([corners, sides], axis=1).round(3)
    return [(left, top, width, height) for left, top, width, height in found.tolist()]
