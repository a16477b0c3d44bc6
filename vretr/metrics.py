"""Retrieval measures: recall@k, mAP@k, mAP, MAP@R, R-precision, median rank, MRR.

All of them follow from one thing, the ranks of the relevant items of each query (`Ranks`): rank 1
is the best, and every item of the gallery has a rank of its own. Ranks come from vectors
(`ranks_from_vectors`, `ranks_from_labels`), from a matrix of scores (`ranks_from_scores`) or from
ranked lists (`ranks_from_lists`). They are counted, not sorted for, so they are exact for every
relevant item at little more than the cost of the matrix product, and only a block of scores is
held at a time.

Scores are rounded to 2**-20, about 1e-6 (the noise of a float32 product is below that), and equal
scores are put in order by the tie rule:

- `index`: by place in the gallery, the first comes first;
- `pessimistic`: relevant items come last, so a constant scorer earns nothing;
- `optimistic`: relevant items come first.

A query for which nothing is relevant ("lone") has no measure: it is left out, and counted.
"""

from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ties = Literal["index", "pessimistic", "optimistic"]

MEMORY = 128 * 2**20
"""Bytes that the block of scores may take, unless told otherwise."""

UNRANKED = np.iinfo(np.int32).max
"""Rank of a relevant item that a ranked list does not hold."""

_SCALE = np.float32(2**20)  # a power of two: scaling by it is exact
_FEW = 64  # so many passes over a row of scores cost about as much as sorting it


@dataclass(frozen=True)
class Ranks:
    """The ranks of each query's relevant items.

    Attributes:
        values: int32 [counts.sum()], the ranks (1 is best), ascending within each query.
        counts: int64 [Q], how many items are relevant for each query; 0 for a lone query.
    """

    values: NDArray[np.int32]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, ranks: Sequence[ArrayLike]) -> "Ranks":
        """From one list of ranks a query, in any order; an empty list is a lone query."""
        rows = [np.sort(np.asarray(row, dtype=np.int32)) for row in ranks]
        values = np.concatenate(rows) if rows else np.empty(0, np.int32)
        return cls(values, np.array([len(row) for row in rows], dtype=np.int64))

    @property
    def lone(self) -> int:
        """Number of queries for which nothing is relevant."""
        return int((self.counts == 0).sum())

    @property
    def relevant(self) -> NDArray[np.int64]:
        """Number of relevant items of each query that is not lone: the rows of every measure."""
        return self.counts[self.counts > 0]

    @property
    def first(self) -> NDArray[np.int32]:
        """Rank of the best relevant item of each query that is not lone."""
        return self.values[self._starts]

    @property
    def _starts(self) -> NDArray[np.int64]:
        return np.cumsum(self.relevant) - self.relevant

    def _sum(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Sums one value a relevant item over each query."""
        if not len(values):
            return np.empty(0)
        return np.add.reduceat(values.astype(np.float64), self._starts)

    def _average_precision(
        self, depth: int | NDArray[np.int64], total: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        place = np.arange(1, len(self.values) + 1) - np.repeat(self._starts, self.relevant)
        return self._sum(np.where(self.values <= depth, place / self.values, 0.0)) / total


# The measures. Each gives one value for each query that is not lone; `.mean()` is the figure.


def recall_at(ranks: Ranks, k: int) -> NDArray[np.float64]:
    """1 where a relevant item is among the first k, else 0 (R@k as image retrieval has it)."""
    return (ranks.first <= _positive(k)).astype(np.float64)


def average_precision_at(ranks: Ranks, k: int) -> NDArray[np.float64]:
    """AP@k: precision at each relevant item among the first k, over min(relevant, k) (CIRCO)."""
    return ranks._average_precision(_positive(k), np.minimum(ranks.relevant, k))


def average_precision(ranks: Ranks) -> NDArray[np.float64]:
    """AP over the whole ranking."""
    return ranks._average_precision(UNRANKED - 1, ranks.relevant)


def average_precision_at_r(ranks: Ranks) -> NDArray[np.float64]:
    """AP over the first R, where R is the number of relevant items (Musgrave et al., ECCV 2020)."""
    return ranks._average_precision(np.repeat(ranks.relevant, ranks.relevant), ranks.relevant)


def r_precision(ranks: Ranks) -> NDArray[np.float64]:
    """Share of the first R that is relevant, where R is the number of relevant items."""
    return ranks._sum(ranks.values <= np.repeat(ranks.relevant, ranks.relevant)) / ranks.relevant


def reciprocal_rank(ranks: Ranks) -> NDArray[np.float64]:
    """1 / rank of the best relevant item."""
    return np.where(ranks.first == UNRANKED, 0.0, 1.0 / ranks.first)


def figures(ranks: Ranks, *names: str) -> dict[str, float]:
    """Averages over the queries by their names in reports.

    Names: `recall@K`, `map@K`, `map`, `map@r`, `r_precision`, `mrr`, `median_rank`. All lie in
    [0, 1] except `median_rank`, the median over queries of the best relevant item's rank.

    Raises:
        ValueError: a name is unknown, or every query is lone.
    """
    if not len(ranks.relevant):
        raise ValueError("There is nothing to average: for no query is anything relevant.")
    return {name: _figure(ranks, name) for name in names}


def _figure(ranks: Ranks, name: str) -> float:
    plain = {
        "map": average_precision,
        "map@r": average_precision_at_r,
        "r_precision": r_precision,
        "mrr": reciprocal_rank,
    }
    measure, _, depth = name.partition("@")
    if name == "median_rank":
        return float(np.median(ranks.first))
    if name in plain:
        return float(plain[name](ranks).mean())
    if measure == "recall" and depth.isdigit():
        return float(recall_at(ranks, int(depth)).mean())
    if measure == "map" and depth.isdigit():
        return float(average_precision_at(ranks, int(depth)).mean())
    raise ValueError(f"There is no measure {name!r}; known are recall@K, map@K, median_rank, "
                     + ", ".join(plain) + ".")  # fmt: skip


def _positive(k: int) -> int:
    if k < 1:
        raise ValueError(f"k is the length of a list and at least 1, not {k}.")
    return k


# Where ranks come from.


def ranks_from_vectors(
    queries: ArrayLike,
    gallery: ArrayLike,
    *,
    relevant: Sequence[ArrayLike],
    left_out: Sequence[ArrayLike] | None = None,
    among: Sequence[ArrayLike] | None = None,
    ties: Ties = "index",
    memory: int = MEMORY,
) -> Ranks:
    """Ranks by inner product (the cosine, for unit vectors).

    Args:
        queries: float32 [Q, dim].
        gallery: float32 [N, dim].
        relevant: for each query the indices of its relevant items in the gallery, as a set.
        left_out: for each query the indices of items that do not count, such as its reference.
        among: for each query the indices of the items that count; all of them if not given.
        ties: the rule for equal scores.
        memory: bytes that the block of scores may take.

    Raises:
        ValueError: the shapes do not fit, a vector is not finite, or a relevant item is left out.
    """
    queries, gallery = _vectors(queries), _vectors(gallery)
    if queries.shape[1] != gallery.shape[1]:
        raise ValueError(f"Queries of {queries.shape[1]} numbers do not fit a gallery of vectors "
                         f"of {gallery.shape[1]}.")  # fmt: skip
    questions = _questions(len(queries), relevant, left_out=left_out, among=among)
    return _collect(_products(queries, gallery, memory), questions, ties)


def ranks_from_labels(
    vectors: ArrayLike,
    labels: ArrayLike,
    *,
    gallery: ArrayLike | None = None,
    gallery_labels: ArrayLike | None = None,
    ties: Ties = "index",
    memory: int = MEMORY,
) -> Ranks:
    """Ranks by inner product where what bears the query's label is relevant.

    Without a gallery each vector is searched among the others: it is left out by its index, so that
    a copy of it counts like any other vector.

    Args:
        vectors: float32 [Q, dim], the queries.
        labels: [Q], whole numbers of any size, or words.
        gallery: float32 [N, dim].
        gallery_labels: [N].
        ties: the rule for equal scores.
        memory: bytes that the block of scores may take.
    """
    if (gallery is None) != (gallery_labels is None):
        raise ValueError("A gallery and its labels come together.")
    queries = _vectors(vectors)
    items = queries if gallery is None else _vectors(gallery)
    asked = np.asarray(labels)
    given = asked if gallery_labels is None else np.asarray(gallery_labels)
    if asked.shape != (len(queries),) or given.shape != (len(items),):
        raise ValueError(f"Labels of shape {asked.shape} and {given.shape} do not fit "
                         f"{len(queries)} queries and a gallery of {len(items)}.")  # fmt: skip
    questions = _same_label(asked, given, alone=gallery is None)
    return _collect(_products(queries, items, memory), questions, ties)


def ranks_from_scores(
    scores: ArrayLike,
    *,
    relevant: Sequence[ArrayLike],
    left_out: Sequence[ArrayLike] | None = None,
    among: Sequence[ArrayLike] | None = None,
    ties: Ties = "index",
) -> Ranks:
    """Ranks by a matrix of scores [Q, N], higher is better; the rest as `ranks_from_vectors`."""
    scores = np.asarray(scores)
    if scores.ndim != 2 or np.isnan(scores).any():
        raise ValueError(f"Scores are a matrix without NaN, not of shape {scores.shape}.")
    questions = _questions(len(scores), relevant, left_out=left_out, among=among)
    return _collect((row * _SCALE for row in scores.astype(np.float32)), questions, ties)


def ranks_from_lists(
    ranked: Sequence[Sequence[Hashable]], relevant: Sequence[Collection[Hashable]]
) -> Ranks:
    """Ranks by lists of results, the best first; what a list does not hold is `UNRANKED`.

    Raises:
        ValueError: a list names something twice.
    """
    rows = []
    for number, (results, wanted) in enumerate(zip(ranked, relevant, strict=True)):
        place = {result: rank for rank, result in enumerate(results, start=1)}
        if len(place) < len(results):
            raise ValueError(f"The list of query {number} names a result twice.")
        rows.append([place.get(item, UNRANKED) for item in set(wanted)])
    return Ranks.of(rows)


@dataclass(slots=True)
class _Question:
    """One query's indices into the gallery: the relevant, those left out, those that count."""

    relevant: NDArray[np.int64]
    left_out: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    among: NDArray[np.int64] | None = None


def _questions(
    number: int,
    relevant: Sequence[ArrayLike],
    *,
    left_out: Sequence[ArrayLike] | None,
    among: Sequence[ArrayLike] | None,
) -> Iterator[_Question]:
    for name, lists in (("relevant", relevant), ("left_out", left_out), ("among", among)):
        if lists is not None and len(lists) != number:
            raise ValueError(f"`{name}` is of {len(lists)} queries, not of {number}.")
    for index in range(number):
        yield _Question(
            np.unique(np.asarray(relevant[index], dtype=np.int64)),
            np.asarray(() if left_out is None else left_out[index], dtype=np.int64),
            None if among is None else np.asarray(among[index], dtype=np.int64),
        )


def _same_label(asked: NDArray[Any], given: NDArray[Any], *, alone: bool) -> Iterator[_Question]:
    names, numbers = np.unique(given, return_inverse=True)
    order = np.argsort(numbers, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(numbers, minlength=len(names)))[:-1])
    places = np.searchsorted(names, asked)
    for index, (label, place) in enumerate(zip(asked, places, strict=True)):
        known = place < len(names) and names[place] == label
        same = members[place] if known else np.empty(0, np.int64)
        yield _Question(same[same != index], np.array([index])) if alone else _Question(same)


def _vectors(vectors: ArrayLike) -> NDArray[np.float32]:
    array = np.ascontiguousarray(vectors, dtype=np.float32)
    if array.ndim != 2 or not np.isfinite(array).all():
        raise ValueError(f"Vectors are a matrix of finite numbers, not of shape {array.shape}.")
    return array


def _products(
    queries: NDArray[np.float32], gallery: NDArray[np.float32], memory: int
) -> Iterator[NDArray[np.float32]]:
    """Scaled scores [N] of one query after the other, multiplied block by block.

    Every row is a view that the caller may change and that is overwritten later.
    """
    rows = max(1, min(len(queries), memory // max(1, len(gallery) * _SCALE.itemsize)))
    block = np.empty((rows, len(gallery)), dtype=np.float32)
    for start in range(0, len(queries), rows):
        part = queries[start : start + rows] * _SCALE
        yield from np.matmul(part, gallery.T, out=block[: len(part)])


def _collect(
    scores: Iterator[NDArray[np.float32]], questions: Iterator[_Question], ties: Ties
) -> Ranks:
    if ties not in get_args(Ties):
        raise ValueError(f"The tie rule is one of {', '.join(get_args(Ties))}, not {ties!r}.")
    return Ranks.of([_ranks(row, of, ties) for row, of in zip(scores, questions, strict=True)])


def _ranks(row: NDArray[np.float32], question: _Question, ties: Ties) -> NDArray[np.int64]:
    """Ranks of one query's relevant items; changes `row`, its scaled scores [N]."""
    relevant = question.relevant
    if not len(relevant):
        return relevant
    np.rint(row, out=row)
    if question.among is not None:
        among = np.full_like(row, -np.inf)
        among[question.among] = row[question.among]
        row = among
    row[question.left_out] = -np.inf
    own = row[relevant]
    if not np.isfinite(own).all():
        raise ValueError(f"Relevant items are left out: {relevant[~np.isfinite(own)].tolist()}.")
    if ties == "index":
        return 1 + _ahead_by_index(row, relevant, own)
    fellows, equals = _among_themselves(own)
    if ties == "optimistic":
        return 1 + _count(row, own, equal=False) + fellows
    return 1 + _count(row, own, equal=True) - equals + fellows


def _count(row: NDArray[np.float32], own: NDArray[np.float32], *, equal: bool) -> NDArray[np.int64]:
    """How many scores of the row are higher than each of `own`, or higher or equal."""
    if len(own) <= _FEW:
        above = np.greater_equal if equal else np.greater
        return np.array([np.count_nonzero(above(row, score)) for score in own])
    return len(row) - np.searchsorted(np.sort(row), own, side="left" if equal else "right")


def _ahead_by_index(
    row: NDArray[np.float32], relevant: NDArray[np.int64], own: NDArray[np.float32]
) -> NDArray[np.int64]:
    """How many of the row are higher than each of `own`, or equal and before it."""
    pairs = zip(relevant, own, strict=True)
    if len(own) <= _FEW:
        return np.array([
            np.count_nonzero(row[:index] >= score) + np.count_nonzero(row[index:] > score)
            for index, score in pairs
        ])  # fmt: skip
    ordered = np.sort(row)
    ahead = len(row) - np.searchsorted(ordered, own, side="right")
    level = len(row) - np.searchsorted(ordered, own, side="left") - ahead
    equal = [
        np.count_nonzero(row[:index] == score) if tied else 0
        for (index, score), tied in zip(pairs, level > 1, strict=True)
    ]
    return ahead + np.array(equal)


def _among_themselves(own: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each score in `own`: how many equal ones come before it, and how many there are."""
    _, inverse, number = np.unique(own, return_inverse=True, return_counts=True)
    order = np.argsort(inverse, kind="stable")
    before = np.empty_like(order)
    before[order] = np.arange(len(own)) - (np.cumsum(number) - number)[inverse[order]]
    return before, number[inverse]
