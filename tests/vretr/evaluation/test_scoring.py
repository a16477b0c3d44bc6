"""Composing, ranking and listing, whichever the benchmark is."""

from typing import Any

import numpy as np
import pytest

from vretr.data.cir.benchmark import Benchmark, Query, Ranking
from vretr.encoders import unit
from vretr.errors import MismatchError
from vretr.evaluation import scoring
from vretr.evaluation.scoring import compose, lists, score

rng = np.random.default_rng(0)


class Letters:
    """The reference plus as many as there are letters in the text, along each axis of a letter."""

    name = "letters"

    def compose_batch(self, references: Any, texts: Any) -> Any:
        added = [[sum(text.count(letter) for text in row) for letter in "abc"] for row in texts]
        return unit(np.asarray(references)[:, 0] + np.array(added))


def query(*texts: str, **fields: Any) -> Query:
    defaults: dict[str, Any] = {"id": "7", "reference": 0, "targets": (1,), "gallery": np.arange(4)}
    return Query(texts=texts, **(defaults | fields))


def benchmark(*queries: Query, **fields: Any) -> Benchmark:
    defaults: dict[str, Any] = {
        "title": "toy",
        "split": "val",
        "pictures": [f"/x/{name}.jpg" for name in "abcdefgh"],
        "rankings": {"all": Ranking(listed=2), "first": Ranking(targets="first")},
        "figures": lambda ranks, queries: {},
        "reference": "removed",
    }
    return Benchmark(queries=queries, **(defaults | fields))


def test_several_ways_to_say_it_are_averaged(monkeypatch: pytest.MonkeyPatch) -> None:
    queries = [query("a"), query("ab", "c", "bbb"), query("c")]
    references = unit(rng.normal(size=(3, 3)))
    one, *several, last = (
        Letters().compose_batch(references[place : place + 1, None], [[text]])[0]
        for place, text in ((0, "a"), (1, "ab"), (1, "c"), (1, "bbb"), (2, "c"))
    )
    expected = np.stack([one, unit(np.mean(several, axis=0)), last])
    for at_once in (1, 2, 100):
        monkeypatch.setattr(scoring, "QUERIES", at_once)
        assert compose(Letters(), queries, references) == pytest.approx(expected, abs=1e-6)  # type: ignore[arg-type]


def test_every_gallery_by_itself_and_ranks_in_the_order_of_the_queries() -> None:
    near, far = np.array([0, 1, 2]), np.array([6, 1, 4])
    queries = [
        query("x", gallery=near, targets=(1,)),
        query("x", gallery=far, targets=(4, 1), reference=2),
        query("x", gallery=near, targets=(2,), reference=1),
    ]
    vectors = unit(rng.normal(size=(8, 3)))
    asked = unit(rng.normal(size=(3, 3)))
    found = score(benchmark(*queries), asked, vectors)
    listed = lists(benchmark(*queries), asked, vectors)
    for place, each in enumerate(queries):
        scores = vectors @ asked[place]
        order = sorted(
            (n for n in each.gallery.tolist() if n != each.reference), key=lambda n: -scores[n]
        )
        ranks = sorted(1 + order.index(target) for target in each.targets)
        assert found["all"].rows[place].tolist() == ranks
        assert found["first"].rows[place].tolist() == [1 + order.index(each.targets[0])]
        assert listed["all"][place] == ["abcdefgh"[n] for n in order[:2]]
    assert [*listed] == ["all"]


def test_a_reference_that_is_right() -> None:
    toy = benchmark(query("x", targets=(0,)))
    vectors = np.eye(4, dtype=np.float32)
    with pytest.raises(MismatchError, match="query 7 is one of its targets: --reference kept"):
        score(toy, vectors[:1], vectors)
    assert score(toy, vectors[:1], vectors, removed=False)["all"].first.tolist() == [1]


def test_a_list_that_is_too_short() -> None:
    toy = benchmark(query("x", gallery=np.array([0, 1])))
    with pytest.raises(MismatchError, match="lists 2 pictures for each query, and only 1 can"):
        lists(toy, np.ones((1, 2)), np.ones((8, 2)))
    assert lists(toy, np.ones((1, 2)), np.ones((8, 2)), removed=False)["all"] == [["a", "b"]]
