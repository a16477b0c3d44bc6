"""Ranks of relevant items, and the measures that follow from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

UNRANKED = np.iinfo(np.int32).max
"""Rank of a relevant item that a ranked list does not hold."""


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
    def rows(self) -> list[NDArray[np.int32]]:
        """The ranks of each query; of a lone one there are none."""
        return np.split(self.values, np.cumsum(self.counts)[:-1]) if len(self.counts) else []

    def where(self, wanted: NDArray[np.bool_]) -> "Ranks":
        """Those of some queries only; `wanted` is bool [Q]."""
        return Ranks(self.values[np.repeat(wanted, self.counts)], self.counts[wanted])

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
