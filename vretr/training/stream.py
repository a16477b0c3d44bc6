"""The stream of batches and of random numbers, each a function of (seed, step): nothing to save.

Batch number s is the same whether the training runs straight through or was resumed, with any
number of workers. With P processes each gets its P-th of every batch.
"""

import random
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, default_collate, get_worker_info

from vretr.errors import UsageError

Collate = Callable[[list[Any]], Any]
DATA, STEP = 1, 2  # keep the draws of the data and those of the model's step apart


def seed_all(*entropy: int) -> None:
    """Seeds the global generators of `random`, NumPy and torch from these numbers, each >= 0.

    Other numbers, or another count of them, give unrelated draws (numpy.random.SeedSequence).
    Cheap enough for every step, which `torch.manual_seed` is not: it formats a stack trace for each
    kind of device that is not in use.
    """
    # With the count in front, as SeedSequence ignores zeros at the end.
    words = np.random.SeedSequence([len(entropy), *entropy]).generate_state(4)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))
    seed = int(words[2]) << 32 | int(words[3])
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(seed)
    elif torch.backends.mps.is_available():
        torch.mps.manual_seed(seed)


@dataclass(frozen=True)
class Share:
    """Which part of every batch this process works on."""

    seed: int
    batch_size: int  # over all processes together
    process: int = 0
    processes: int = 1

    def __post_init__(self) -> None:
        if self.batch_size % self.processes:
            raise UsageError(
                f"--batch-size {self.batch_size} cannot be shared by {self.processes} processes: "
                "take a multiple"
            )

    def of(self, batch: Sequence[Any]) -> list[Any]:
        """This process's samples of a whole batch."""
        each = self.batch_size // self.processes
        return list(batch[self.process * each : (self.process + 1) * each])


class Shuffled(Dataset[Any]):
    """Batch s of a map-style data set, anew shuffled in each epoch.

    The epochs follow one another without a seam: every sample comes once an epoch, every batch is
    full, and one batch in an epoch may hold the last samples of it and the first of the next.
    """

    def __init__(self, data: Any, share: Share, collate: Collate) -> None:
        if len(data) < share.batch_size:
            raise UsageError(
                f"The training data has {len(data)} samples, fewer than --batch-size "
                f"{share.batch_size}"
            )
        self.data, self.share, self.collate = data, share, collate
        self._order: tuple[int, Any] = (-1, None)  # the epoch last asked for

    def samples(self, step: int) -> list[int]:
        """Indices of the whole batch of step `step` (1, 2, …)."""
        first = (step - 1) * self.share.batch_size
        epochs = (divmod(i, len(self.data)) for i in range(first, first + self.share.batch_size))
        return [int(self._permutation(epoch)[place]) for epoch, place in epochs]

    def _permutation(self, epoch: int) -> Any:
        if self._order[0] != epoch:
            order = np.random.default_rng([self.share.seed, DATA, epoch])
            self._order = epoch, order.permutation(len(self.data))
        return self._order[1]

    def __getitem__(self, step: int) -> Any:
        seed_all(self.share.seed, DATA, step, self.share.process)
        indices = self.share.of(self.samples(step))
        if hasattr(self.data, "__getitems__"):  # torch's name for reading many at once
            return self.collate(self.data.__getitems__(indices))
        return self.collate([self.data[i] for i in indices])


class Streamed(IterableDataset[Any]):
    """The batches of an iterable data set, in its own order, pass after pass.

    Asks that a pass can be repeated: the same samples in the same order, at most depending on
    `set_epoch(n)` where there is one. Every worker and process reads the whole stream and keeps
    its batches; resuming reads up to the place where it stopped. So reading must be cheap: put
    what is not (decoding, tokenising) into `collate`.
    """

    def __init__(self, data: Any, share: Share, collate: Collate, first: int) -> None:
        self.data, self.share, self.collate, self.first = data, share, collate, first

    def __iter__(self) -> Iterator[Any]:
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        # Data sets that share themselves out among the workers, as Hugging Face's, ask for this.
        torch.utils.data._utils.worker._worker_info = None
        stream, step = self._passes(), 0
        while True:
            step += 1
            seed_all(self.share.seed, DATA, step)
            batch = list(islice(stream, self.share.batch_size))
            if step >= self.first and (step - self.first) % workers == worker:
                yield self.collate(self.share.of(batch))

    def _passes(self) -> Iterator[Any]:
        epoch = 0
        while True:
            if hasattr(self.data, "set_epoch"):
                self.data.set_epoch(epoch)
            empty = True
            for sample in self.data:
                empty = False
                yield sample
            if empty:
                raise UsageError("The training data is an empty stream")
            epoch += 1


def batches(
    data: Any, share: Share, *, first: int, last: int, workers: int, collate: Collate | None = None
) -> tuple[DataLoader[Any], Shuffled | Streamed]:
    """A loader of the batches of steps `first` … `last`, and the data set of batches behind it."""
    collate = collate or default_collate
    settings: dict[str, Any] = {
        "batch_size": None,  # an item is a batch already
        "collate_fn": _as_it_is,
        "num_workers": workers,
        "worker_init_fn": _ignore_interrupts,
        "pin_memory": torch.cuda.is_available(),
    }
    if isinstance(data, IterableDataset):
        streamed = Streamed(data, share, collate, first)
        return DataLoader(streamed, **settings), streamed
    shuffled = Shuffled(data, share, collate)
    return DataLoader(shuffled, sampler=range(first, last + 1), **settings), shuffled


def _as_it_is(batch: Any) -> Any:
    return batch


def _ignore_interrupts(worker: int) -> None:
    """Ctrl-C reaches the whole process group; only the parent decides when to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
