"""Ranks of what is near: exact as far as they are asked for, at about half the matrix product.

Of each query only the items that score at least a bound of its own are kept. The bound is read off
a sample of the gallery, low enough that more than `depth` items should reach it; whoever turns out
to have fewer is searched again for what lies below. So every item of the first `depth` is there,
with all that are level with it, and the ranks of what is there are right. A set that is searched
among itself is multiplied once for both directions.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vretr.blas import one_blas_thread
from vretr.metrics.counting import Indices, Row
from vretr.metrics.measures import UNRANKED, Ranks
from vretr.ties import Ties

SCALE = np.float32(2**20)  # a power of two: scaling by it is exact
MOST = 2**25  # items that may be kept, 8 bytes each; sorting and counting takes three times that

_MEMORY = 2**30  # bytes that all blocks of scores may take together
_ROWS, _FEWEST = 512, 64  # of a block: fewer make a product slower
_AT_ONCE = 64  # rows of it that are looked at together, to stay in the processor's cache
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
    found = np.bincount(keys >> keys_of.shift, minlength=len(queries))
    misled = (found < min(depth, len(items) - alone)) & np.isfinite(bounds)  # by the sample
    if misled.any():
        short = np.flatnonzero(misled)
        if len(short) * len(items) > MOST:
            return None
        others = _kept(_below(queries, items, short, bounds, keys_of, alone=alone))
        assert others is not None
        keys = np.concatenate([keys, others])
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

    def bounds_of(_: int, scores: Row) -> Row:
        scores.partition(size - place)
        return np.rint(scores[:, size - place])

    return np.concatenate([*_in_blocks(bounds_of, queries, sample, alone=False)])


def _scored(
    queries: Row, items: Row, bounds: Row, keys: _Keys, *, alone: bool
) -> Iterator[Indices]:
    """Keys of what reaches its query's bound, block by block."""

    def found_in(start: int, scores: Row) -> Indices:
        first = start if alone else 0  # of the items
        found = []
        for row in range(0, len(scores), _AT_ONCE):
            part = scores[row : row + _AT_ONCE]
            here = start + row
            np.rint(part, out=part)
            if alone:
                np.fill_diagonal(part[:, row:], np.nan)  # reaches nothing
            query, item, score = _reached(part, bounds[here : here + len(part), None])
            found.append(keys.of(query + here, item + first, score))
            if alone:  # the other way round, with the items after this block
                after = start + len(scores)
                item, query, score = _reached(part[:, len(scores) :], bounds[None, after:])
                found.append(keys.of(query + after, item + here, score))
        return np.concatenate(found)

    return _in_blocks(found_in, queries, items, alone=alone)


def _below(
    queries: Row, items: Row, numbers: Indices, bounds: Row, keys: _Keys, *, alone: bool
) -> Iterator[Indices]:
    """Keys of what does not reach the bound, for some of the queries."""

    def found_in(start: int, scores: Row) -> Indices:
        part = numbers[start : start + len(scores)]
        np.rint(scores, out=scores)
        scores[scores >= bounds[part, None]] = np.nan
        if alone:
            scores[np.arange(len(part)), part] = np.nan
        query, item, score = _reached(scores, _NONE)
        return keys.of(part[query], item, score)

    return _in_blocks(found_in, queries[numbers], items, alone=False)


def _in_blocks(
    look: Callable[[int, Row], NDArray[Any]], queries: Row, items: Row, *, alone: bool
) -> Iterator[NDArray[Any]]:
    """What `look` finds in each block of scores, in order; alone only with the items from there on.

    It is told the first query of the block and the scaled scores, which it may overwrite. Each core
    multiplies its own blocks and looks at them, as OpenBLAS's threads would spin after a product
    while others look.
    """
    cores = max(1, min(os.cpu_count() or 1, _MEMORY // (4 * _FEWEST * len(items))))
    rows = max(_FEWEST, min(_ROWS, _MEMORY // (4 * cores * len(items))))
    spaces: SimpleQueue[Row] = SimpleQueue()
    for _ in range(cores):
        spaces.put(np.empty(rows * len(items), np.float32))

    def found_in(start: int) -> NDArray[Any]:
        part = queries[start : start + rows] * SCALE
        others = items[start:] if alone else items
        space = spaces.get()
        try:
            scores = space[: len(part) * len(others)].reshape(len(part), len(others))
            return look(start, np.matmul(part, others.T, out=scores))
        finally:
            spaces.put(space)

    with one_blas_thread(), ThreadPoolExecutor(cores, thread_name_prefix="vretr-rank") as threads:
        yield from threads.map(found_in, range(0, len(queries), rows))


def _reached(scores: Row, bounds: Any) -> tuple[Indices, Indices, Indices]:
    """Rows, columns and scores."""
    place = np.flatnonzero(scores >= bounds)
    row = place // max(1, scores.shape[1])
    column = place - row * scores.shape[1]
    return row, column, scores[row, column].astype(np.int64)


def _kept(parts: Iterator[Indices]) -> Indices | None:
    """All of them; None if they are too many."""
    found, number = [], 0
    for part in parts:
        found.append(part)
        number += len(part)
        if number > MOST:
            return None
    return np.concatenate(found)


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
