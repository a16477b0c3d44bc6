import random
from collections import Counter

import numpy as np
import pytest
import torch

from vretr.errors import UsageError
from vretr.training.stream import Share, Shuffled, batches, seed_all

NUMBERS = list(range(23))


def drawn(share: Share, *, first: int = 1, last: int = 30, workers: int = 0, data=NUMBERS) -> list:
    loader, _ = batches(data, share, first=first, last=last, workers=workers, collate=list)
    return [batch for _, batch in zip(range(first, last + 1), loader, strict=False)]


def test_every_sample_once_an_epoch() -> None:
    stream = [i for batch in drawn(Share(0, 5), last=23) for i in batch]  # 5 epochs of 23
    epochs = [stream[start : start + 23] for start in range(0, 115, 23)]
    assert all(sorted(epoch) == NUMBERS for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 5  # each in an order of its own
    assert drawn(Share(1, 5)) != drawn(Share(0, 5))


@pytest.mark.parametrize("workers", [0, 2])
def test_any_part_of_the_stream_is_the_same(workers: int) -> None:
    assert drawn(Share(3, 4), first=11, workers=workers) == drawn(Share(3, 4))[10:]


def test_processes_share_each_batch() -> None:
    parts = [drawn(Share(0, 6, process, 3)) for process in range(3)]
    assert [a + b + c for a, b, c in zip(*parts, strict=True)] == drawn(Share(0, 6))


class Endless(torch.utils.data.IterableDataset):
    """Two passes differ, as an epoch-wise shuffle of shards does."""

    offset = 0

    def set_epoch(self, epoch: int) -> None:
        self.offset = 100 * epoch

    def __iter__(self):
        return (self.offset + i for i in range(7))


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_stream_is_read_in_its_order(workers: int) -> None:
    expected = [[0, 1, 2], [3, 4, 5], [6, 100, 101], [102, 103, 104], [105, 106, 200]]
    got = drawn(Share(0, 3), last=5, workers=workers, data=Endless())
    assert got == expected
    assert drawn(Share(0, 3), first=3, last=5, workers=workers, data=Endless()) == expected[2:]


def test_a_stream_that_shares_itself_out_is_read_whole() -> None:
    class SharesItself(Endless):
        def __iter__(self):
            info = torch.utils.data.get_worker_info()
            return iter(list(super().__iter__())[(info.id if info else 0) :])

    plain = drawn(Share(0, 3), last=5, data=SharesItself())
    assert drawn(Share(0, 3), last=5, workers=2, data=SharesItself()) == plain


def test_processes_share_each_batch_of_a_stream() -> None:
    assert drawn(Share(0, 4, 1, 2), last=2, data=Endless()) == [[2, 3], [6, 100]]


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(UsageError, match="23 samples, fewer than --batch-size 24"):
        Shuffled(NUMBERS, Share(0, 24), list)


def test_an_empty_stream_is_refused() -> None:
    class Empty(Endless):
        def __iter__(self):
            return iter(())

    with pytest.raises(UsageError, match="empty stream"):
        drawn(Share(0, 2), data=Empty())


def test_many_samples_are_read_at_once_where_the_data_can() -> None:
    class Batched(list):
        def __getitems__(self, indices):
            return [("at once", i) for i in indices]

    (batch,) = drawn(Share(0, 3), last=1, data=Batched(NUMBERS))
    assert Counter(how for how, _ in batch) == {"at once": 3}


def test_seeds_reach_every_generator_and_are_unrelated() -> None:
    def draw(*entropy: int) -> tuple:
        seed_all(*entropy)
        return random.random(), np.random.rand(), torch.rand(()).item()

    assert draw(1, 2) == draw(1, 2)
    draws = [draw(*entropy) for entropy in [(0,), (1,), (0, 1), (1, 0), (1, 1), (2**40, 3)]]
    for generator in range(3):
        assert len({one[generator] for one in draws}) == len(draws)
