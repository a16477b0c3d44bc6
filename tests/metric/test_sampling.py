import logging

import numpy as np
import pytest

from metric.sampling import Balanced
from vretr.errors import UsageError
from vretr.training.stream import Share, Streamed

LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(12), [4, 5, 9, 30] * 3))


@pytest.mark.parametrize(("instances", "batch_size"), [(2, 8), (4, 24), (3, 36)])
def test_batches_are_whole(instances: int, batch_size: int) -> None:
    data = Balanced(LABELS, instances=instances, batch_size=batch_size, seed=1)
    numbers = np.array(list(data))
    assert len(numbers) and len(numbers) % batch_size == 0
    for batch in numbers.reshape(-1, batch_size):
        classes, counts = np.unique(LABELS[batch], return_counts=True)
        assert len(classes) == batch_size // instances and {*counts.tolist()} == {instances}
        assert len(np.unique(batch)) == batch_size  # no photo twice
        grouped = LABELS[batch].reshape(-1, instances)
        assert (grouped == grouped[:, :1]).all()  # so that processes get whole classes


def test_most_photos_come_once() -> None:
    data = Balanced(LABELS, instances=2, batch_size=4, seed=0)
    times = np.bincount(list(data), minlength=len(LABELS))
    assert times.max() <= 2 and (times > 0).mean() > 0.9


def test_seed_and_epoch_decide() -> None:
    def numbers(seed: int, epoch: int) -> list[int]:
        data = Balanced(LABELS, instances=4, batch_size=16, seed=seed)
        data.set_epoch(epoch)
        return list(data)

    assert numbers(0, 3) == numbers(0, 3) != numbers(0, 4)
    assert numbers(0, 3) != numbers(1, 3)


def test_the_stream_goes_on_where_it_stopped() -> None:
    def batches(first: int, count: int) -> list[list[int]]:
        data = Balanced(LABELS, instances=4, batch_size=16, seed=0)
        stream = Streamed(data, Share(0, 16), list, first)
        return [batch for batch, _ in zip(stream, range(count), strict=False)]

    assert batches(15, 5) == batches(1, 19)[14:]


def test_classes_of_few_photos_repeat_them(caplog: pytest.LogCaptureFixture) -> None:
    labels = np.array([0, 0, 0, 1, 2, 2])
    with caplog.at_level(logging.WARNING):
        data = Balanced(labels, instances=4, batch_size=12, seed=0)
    assert "3 of 3 classes have fewer than 4 photos" in caplog.text
    assert np.bincount(labels[list(data)]).tolist() == [4, 4, 4]


def test_labels_need_not_be_contiguous() -> None:
    data = Balanced(np.array([5, 5, 9, 9]), instances=2, batch_size=4, seed=0)
    assert sorted(data) == [0, 1, 2, 3]


def test_what_cannot_be_filled() -> None:
    with pytest.raises(UsageError, match="no multiple of --instances 3"):
        Balanced(LABELS, instances=3, batch_size=8, seed=0)
    with pytest.raises(UsageError, match="A batch of 16 classes with 2 photos"):
        Balanced(LABELS, instances=2, batch_size=32, seed=0)
