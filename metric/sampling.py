"""Batches with several photos of each class."""

import logging
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import IterableDataset

from vretr.errors import UsageError

log = logging.getLogger(__name__)


class Balanced(IterableDataset[int]):
    """Numbers of photos, batch after batch; in a batch there are `instances` photos of a class.

    A pass deals each class's photos, shuffled, into groups of `instances`; what is missing in the
    last group comes from the class's other photos, or again where it has fewer. A batch takes
    groups of different classes, those with more groups left more often. A pass ends where too few
    classes are left to fill a batch, so its batches are whole. It depends on seed and epoch only.
    """

    def __init__(
        self, labels: NDArray[np.int64], *, instances: int, batch_size: int, seed: int
    ) -> None:
        """
        Args:
            labels: int64 [N], 0 and above.
            instances: photos of a class in a batch.
            batch_size: photos in a batch, over all processes together.

        Raises:
            UsageError: the batch is no multiple of `instances`, or has more classes than there are.
        """
        if batch_size % instances:
            raise UsageError(
                f"--batch-size {batch_size} is no multiple of --instances {instances}."
            )
        numbers = np.argsort(labels, kind="stable")
        sizes = np.bincount(labels)
        self.members = [part for part in np.split(numbers, np.cumsum(sizes)[:-1]) if len(part)]
        self.classes, self.instances, self.seed = batch_size // instances, instances, seed
        if len(self.members) < self.classes:
            raise UsageError(
                f"A batch of {self.classes} classes with {instances} photos each cannot be filled "
                f"from {len(self.members)} classes: take a smaller --batch-size or more "
                "--instances."
            )
        few = sum(len(part) < instances for part in self.members)
        if few:
            log.warning(
                "%d of %d classes have fewer than %d photos: their photos come twice in a batch.",
                few,
                len(self.members),
                instances,
            )
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Which pass comes next."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        draw = np.random.default_rng([self.seed, self.epoch])
        groups = [self._groups(part, draw) for part in self.members]
        left = np.array([len(each) for each in groups])
        while np.count_nonzero(left) >= self.classes:
            # Gumbel's trick: a draw without replacement, by how much is left.
            with np.errstate(divide="ignore"):
                keys = np.log(left) + draw.gumbel(size=len(left))
            for number in np.argpartition(-keys, self.classes - 1)[: self.classes]:
                left[number] -= 1
                yield from groups[number][left[number]].tolist()

    def _groups(self, photos: NDArray[np.int64], draw: np.random.Generator) -> NDArray[np.int64]:
        order = draw.permutation(photos)
        missing = -len(order) % self.instances
        before = order[: len(order) - len(order) % self.instances]
        if len(before) >= missing:
            others = draw.choice(before, missing, replace=False)
        else:
            others = np.resize(draw.permutation(photos), missing)
        return np.concatenate([order, others]).reshape(-1, self.instances)
