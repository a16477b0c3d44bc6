"""Ranks of what is near: exact as far as they are asked for, at about half the matrix product.

Of each query only the items that score at least a bound of its own are kept. The bound is read off
a sample of the gallery, low enough that more than `depth` items should reach it; whoever turns out
to have fewer is searched again without one. So every item of the first `depth` is there, with all
that are level with it, and the ranks of what is there are right. A set that is searched among
itself is multiplied once for both directions.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from vretr.metrics.counting import Indices, Row
from vretr.metrics.measures import UNRANKED, Ranks
from vretr.ties import Ties

SCALE = np.float32(2**20)  # a power of two: scaling by it is exact
MOST = 2**25  # items that may be kept, 8 bytes each; sorting and counting takes three times that

_MEMORY = 2**27  # bytes of the block of scores
_AT_ONCE = 32  # rows of it that are looked at together, to stay in the processor's cache
_LEAST = 1024  # items in the sample
_PART = 16  # one item of so many is in the sample
_SCORE_BITS = 22  # a scaled score lies between -2**20 and 2**20, but for rounding
_NONE = -np.float32(np.inf)


def ranks_within(
    queries: Row,
    items: Row,
    asked: Indices,
    given: Indices,
    *,
    depth: int,
    ties: Ties,
    alone: bool,
) -> Ranks | None:
    """Ranks of the items of each query's label; beyond `depth` a rank may be `UNRANKED`.

    Args:
        queries: float32 [Q, dim].
        items: float32 [N, dim].
        asked: int64 [Q], labels of the queries.
        given: int64 [N], labels of the items, 0 and above.
        depth: so far the ranks are needed.
        ties: the rule for equal scores.
        alone: queries and items are the same, and none is found by itself.

    Returns:
        None where it does not pay: vectors longer than 1, or too many items to keep.
    """
    keys_of = _Keys(asked, given, len(items).bit_length(), ties)
    longest = max(float(np.einsum("nd,nd->n", some, some).max()) for some in (queries, items))
    if not keys_of.fit or longest > 1.01:
        return None
    bounds = _bounds(queries, items, depth + alone)
    if bounds is None:
        return None
    keys = _kept(_scored(queries, items, bounds, keys_of, alone=alone))
    if keys is None:
        return None
    enough = np.diff(keys_of.starts(keys)) >= min(depth, len(items) - alone)
    short = np.flatnonzero(~enough & np.isfinite(bounds))
    if len(short):  # the sample has misled
        if len(short) * len(items) > MOST:
            return None
        again = _kept(_whole(queries, items, short, keys_of, alone=alone))
        assert again is not None
        misled = np.zeros(len(queries), dtype=bool)
        misled[short] = True
        keys = np.concatenate([keys[~misled[keys >> keys_of.shift]], again])
        keys.sort()
    return _ranks(keys, keys_of, alone=alone)


class _Keys:
    """Query, score, tie rule, item and relevance in one number: sorted, they are ranked."""

    def __init__(self, asked: Indices, given: Indices, bits: int, ties: Ties) -> None:
        self.asked, self.given, self.bits, self.ties = asked, given, bits, ties
        self.shift = bits + _SCORE_BITS + 2

    @property
    def fit(self) -> bool:
        return len(self.asked).bit_length() + self.shift < 64

    def of(self, query: Indices, item: Indices, score: Indices) -> Indices:
        relevant = self.asked[query] == self.given[item]
        keys = (query << _SCORE_BITS) + (2 ** (_SCORE_BITS - 1) - score)
        keys <<= 1
        if self.ties != "index":
            keys += relevant == (self.ties == "pessimistic")
        keys <<= self.bits
        keys += item
        keys <<= 1
        keys += relevant
        return keys

    def starts(self, keys: Indices) -> Indices:
        """Where each query's sorted keys start, [Q + 1]."""
        return np.searchsorted(keys, np.arange(len(self.asked) + 1) << self.shift)


def _bounds(queries: Row, items: Row, depth: int) -> Row | None:
    """A score for each query that over `depth` items should reach; None if those are too many.

    How many of the sample are among the first `depth` is nearly Poisson distributed, whatever the
    scores; three of its deviations are added.
    """
    size = max(len(items) // _PART, min(len(items), _LEAST))
    expected = depth * size / len(items)
    place = int(np.ceil(expected + 3 * np.sqrt(expected))) + 2
    if len(queries) * min(place / size, 1) * len(items) > MOST:
        return None
    if place >= size:
        return np.full(len(queries), _NONE)
    sample = items[np.random.default_rng(0).choice(len(items), size, replace=False)]
    parts = []
    for _, scores in _products(queries, sample, alone=False):
        scores.partition(size - place)
        parts.append(scores[:, size - place].copy())
    return np.concatenate(parts)


def _scored(
    queries: Row, items: Row, bounds: Row, keys: _Keys, *, alone: bool
) -> Iterator[Indices]:
    """Keys of what reaches its query's bound, block by block."""
    for start, scores in _products(queries, items, alone=alone):
        first = start if alone else 0  # of the items
        for row in range(0, len(scores), _AT_ONCE):
            part = scores[row : row + _AT_ONCE]
            here = start + row
            if alone:
                np.fill_diagonal(part[:, row:], np.nan)  # reaches nothing
            query, item, found = _reached(part, bounds[here : here + len(part), None])
            yield keys.of(query + here, item + first, found)
            if alone:  # the other way round, with the items after this block
                after = start + len(scores)
                item, query, found = _reached(part[:, len(scores) :], bounds[None, after:])
                yield keys.of(query + after, item + here, found)


def _whole(
    queries: Row, items: Row, numbers: Indices, keys: _Keys, *, alone: bool
) -> Iterator[Indices]:
    """Keys of all items for some of the queries."""
    for start, scores in _products(queries[numbers], items, alone=False):
        part = numbers[start : start + len(scores)]
        if alone:
            scores[np.arange(len(part)), part] = np.nan
        query, item, found = _reached(scores, _NONE)
        yield keys.of(part[query], item, found)


def _products(queries: Row, items: Row, *, alone: bool) -> Iterator[tuple[int, Row]]:
    """The first query of a block and its scores, alone only with the items from there on.

    Few large products: small ones take twice the time where others want the cores as well, as
    OpenBLAS's threads wait for one another.
    """
    rows = max(1, min(len(queries), _MEMORY // (4 * len(items))))
    block = np.empty(rows * len(items), np.float32)
    for start in range(0, len(queries), rows):
        part = queries[start : start + rows] * SCALE
        others = items[start:] if alone else items
        out = block[: len(part) * len(others)].reshape(len(part), len(others))
        np.matmul(part, others.T, out=out)
        for row in range(0, len(part), _AT_ONCE):
            np.rint(out[row : row + _AT_ONCE], out=out[row : row + _AT_ONCE])
        yield start, out


def _reached(scores: Row, bounds: Any) -> tuple[Indices, Indices, Indices]:
    """Rows, columns and scores."""
    place = np.flatnonzero(scores >= bounds)
    row = place // max(1, scores.shape[1])
    column = place - row * scores.shape[1]
    return row, column, scores[row, column].astype(np.int64)


def _kept(parts: Iterator[Indices]) -> Indices | None:
    """All of them, sorted; None if they are too many."""
    found, number = [], 0
    for part in parts:
        found.append(part)
        number += len(part)
        if number > MOST:
            return None
    keys = np.concatenate(found)
    keys.sort()
    return keys


def _ranks(keys: Indices, keys_of: _Keys, *, alone: bool) -> Ranks:
    place = np.flatnonzero(keys & 1)
    number = keys[place] >> keys_of.shift
    rank = place - keys_of.starts(keys)[number] + 1
    asked = keys_of.asked
    known = np.bincount(keys_of.given, minlength=int(asked.max(initial=0)) + 1)
    counts = np.where(asked >= 0, known[asked], 0) - alone
    values = np.full(counts.sum(), UNRANKED, np.int32)
    found = np.bincount(number, minlength=len(asked))
    within = np.arange(len(number)) - (np.cumsum(found) - found)[number]
    values[(np.cumsum(counts) - counts)[number] + within] = rank
    return Ranks(values, counts)
