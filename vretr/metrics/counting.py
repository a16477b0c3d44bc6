"""One query's row of scores: the ranks of its relevant items, and its best items."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vretr.ties import Ties

Indices = NDArray[np.int64]
Row = NDArray[np.float32]

FEW = 64  # so many passes over a row of scores cost about as much as sorting it

NOTHING: Indices = np.empty(0, np.int64)


@dataclass(slots=True)
class Question:
    """What is asked of a query's scores, as indices into the gallery.

    Attributes:
        relevant: the relevant items, ascending, each once.
        left_out: items that do not count.
        among: the items that count; None: all of them.
    """

    relevant: Indices
    left_out: Indices = field(default_factory=lambda: NOTHING)
    among: Indices | None = None

    @classmethod
    def of(
        cls, relevant: ArrayLike, left_out: ArrayLike = (), among: ArrayLike | None = None
    ) -> "Question":
        """From lists of any order; what is relevant is a set."""
        return cls(
            np.unique(np.asarray(relevant, dtype=np.int64)),
            np.asarray(left_out, dtype=np.int64),
            None if among is None else np.asarray(among, dtype=np.int64),
        )


def ranks_in(row: Row, question: Question, ties: Ties) -> Indices:
    """Ranks of the relevant items in rounded scores [N], in the order of their indices.

    The row is as before when this returns.

    Raises:
        ValueError: a relevant item is left out.
    """
    relevant = question.relevant
    if not len(relevant):
        return relevant
    if question.among is not None:
        among = np.full_like(row, -np.inf)
        among[question.among] = row[question.among]
        row = among
    held = row[question.left_out]
    row[question.left_out] = -np.inf
    own = row[relevant]
    if not np.isfinite(own).all():
        raise ValueError(f"Relevant items are left out: {relevant[~np.isfinite(own)].tolist()}.")
    if ties == "index":
        found = 1 + _ahead_by_index(row, relevant, own)
    else:
        fellows, equals = _among_themselves(own)
        found = 1 + fellows + _count(row, own, equal=ties == "pessimistic")
        if ties == "pessimistic":
            found -= equals
    row[question.left_out] = held
    return found


def best_in(row: Row, question: Question, length: int) -> Indices:
    """The first `length` items by rounded scores [N], equal ones by place; fewer if there are.

    What is relevant does not matter here.
    """
    if question.among is None:
        counting = np.ones(len(row), dtype=bool)
    else:
        counting = np.zeros(len(row), dtype=bool)
        counting[question.among] = True
    counting[question.left_out] = False
    items = np.flatnonzero(counting)
    scores = row[items]
    if length < len(items):
        floor = np.partition(scores, len(items) - length)[len(items) - length]
        items, scores = items[scores >= floor], scores[scores >= floor]
    return items[np.argsort(-scores, kind="stable")][:length]


def _count(row: Row, own: Row, *, equal: bool) -> Indices:
    """How many scores of the row are higher than each of `own`, or higher or equal."""
    if len(own) <= FEW:
        above = np.greater_equal if equal else np.greater
        return np.array([np.count_nonzero(above(row, score)) for score in own])
    return len(row) - np.searchsorted(np.sort(row), own, side="left" if equal else "right")


def _ahead_by_index(row: Row, relevant: Indices, own: Row) -> Indices:
    """How many of the row are higher than each of `own`, or equal and before it."""
    pairs = zip(relevant, own, strict=True)
    if len(own) <= FEW:
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


def _among_themselves(own: Row) -> tuple[Indices, Indices]:
    """Of each score in `own`: how many equal ones come before it, and how many there are."""
    _, inverse, number = np.unique(own, return_inverse=True, return_counts=True)
    order = np.argsort(inverse, kind="stable")
    before = np.empty_like(order)
    before[order] = np.arange(len(own)) - (np.cumsum(number) - number)[inverse[order]]
    return before, number[inverse]
