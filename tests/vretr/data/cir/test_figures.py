"""The figures of the four benchmarks, by hand and by the golden cases of their authors' code."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.vretr.data.cir import tiny
from vretr.data.cir import circo, cirr, fashioniq, genecis
from vretr.data.cir.benchmark import Benchmark, Query, Ranking
from vretr.evaluation.scoring import score
from vretr.metrics import Ranks, ranks_from_lists


def asked(**fields: Any) -> Query:
    defaults: dict[str, Any] = {
        "id": "0",
        "reference": 0,
        "texts": ("x",),
        "targets": (1,),
        "gallery": None,
    }
    return Query(**(defaults | fields))


def test_circos_golden_figures() -> None:
    lists = [
        [1, 9, 2, 8, 3, 7, 6, 5, 4, 10],
        [20, 1, 21, 2, 22, 3, 4, 23, 5, 24],
        [20, 21, 22, 23, 24, 1, 25, 26, 27, 28],
    ]
    ranks = {
        "truths": ranks_from_lists(lists, [{1, 2, 3}, set(range(1, 8)), {1}]),
        "target": ranks_from_lists(lists, [{1}] * 3),
    }
    groups = [("addition", "negation"), ("addition",), ("viewpoint",)]
    figures = circo.figures(ranks, [asked(groups=each) for each in groups])
    expected = {
        "map@5": 31.851851851851848,
        "map@10": 43.25018896447468,
        "recall@5": 200 / 3,
        "recall@10": 100,
        "addition_map@10": 56.54195011337868,
        "negation_map@10": 75.55555555555556,
        "viewpoint_map@10": 16.666666666666664,
    }
    assert {name: 100 * figures[name] for name in expected} == pytest.approx(expected)
    assert [name for name in figures if name.endswith("_map@10")] == [
        f"{aspect}_map@10" for aspect in circo.ASPECTS
    ]
    assert math.isnan(figures["cardinality_map@10"])  # no query has that aspect


CIRR = [  # gallery a..h: ranking, reference, target, members
    ("agcbhdef", "a", "d", "abcdef"),
    ("cbahgfed", "b", "c", "abcdeg"),
    ("hgfedcba", "h", "a", "hgfeda"),
]


def test_cirrs_golden_ranks() -> None:
    gallery, names = np.arange(8), "abcdefgh"
    queries = [
        asked(
            reference=names.index(reference),
            targets=(names.index(target),),
            members=tuple(map(names.index, members)),
            gallery=gallery,
        )
        for _, reference, target, members in CIRR
    ]
    benchmark = Benchmark(
        title="golden",
        split="val",
        pictures=[*names],
        queries=queries,
        rankings={"gallery": Ranking(), "subset": Ranking(among="members")},
        figures=cirr.figures,
        reference="removed",
    )
    scores = np.array([[-ranking.index(name) / 8 for name in names] for ranking, *_ in CIRR])
    ranks = score(benchmark, scores, np.eye(8))
    assert ranks["gallery"].first.tolist() == [5, 1, 7]
    assert ranks["subset"].first.tolist() == [3, 1, 5]
    assert benchmark.figures(ranks, queries) == pytest.approx(
        {
            "recall@1": 1 / 3,
            "recall@5": 2 / 3,
            "recall@10": 1,
            "recall@50": 1,
            "subset_recall@1": 1 / 3,
            "subset_recall@2": 1 / 3,
            "subset_recall@3": 2 / 3,
            "average": 0.5,
        }
    )
    kept = score(benchmark, scores, np.eye(8), removed=False)
    assert kept["gallery"].first.tolist() == [6, 1, 8]


def test_fashioniqs_means_are_over_categories() -> None:
    hits = {"dress": (1, 2), "shirt": (1, 4), "toptee": (2, 5)}
    rows, queries = [], []
    for category, (hit, number) in hits.items():
        rows += [[10]] * hit + [[51]] * (number - hit)
        queries += [asked(groups=(category,))] * number
    figures = fashioniq.figures({"targets": Ranks.of(rows)}, queries)
    assert [figures[f"{name}_recall@10"] for name in hits] == pytest.approx([0.5, 0.25, 0.4])
    assert figures["recall@10"] == figures["recall@50"] == pytest.approx(0.38333333)
    assert figures["average"] == pytest.approx(0.38333333)


def test_genecis_golden_ranks() -> None:
    similarities = [
        [0.9, 0.1, 0.5],
        [0.5, 0.9, 0.1, 0.7],
        [0.2, 0.9, 0.8, 0.7, 0.1],
        [0.5, 0.5, 0.1],
    ]
    sizes = [len(row) for row in similarities]
    galleries = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    queries = [
        asked(gallery=gallery, targets=(int(gallery[0]),), groups=("focus_object",))
        for gallery in galleries
    ]
    benchmark = Benchmark(
        title="golden",
        split="all",
        pictures=[str(n) for n in range(sum(sizes))],
        queries=queries,
        rankings={"targets": Ranking()},
        figures=genecis.figures,
        reference="not in the gallery",
        own_galleries=True,
    )
    flat = np.array([similarity for row in similarities for similarity in row])
    scores = np.tile(flat, (4, 1))
    ranks = score(benchmark, scores, np.eye(len(flat)))
    assert ranks["targets"].first.tolist() == [1, 3, 4, 2]
    assert benchmark.figures(ranks, queries) == {
        "focus_object_recall@1": 0.25,
        "focus_object_recall@2": 0.5,
        "focus_object_recall@3": 0.75,
    }
    optimistic = score(benchmark, scores, np.eye(len(flat)), ties="optimistic")
    assert optimistic["targets"].first.tolist() == [1, 3, 4, 1]


def test_the_mean_of_genecis_needs_all_four_tasks(tmp_path: Path) -> None:
    benchmark = genecis.load(tiny.genecis(tmp_path))
    constant = np.ones((len(benchmark.pictures), 1), np.float32)
    ranks = score(benchmark, np.ones((4, 1), np.float32), constant)
    figures = benchmark.figures(ranks, benchmark.queries)
    assert figures["recall@1"] == 0 and len(figures) == 13
    assert figures["change_object_recall@3"] == 1 and figures["change_object_recall@2"] == 0
