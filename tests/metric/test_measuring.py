"""Golden cases, agreed by pytorch-metric-learning, and what cannot be measured."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

from metric.measuring import measure
from vretr.errors import MismatchError

LABELS = (0, 0, 1, 0, 1, 1, 2, 2, 3)
ALL = ("recall", "r_precision", "map@r", "map", "mrr")


def on_circle(*degrees: float) -> NDArray[np.float32]:
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


A = on_circle(0, 10, 25, 40, 58, 63, 95, 120, 170)


@pytest.mark.parametrize("labels", [
    LABELS,
    np.array(LABELS) + 2**25,  # past float32's whole numbers
    [label + 2**70 for label in LABELS],  # past NumPy's
    [-5 * label for label in LABELS],
    ["no", "no", "yes", "no", "yes", "yes", "or", "or", "alone"],
    torch.tensor(LABELS),
])  # fmt: skip
def test_case_a(labels: Any) -> None:
    found = measure(A, labels, ks=(1, 2, 4), measures=ALL)
    assert found.figures == pytest.approx({
        "recall@1": 0.75, "recall@2": 0.75, "recall@4": 1.0, "r_precision": 0.5, "map@r": 0.5,
        "map": 0.7375, "mrr": 0.8125,
    })  # fmt: skip
    assert (found.queries, found.lone, found.duplicates) == (8, 1, 0)


def test_case_a_by_class() -> None:
    found = measure(A, LABELS, ks=(1,))
    assert found.classes.tolist() == [0, 1, 2] and found.queries_of.tolist() == [3, 3, 2]
    assert found.by_class["recall@1"] == pytest.approx([2 / 3, 2 / 3, 1])
    assert found.by_class["map@r"] == pytest.approx([1 / 3, 1 / 3, 1])


def test_case_b() -> None:
    found = measure(on_circle(5, 50, 100), [0, 1, 2], gallery=A, gallery_labels=LABELS, ks=(1,))
    assert found.figures == pytest.approx(
        {"recall@1": 1, "r_precision": 0.777778, "map@r": 0.740741}, abs=1e-6
    )
    assert found.by_class["map@r"] == pytest.approx([2 / 3, 5 / 9, 1])
    with_map = measure(
        on_circle(5, 50, 100), [0, 1, 2], gallery=A, gallery_labels=LABELS, measures=("map",)
    )
    assert with_map.figures == {"map": pytest.approx(0.907407, abs=1e-6)}


@pytest.mark.parametrize(
    ("ties", "recall"), [("index", 0.6), ("optimistic", 0.8), ("pessimistic", 0.4)]
)
def test_case_c(ties: Any, recall: float) -> None:
    vectors, labels = np.repeat(np.eye(2), (3, 2), axis=0), [0, 1, 0, 1, 1]
    found = measure(vectors, labels, ks=(1, 2), ties=ties)
    assert found.figures["recall@1"] == pytest.approx(recall) and found.duplicates == 3
    if ties == "index":
        assert found.figures == pytest.approx(
            {"recall@1": 0.6, "recall@2": 0.8, "r_precision": 0.4, "map@r": 0.4}
        )
        whole = measure(vectors, labels, measures=("map",)).figures
        assert whole == {"map": pytest.approx(0.7166667)}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("classes", [2, 9, 30])
def test_equals_pytorch_metric_learning(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, 60 - classes)])
    vectors = rng.standard_normal((60, 8)) + 0.7 * rng.standard_normal((classes, 8))[labels]
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    calculator = AccuracyCalculator(
        include=("precision_at_1", "r_precision", "mean_average_precision_at_r"),
        k="max_bin_count",
        device=torch.device("cpu"),
    )
    theirs = calculator.get_accuracy(torch.from_numpy(vectors), torch.from_numpy(labels))
    ours = measure(vectors, labels, ks=(1,)).figures
    assert ours == pytest.approx(
        {
            "recall@1": theirs["precision_at_1"],
            "r_precision": theirs["r_precision"],
            "map@r": theirs["mean_average_precision_at_r"],
        },
        abs=1e-6,
    )


@pytest.mark.parametrize(
    ("vectors", "labels", "options", "sentence"),
    [
        (np.eye(3) * np.nan, [0, 0, 1], {}, r"3 of 3 vectors hold NaN or infinity: the network"),
        (np.eye(3), [0, 0], {}, "2 labels do not fit 3 vectors"),
        (np.eye(3), [0.5, 0.5, 1], {}, "whole numbers or of words"),
        (np.eye(3), np.array([0.0, 1, 1]), {}, "whole numbers or of words"),
        (np.eye(3), [[0], [0], [1]], {}, "must be a list"),
        (np.eye(3), [0, 1, 2], {}, "no query has another photo of its class"),
        (np.eye(3)[0], [0], {}, r"must be a matrix, not of shape \(3,\)"),
        (np.eye(3), [0, 0, 1], {"gallery": np.eye(3)}, "come together"),
        (
            np.eye(3),
            [0, 0, 1],
            {"gallery": np.eye(3), "gallery_labels": ["a", "b", "c"]},
            "both be numbers, or both words",
        ),
        (
            np.eye(3),
            [0, 0, 1],
            {"gallery": np.full((1, 3), np.inf), "gallery_labels": [0]},
            "1 of 1 gallery vectors hold NaN",
        ),
    ],
)
def test_what_cannot_be_measured(
    vectors: Any, labels: Any, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(MismatchError, match=sentence):
        measure(vectors, labels, **options)


def test_a_measure_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="no measure 'nmi'"):
        measure(A, LABELS, measures=("nmi",))
