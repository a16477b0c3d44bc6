"""Search agrees with brute force: the kernel on arrays, the index on disk."""

import sqlite3
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vretr.errors import MismatchError, UsageError, VretrError
from vretr.index import Index, search
from vretr.index.store import Changes, Store, writing


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 90), max_size=4),
    st.integers(1, 9),
    st.integers(1, 130),
    st.integers(1, 3),
    st.integers(0, 2**32 - 1),
)
def test_top_is_the_top(sizes: list[int], queries: int, count: int, levels: int, seed: int) -> None:
    """Few distinct values give many ties: the products must still be the largest ones."""
    random = np.random.default_rng(seed)
    segments = [random.integers(-levels, levels + 1, (n, 3)).astype(np.float32) for n in sizes]
    asked = random.integers(-levels, levels + 1, (queries, 3)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "_SCORES", 128)
        patch.setattr(search, "_GROUP", 8)
        patch.setattr(search, "_QUERIES", 4)
        found = search.top(segments, asked, count)
    matrix = np.concatenate([np.empty((0, 3), np.float32), *segments])
    assert len(found) == queries
    for query, (rows, products) in zip(asked, found, strict=True):
        expected = matrix @ query
        assert len(set(rows.tolist())) == len(rows) == min(count, len(matrix))
        np.testing.assert_array_equal(products, np.sort(expected)[::-1][:count])
        np.testing.assert_array_equal(expected[rows], products)
        np.testing.assert_array_equal(search.scores(segments, query), expected)


def test_top_of_more_than_a_block() -> None:
    random = np.random.default_rng(0)
    segments = [random.standard_normal((n, 8), dtype=np.float32) for n in (80_001, 17, 20_000)]
    queries = random.standard_normal((70, 8), dtype=np.float32)
    expected = np.concatenate(segments) @ queries.T
    for (rows, products), column in zip(
        search.top(segments, queries, 100), expected.T, strict=True
    ):
        np.testing.assert_allclose(products, np.sort(column)[::-1][:100], rtol=1e-5)
        np.testing.assert_allclose(column[rows], products, rtol=1e-5)


def test_rows_in_ascending_order_are_the_worst_case_and_right() -> None:
    vectors = np.linspace(-1, 1, 100_000, dtype=np.float32)[:, None]
    ((rows, _),) = search.top([vectors], np.ones((1, 1), np.float32), 10)
    np.testing.assert_array_equal(rows, np.arange(99_999, 99_989, -1))


class Encoder:
    name, identity, dim = "three", "3" * 64, 3


def fill(store: Store, vectors: np.ndarray, names: list[str]) -> None:
    """Photos with these vectors; equal vectors are equal contents."""
    changes = Changes()
    for vector, name in zip(vectors, names, strict=True):
        digest = vector.tobytes()
        changes.photos.append((name.encode(), 1, 1, digest))
        changes.contents.append((digest, 1))
        changes.vectors.append(vector)
    store.commit(changes)


@settings(max_examples=15)
@given(
    st.integers(1, 120),
    st.integers(1, 40),
    st.sampled_from([1, 4, 1024]),  # products are exact, whatever computes them
    st.booleans(),
    st.sampled_from([None, 0.0, 1.0]),
    st.integers(0, 2**32 - 1),
)
def test_index_agrees_with_brute_force(
    memory: Path,
    photos: int,
    k: int,
    levels: int,
    filtered: bool,
    min_score: float | None,
    seed: int,
) -> None:
    folder = Path(mkdtemp(dir=memory))
    random = np.random.default_rng(seed)
    vectors = (random.integers(-levels, levels + 1, (photos, 3)) / levels).astype(np.float32)
    names = [f"{number:x}" for number in random.permutation(photos)]
    gone = set(random.choice(names, photos // 3, replace=False))
    queries = random.integers(-1, 2, (3, 3)).astype(np.float32)
    without = {vectors[0].tobytes()} if filtered else set()
    with writing(folder / "i", Encoder(), root=folder, rebuild=False) as store:
        for part in np.array_split(np.arange(photos), 3):
            fill(store, vectors[part], [names[i] for i in part])
        store.connection.executemany(
            "DELETE FROM photo WHERE path = ?", [(name.encode(),) for name in gone]
        )
    with pytest.MonkeyPatch.context() as patch, Index.open(folder / "i") as index:
        patch.setattr("vretr.index.reader._SPARE", 2)
        found = index.search_batch(
            queries,
            k,
            keep=(lambda path: path.name[-1] not in "02468ace") if filtered else None,
            min_score=min_score,
            without=without,
        )
        assert found[0] == index.search(
            queries[0],
            k,
            keep=(lambda path: path.name[-1] not in "02468ace") if filtered else None,
            min_score=min_score,
            without=without,
        )
    for query, hits in zip(queries, found, strict=True):
        expected = sorted(
            (-round(float(vector @ query), 6), name.encode())
            for vector, name in zip(vectors, names, strict=True)
            if name not in gone
            and (not filtered or name[-1] not in "02468ace")
            and vector.tobytes() not in without
            and (min_score is None or round(float(vector @ query), 6) >= min_score)
        )[:k]
        got = [(-hit.score, hit.path.name.encode()) for hit in hits]
        assert got == expected
        assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))


@pytest.fixture
def index(tmp_path: Path) -> Path:
    with writing(tmp_path / "i", Encoder(), root=tmp_path, rebuild=False) as store:
        fill(store, np.eye(3, dtype=np.float32), ["a", "b", "c"])
    return tmp_path / "i"


def test_hits_of_a_query(index: Path) -> None:
    with Index.open(index) as opened:
        hits = opened.search([0.0, 1.0, 0.5], 2)
    assert [(hit.path, hit.score, hit.rank) for hit in hits] == [
        (index.parent / "b", 1.0, 1),
        (index.parent / "c", 0.5, 2),
    ]


def test_what_cannot_be_asked(index: Path) -> None:
    with Index.open(index) as opened:
        with pytest.raises(MismatchError, match="length 3"):
            opened.search([1.0, 2.0])
        with pytest.raises(VretrError, match="finite"):
            opened.search([1.0, np.nan, 0.0])
        with pytest.raises(UsageError, match="at least 1"):
            opened.search([1.0, 0.0, 0.0], 0)
        assert opened.search_batch(np.empty((0, 3)), 5) == []


def test_open_index_sees_later_commits(index: Path) -> None:
    with Index.open(index) as opened:
        assert len(opened.search([1.0, 1.0, 1.0])) == 3
        with writing(index, Encoder(), root=index.parent, rebuild=False) as store:
            fill(store, np.full((1, 3), 9, dtype=np.float32), ["d"])
            assert opened.search([1.0, 1.0, 1.0])[0].path.name == "d"
            store.tidy()
            assert opened.search([1.0, 1.0, 1.0])[0].path.name == "d"


def test_open_index_survives_compaction(index: Path) -> None:
    """Also one that happens after the vectors were read and before their photos are looked up."""
    with Index.open(index) as opened:
        real, done = search.top, []

        def compacting(*arguments: object) -> object:
            found = real(*arguments)  # type: ignore[arg-type]
            if not done:
                done.append(True)
                with writing(index, Encoder(), root=index.parent, rebuild=False) as store:
                    store.connection.execute("DELETE FROM photo WHERE path = ?", (b"a",))
                    store.tidy()
                    fill(store, np.full((1, 3), 9, dtype=np.float32), ["e"])
            return found

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(search, "top", compacting)
            hits = opened.search([1.0, 0.5, 0.25])
    assert [hit.path.name for hit in hits] == ["e", "b", "c"]


def test_opening_reads_no_vectors(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Index.open(index) as opened:
        (vectors,) = opened._mapped.values()
        assert not vectors.flags.writeable and not vectors.flags.owndata
        with pytest.raises(sqlite3.ProgrammingError):
            opened.close()
            opened._connection.execute("SELECT 1")
