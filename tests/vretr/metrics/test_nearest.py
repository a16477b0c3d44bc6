"""Ranks up to a depth are those of the counting, and what is kept stays within its bound."""

import subprocess
import sys
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from vretr import metrics
from vretr.metrics import Ranks, Ties, nearest
from vretr.metrics.measures import UNRANKED

TIES = st.sampled_from(["index", "pessimistic", "optimistic"])


def drawn(rng: np.random.Generator, size: int, levels: int) -> NDArray[np.float32]:
    """Vectors of length 1 or less whose products are exact; of few levels there are many ties."""
    return (rng.integers(-levels, levels + 1, (size, 4)) / (2 * levels)).astype(np.float32)


def same_within(found: Ranks, counted: Ranks, depth: int) -> None:
    assert found.counts.tolist() == counted.counts.tolist()
    for some, all_of_them in zip(found.rows, counted.rows, strict=True):
        known = some[some < UNRANKED]
        assert known.tolist() == all_of_them[: len(known)].tolist()
        assert (all_of_them[len(known) :] > depth).all()


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(2, 80),
    levels=st.sampled_from([1, 2, 64]),
    depth=st.integers(1, 90),
    memory=st.sampled_from([1, 3000, 2**20]),
    ties=TIES,
    gallery=st.booleans(),
)
def test_equals_counting(
    seed: int, size: int, levels: int, depth: int, memory: int, ties: Ties, gallery: bool
) -> None:
    """Whatever the blocks, also where the sample is too small to be a good one."""
    rng = np.random.default_rng(seed)
    vectors, labels = drawn(rng, size, levels), rng.integers(0, 5, size)
    others = {}
    if gallery:
        others = {"gallery": drawn(rng, 40, levels), "gallery_labels": rng.integers(1, 7, 40)}
    counted = metrics.ranks_from_labels(vectors, labels, ties=ties, **others)
    for least in (1, 5, 1024):
        with patch.multiple(nearest, _MEMORY=memory, _FEWEST=1, _AT_ONCE=3, _LEAST=least):
            found = metrics.ranks_from_labels(vectors, labels, ties=ties, depth=depth, **others)
        same_within(found, counted, depth)


@pytest.mark.parametrize("most", [0, 500, 2**25])
def test_collapsed_vectors_do_not_fill_the_memory(most: int) -> None:
    """Where everything is level, everything would be kept: then it is counted instead."""
    vectors, labels = np.full((60, 3), 0.5), np.arange(60) % 20
    counted = metrics.ranks_from_labels(vectors, labels, ties="pessimistic")
    with patch.object(nearest, "MOST", most), patch.object(nearest, "_LEAST", 8):
        found = metrics.ranks_from_labels(vectors, labels, ties="pessimistic", depth=2)
    same_within(found, counted, 2)


def test_long_vectors_are_counted() -> None:
    vectors = np.array([[3.0, 0], [2, 0], [0, 1], [1, 1]])
    labels = ["a", "b", "a", "b"]
    counted = metrics.ranks_from_labels(vectors, labels)
    found = metrics.ranks_from_labels(vectors, labels, depth=1)
    assert found.values.tolist() == counted.values.tolist()


def test_a_tie_rule_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="tie rule"):
        metrics.ranks_from_labels(np.eye(3), [0, 0, 1], depth=1, ties="random")  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_memory_of_stanford_online_products() -> None:
    """60,502 x 60,502 (the test set of SOP, 11,316 classes) to rank 100 within 3 GB."""
    program = """
import numpy as np
from pathlib import Path
from vretr import metrics
rng = np.random.default_rng(0)
labels = np.concatenate([np.arange(11_316), rng.integers(0, 11_316, 60_502 - 11_316)])
vectors = rng.standard_normal((60_502, 512), dtype=np.float32)
vectors += 0.3 * rng.standard_normal((11_316, 512), dtype=np.float32)[labels]
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
found = metrics.figures(metrics.ranks_from_labels(vectors, labels, depth=100), "recall@1", "map@r")
assert 0 < found["map@r"] < found["recall@1"] <= 1, found
# Not ru_maxrss, which a child inherits from the process that started it.
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 3_000_000_000 / 1024  # KiB
