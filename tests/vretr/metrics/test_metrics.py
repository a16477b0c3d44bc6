"""Golden cases of the benchmarks, a plain-loop second implementation, and the memory bound."""

import subprocess
import sys
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from vretr import metrics
from vretr.metrics import Ranks, Ties, counting

# Metric learning, agreed by pytorch-metric-learning's AccuracyCalculator.
ANGLES = (0, 10, 25, 40, 58, 63, 95, 120, 170)
LABELS = (0, 0, 1, 0, 1, 1, 2, 2, 3)


def on_circle(*degrees: float) -> NDArray[np.float32]:
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


@pytest.mark.parametrize("shift", [0, 2**25, 2**53])
def test_metric_learning_among_themselves(shift: int) -> None:
    # Labels that differ only past float32's (2**24) or float64's (2**53) whole numbers stay apart.
    ranks = metrics.ranks_from_labels(on_circle(*ANGLES), np.array(LABELS) + shift)
    assert ranks.lone == 1
    assert metrics.recall_at(ranks, 1).tolist() == [1, 1, 0, 0, 1, 1, 1, 1]
    assert metrics.r_precision(ranks).tolist() == [0.5, 0.5, 0, 0, 0.5, 0.5, 1, 1]
    assert metrics.average_precision_at_r(ranks).tolist() == [0.5, 0.5, 0, 0, 0.5, 0.5, 1, 1]
    expected = [0.833333, 0.833333, 0.325, 0.325, 0.833333, 0.75, 1, 1]
    assert metrics.average_precision(ranks) == pytest.approx(expected, abs=1e-6)
    names = ("recall@1", "recall@2", "recall@4", "r_precision", "map@r", "map", "mrr")
    assert metrics.figures(ranks, *names) == pytest.approx(
        dict(zip(names, (0.75, 0.75, 1.0, 0.5, 0.5, 0.7375, 0.8125), strict=True))
    )


def test_metric_learning_with_a_gallery() -> None:
    ranks = metrics.ranks_from_labels(
        on_circle(5, 50, 100), [0, 1, 2], gallery=on_circle(*ANGLES), gallery_labels=LABELS
    )
    assert metrics.average_precision_at_r(ranks) == pytest.approx([2 / 3, 5 / 9, 1])
    assert metrics.figures(ranks, "recall@1", "r_precision", "map@r", "map") == pytest.approx(
        {"recall@1": 1, "r_precision": 0.777778, "map@r": 0.740741, "map": 0.907407}, abs=1e-6
    )


@pytest.mark.parametrize(
    ("ties", "recall"), [("index", 0.6), ("optimistic", 0.8), ("pessimistic", 0.4)]
)
def test_metric_learning_duplicates(ties: Ties, recall: float) -> None:
    vectors, labels = np.repeat(np.eye(2), (3, 2), axis=0), [0, 1, 0, 1, 1]
    ranks = metrics.ranks_from_labels(vectors, labels, ties=ties)
    assert metrics.figures(ranks, "recall@1") == {"recall@1": pytest.approx(recall)}
    if ties == "index":
        assert metrics.figures(ranks, "recall@2", "r_precision", "map@r", "map") == pytest.approx(
            {"recall@2": 0.8, "r_precision": 0.4, "map@r": 0.4, "map": 0.7166667}
        )


def test_circo() -> None:
    ranked = [
        [1, 9, 2, 8, 3, 7, 6, 5, 4, 10],
        [20, 1, 21, 2, 22, 3, 4, 23, 5, 24],
        [20, 21, 22, 23, 24, 1, 25, 26, 27, 28],
    ]
    ranks = metrics.ranks_from_lists(ranked, [{1, 2, 3}, set(range(1, 8)), {1}])
    at_5, at_10 = (metrics.average_precision_at(ranks, k) for k in (5, 10))
    assert at_5 == pytest.approx([0.7555555555555555, 0.2, 0])
    assert at_10 == pytest.approx([0.7555555555555555, 0.3752834467120181, 1 / 6])
    assert at_5.mean() == pytest.approx(0.31851851851851848)
    assert at_10.mean() == pytest.approx(0.4325018896447468)
    assert at_10[[0, 1]].mean() == pytest.approx(0.5654195011337868)  # the aspect "addition"
    target = metrics.ranks_from_lists(ranked, [{1}] * 3)
    assert metrics.figures(target, "recall@5", "recall@10") == pytest.approx(
        {"recall@5": 2 / 3, "recall@10": 1}
    )
    # Two of B's seven are in no list: they lower the average and add nothing to it.
    assert metrics.average_precision(ranks)[1] == pytest.approx(0.3752834467120181)


CIRR = [  # gallery a..h: ranking, reference, target, members
    ("agcbhdef", "a", "d", "abcdef"),
    ("cbahgfed", "b", "c", "abcdeg"),
    ("hgfedcba", "h", "a", "hgfeda"),
]


def test_cirr() -> None:
    scores = np.array([[-ranking.index(name) for name in "abcdefgh"] for ranking, *_ in CIRR])
    place = [["abcdefgh".index(name) for name in row] for row in ("dca", "abh")]
    relevant, references = ([[index] for index in row] for row in place)
    members = [["abcdefgh".index(name) for name in row] for *_, row in CIRR]

    ranks = metrics.ranks_from_scores(scores, relevant=relevant, left_out=references)
    assert ranks.first.tolist() == [5, 1, 7]
    subset = metrics.ranks_from_scores(
        scores, relevant=relevant, left_out=references, among=members
    )
    assert subset.first.tolist() == [3, 1, 5]
    assert metrics.figures(ranks, "recall@1", "recall@5", "recall@10") == pytest.approx(
        {"recall@1": 1 / 3, "recall@5": 2 / 3, "recall@10": 1}
    )
    assert metrics.figures(subset, "recall@1", "recall@2", "recall@3") == pytest.approx(
        {"recall@1": 1 / 3, "recall@2": 1 / 3, "recall@3": 2 / 3}
    )
    kept = metrics.ranks_from_scores(scores, relevant=relevant)
    assert kept.first.tolist() == [6, 1, 8]


def test_fashioniq_averages_over_categories() -> None:
    hits = {"dress": (1, 2), "shirt": (1, 4), "toptee": (2, 5)}
    recalls = [
        metrics.recall_at(Ranks.of([[10]] * hit + [[11]] * (number - hit)), 10).mean()
        for hit, number in hits.values()
    ]
    assert recalls == pytest.approx([0.5, 0.25, 0.4])
    assert np.mean(recalls) == pytest.approx(0.38333333)


def test_genecis() -> None:
    similarities = [
        [0.9, 0.1, 0.5],
        [0.5, 0.9, 0.1, 0.7],
        [0.2, 0.9, 0.8, 0.7, 0.1],
        [0.5, 0.5, 0.1],
    ]
    for ties, expected in (("pessimistic", [1, 3, 4, 2]), ("optimistic", [1, 3, 4, 1])):
        firsts = [
            metrics.ranks_from_scores([row], relevant=[[0]], ties=ties).first[0]  # type: ignore[arg-type]
            for row in similarities
        ]
        assert firsts == expected
    constant = metrics.ranks_from_scores(np.ones((4, 15)), relevant=[[0]] * 4, ties="pessimistic")
    names = ("recall@1", "recall@2", "recall@3")
    assert set(metrics.figures(constant, *names).values()) == {0}


# The second implementation: sort in float64, walk down the list.


def plain_ranking(
    scores: list[float], relevant: set[int], counting: list[int], ties: Ties
) -> list[int]:
    tie_key = {
        "index": lambda item: item,
        "pessimistic": lambda item: (item in relevant, item),
        "optimistic": lambda item: (item not in relevant, item),
    }[ties]
    return sorted(counting, key=lambda item: (-round(scores[item] * 2**20), tie_key(item)))


def plain_measures(ranking: list[int], relevant: set[int], k: int) -> dict[str, float]:
    hits, precisions = 0, []
    for rank, item in enumerate(ranking, start=1):
        if item in relevant:
            hits += 1
            precisions.append((rank, hits / rank))
    size = len(relevant)
    return {
        f"recall@{k}": float(any(item in relevant for item in ranking[:k])),
        f"map@{k}": sum(p for rank, p in precisions if rank <= k) / min(size, k),
        "map": sum(p for _, p in precisions) / size,
        "map@r": sum(p for rank, p in precisions if rank <= size) / size,
        "r_precision": sum(item in relevant for item in ranking[:size]) / size,
        "mrr": 1 / precisions[0][0],
        "median_rank": precisions[0][0],
    }


@given(
    data=st.data(),
    ties=st.sampled_from(["index", "pessimistic", "optimistic"]),
    few=st.sampled_from([0, 100]),  # count by sorting, or by comparing
)
def test_equals_plain_loops(data: st.DataObject, ties: Ties, few: int) -> None:
    size = data.draw(st.integers(2, 90))
    levels = data.draw(st.sampled_from([1, 3, 1000]))  # few levels: many ties
    seed = data.draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels, (4, size)) / 64
    left_out = [rng.choice(size, rng.integers(0, size), replace=False) for _ in scores]
    among = [rng.permutation(size)[: rng.integers(1, size + 1)] for _ in scores]
    allowed = [[i for i in row if i not in out] for row, out in zip(among, left_out, strict=True)]
    relevant = [row[: rng.integers(0, len(row) + 1)] for row in allowed]
    with patch.object(counting, "FEW", few):
        ranks = metrics.ranks_from_scores(
            scores, relevant=relevant, left_out=left_out, among=among, ties=ties
        )
    k = data.draw(st.integers(1, size))
    answered = [row for row in range(4) if relevant[row]]
    assert ranks.lone == 4 - len(answered)
    if not answered:
        return
    rows = [
        plain_measures(
            plain_ranking(scores[row].tolist(), set(relevant[row]), allowed[row], ties),
            set(relevant[row]),
            k,
        )
        for row in answered
    ]
    found = metrics.figures(ranks, *rows[0])
    for name, value in found.items():
        combine = np.median if name == "median_rank" else np.mean
        assert value == pytest.approx(float(combine([row[name] for row in rows]))), name
    assert found["map@r"] <= found["r_precision"] + 1e-12


@given(seed=st.integers(0, 2**32 - 1), memory=st.sampled_from([1, 400, 1 << 20]))
def test_vectors_and_labels_equal_scores(seed: int, memory: int) -> None:
    """Whatever the size of the blocks, and with duplicates in the gallery."""
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-2, 3, (17, 5)) / 8  # products are exact: the ranks must be equal
    vectors = vectors[rng.integers(0, 17, 17)]
    labels = rng.choice(["ant", "bee", "cat", "dog"], 17)
    relevant = [[j for j in range(17) if labels[i] == labels[j] and i != j] for i in range(17)]
    expected = metrics.ranks_from_scores(
        vectors @ vectors.T, relevant=relevant, left_out=[[i] for i in range(17)]
    )
    by_label = metrics.ranks_from_labels(vectors, labels, memory=memory)
    by_list = metrics.ranks_from_vectors(
        vectors, vectors, relevant=relevant, left_out=[[i] for i in range(17)], memory=memory
    )
    for ranks in (by_label, by_list):
        assert ranks.values.tolist() == expected.values.tolist()
        assert ranks.counts.tolist() == expected.counts.tolist()


def test_noise_below_the_rounding_is_a_tie() -> None:
    scores = [[0.5 + 1.2e-7, 0.5, 0.1]]
    first = {
        ties: int(metrics.ranks_from_scores(scores, relevant=[[1]], ties=ties).first[0])
        for ties in ("index", "pessimistic", "optimistic")
    }
    assert first == {"index": 2, "pessimistic": 2, "optimistic": 1}


def test_labels_of_the_gallery_that_no_query_has() -> None:
    ranks = metrics.ranks_from_labels(
        np.eye(3), [5, 7, 9], gallery=np.eye(3), gallery_labels=[5, 6, 6]
    )
    assert (ranks.lone, ranks.counts.tolist()) == (2, [1, 0, 0])


def test_wrong_input_is_refused() -> None:
    eye = np.eye(3)
    with pytest.raises(ValueError, match="left out: \\[1\\]"):
        metrics.ranks_from_scores(eye, relevant=[[0], [1], [2]], left_out=[[], [1], []])
    with pytest.raises(ValueError, match="of 2 queries, not of 3"):
        metrics.ranks_from_scores(eye, relevant=[[0], [1]])
    with pytest.raises(ValueError, match="finite"):
        metrics.ranks_from_labels(eye * np.nan, [0, 1, 2])
    with pytest.raises(ValueError, match="4 numbers"):
        metrics.ranks_from_vectors(np.eye(4), eye, relevant=[[0]] * 4)
    with pytest.raises(ValueError, match="tie rule"):
        metrics.ranks_from_scores(eye, relevant=[[0]] * 3, ties="random")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="twice"):
        metrics.ranks_from_lists([["a", "a"]], [{"a"}])
    with pytest.raises(ValueError, match="nothing to average"):
        metrics.figures(metrics.ranks_from_labels(eye, [0, 1, 2]), "recall@1")
    with pytest.raises(ValueError, match="no measure 'precision@1'"):
        metrics.figures(Ranks.of([[1]]), "precision@1")
    with pytest.raises(ValueError, match="at least 1"):
        metrics.recall_at(Ranks.of([[1]]), 0)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_memory_of_stanford_online_products() -> None:
    """60,502 x 60,502 (the test set of SOP, 11,316 classes) within 2 GB of resident memory."""
    program = """
import numpy as np
from pathlib import Path
from vretr import metrics
rng = np.random.default_rng(0)
labels = np.concatenate([np.arange(11_316), rng.integers(0, 11_316, 60_502 - 11_316)])
vectors = rng.standard_normal((60_502, 128), dtype=np.float32)
vectors += rng.standard_normal((11_316, 128), dtype=np.float32)[labels]
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
found = metrics.figures(metrics.ranks_from_labels(vectors, labels), "recall@1", "map@r")
assert 0.3 < found["map@r"] < found["recall@1"] <= 1, found
# Not ru_maxrss, which a child inherits from the process that started it.
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 2_000_000  # KiB


@given(seed=st.integers(0, 2**32 - 1), ties=st.sampled_from(["index", "pessimistic"]))
def test_several_kinds_of_ranks_equal_one_after_the_other(seed: int, ties: Ties) -> None:
    """What one kind leaves out still counts in the others, and lists agree with ranks."""
    rng = np.random.default_rng(seed)
    queries, gallery = rng.integers(-2, 3, (4, 3)) / 4, rng.integers(-2, 3, (9, 3)) / 4
    kinds: dict[str, list[metrics.Question]] = {"all": [], "without": [], "few": []}
    for _ in queries:
        relevant, other, *rest = rng.permutation(9)
        kinds["all"].append(metrics.Question.of([relevant, other]))
        kinds["without"].append(metrics.Question.of([relevant], [other, rest[0]]))
        kinds["few"].append(metrics.Question.of([relevant], [other], [relevant, other, *rest[:3]]))
    together = metrics.rankings_from_vectors(queries, gallery, questions=kinds, ties=ties)
    for name, questions in kinds.items():
        alone = metrics.ranks_from_vectors(
            queries,
            gallery,
            relevant=[of.relevant for of in questions],
            left_out=[of.left_out for of in questions],
            among=[range(9) if of.among is None else of.among for of in questions],
            ties=ties,
        )
        assert together[name].values.tolist() == alone.values.tolist()
        lists = metrics.lists_from_vectors(queries, gallery, questions=questions, length=3)
        if ties == "index":
            listed = metrics.ranks_from_lists(lists, [{*of.relevant.tolist()} for of in questions])
            here = [rank if rank <= 3 else metrics.UNRANKED for rank in alone.values.tolist()]
            assert listed.values.tolist() == here


def test_lists_are_as_long_as_there_are_items() -> None:
    question = [metrics.Question.of([], left_out=[1], among=[0, 1, 3])]
    (found,) = metrics.lists_from_vectors(
        [[1.0]], [[0.5], [0.9], [0.8], [0.5]], questions=question, length=5
    )
    assert found.tolist() == [0, 3]


def test_ranks_of_some_queries() -> None:
    ranks = Ranks.of([[4, 1], [], [2], [3, 5]])
    some = ranks.where(np.array([True, True, False, True]))
    assert (some.values.tolist(), some.counts.tolist()) == ([1, 4, 3, 5], [2, 0, 2])
