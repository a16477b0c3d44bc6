from pathlib import Path

import numpy as np
import pytest

from metric.splits import held_out, joined
from vretr.data.labelled import Labelled
from vretr.errors import MismatchError


def photos(*sizes: int) -> Labelled:
    """Class number i of so many photos: c0_0.jpg, c0_1.jpg, ..."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    paths = [Path(f"c{label}_{number}.jpg") for number, label in enumerate(labels)]
    return Labelled(paths, labels, [f"c{number}" for number in range(len(sizes))])


@pytest.mark.parametrize(("share", "number"), [(0.2, 2), (0.55, 5), (0.9, 8), (0.01, 2)])
def test_classes_are_apart_and_nothing_is_lost(share: float, number: int) -> None:
    data = photos(3, 2, 5, 1, 2, 2, 4, 9, 2, 3)  # nine can be held out
    kept, out = held_out(data, share, seed=3)
    assert len(out.names) == number and not {*kept.names} & {*out.names}
    assert sorted([*kept.paths, *out.paths]) == sorted(data.paths)
    for part in (kept, out):
        assert {*part.labels.tolist()} == {*range(len(part.names))}
        named = [part.names[label] for label in part.labels]
        assert named == [path.name.partition("_")[0] for path in part.paths]


def test_a_class_of_one_photo_is_never_held_out() -> None:
    data = photos(1, 2, 1, 2, 1, 2, 2)
    out = {name for seed in range(30) for name in held_out(data, 0.5, seed)[1].names}
    assert out == {"c1", "c3", "c5", "c6"}


def test_the_seed_decides() -> None:
    data = photos(*[2] * 40)
    first, again, other = (held_out(data, 0.5, seed)[1].names for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("sizes", [(2, 2, 2), (5,), (9, 1, 1, 1, 1), (2, 2, 1), (1, 1, 1, 1)])
def test_too_few_classes(sizes: tuple[int, ...]) -> None:
    with pytest.raises(MismatchError, match="each side needs 2 classes"):
        held_out(photos(*sizes), 0.5, 0)
    with pytest.raises(MismatchError, match="cannot be held out of 6 classes"):
        held_out(photos(2, 2, 2, 2, 2, 2), 0.9, 0)


def test_joined_by_name() -> None:
    both = joined(
        Labelled([Path("x")], np.array([0]), ["b"]),
        Labelled([Path("y"), Path("z")], np.array([1, 0]), ["a", "b"]),
    )
    assert both.names == ["a", "b"] and both.labels.tolist() == [1, 1, 0]
