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
from numpy.typing import NDArray

from vretr.metrics.counting import Indices, Row
from vretr.metrics.measures import UNRANKED, Ranks
from vretr.ties import Ties

SCALE = np.float32(2**20)  # a power of two: scaling by it is exact
MOST = 2**25  # items that may be kept, 8 bytes each; sorting and counting takes five times that

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
    bits = len(items).bit_length()
    fits = len(queries).bit_length() + bits + _SCORE_BITS + 2 < 64
    longest = max(float(np.einsum("nd,nd->n", some, some).max()) for some in (queries, items))
    if not fits or longest > 1.01:
        return None
    bounds = _bounds(queries, items, depth + alone)
    if bounds is None:
        return None
    kept = _kept(_scored(queries, items, bounds, alone=alone), MOST)
    if kept is None:
        return None
    counts = np.bincount(kept[0], minlength=len(queries))
    short = np.flatnonzero((counts < min(depth, len(items) - alone)) & np.isfinite(bounds))
    if len(short):  # the sample has misled
        if len(short) * len(items) > MOST:
            return None
        right = ~np.isin(kept[0], short)
        again = _kept(_whole(queries, items, short, alone=alone), MOST)
        assert again is not None
        queries_of, items_of, scores = (
            np.concatenate([first[right], second])
            for first, second in zip(kept, again, strict=True)
        )
        kept = queries_of, items_of, scores
    return _ranks(*kept, asked, given, bits=bits, ties=ties, alone=alone)


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
    parts = [
        np.partition(scores, size - place)[:, size - place]
        for _, scores in _products(queries, sample, alone=False)
    ]
    return np.concatenate(parts)


Kept = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]  # queries, items, scores


def _scored(queries: Row, items: Row, bounds: Row, *, alone: bool) -> Iterator[Kept]:
    """What reaches its query's bound, block by block."""
    for start, scores in _products(queries, items, alone=alone):
        first = start if alone else 0  # of the items
        for row in range(0, len(scores), _AT_ONCE):
            part = scores[row : row + _AT_ONCE]
            here = start + row
            if alone:
                np.fill_diagonal(part[:, row:], np.nan)  # reaches nothing
            query, item, found = _reached(part, bounds[here : here + len(part), None])
            yield query + np.int32(here), item + np.int32(first), found
            if alone:  # the other way round, with the items after this block
                after = start + len(scores)
                item, query, found = _reached(part[:, len(scores) :], bounds[None, after:])
                yield query + np.int32(after), item + np.int32(here), found


def _whole(queries: Row, items: Row, numbers: Indices, *, alone: bool) -> Iterator[Kept]:
    """All items for some of the queries."""
    for start, scores in _products(queries[numbers], items, alone=False):
        part = numbers[start : start + len(scores)]
        if alone:
            scores[np.arange(len(part)), part] = np.nan
        query, item, found = _reached(scores, _NONE)
        yield part[query].astype(np.int32), item, found


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


def _reached(scores: Row, bounds: Any) -> Kept:
    flat = np.flatnonzero(scores >= bounds)
    row, column = np.divmod(flat.astype(np.int32), np.int32(scores.shape[1]))
    return row, column, scores[row, column].astype(np.int32)


def _kept(parts: Iterator[Kept], most: int) -> Kept | None:
    found, number = [], 0
    for part in parts:
        found.append(part)
        number += len(part[0])
        if number > most:
            return None
    queries, items, scores = (np.concatenate(column) for column in zip(*found, strict=True))
    return queries, items, scores


def _ranks(
    queries: NDArray[np.int32],
    items: NDArray[np.int32],
    scores: NDArray[np.int32],
    asked: Indices,
    given: Indices,
    *,
    bits: int,
    ties: Ties,
    alone: bool,
) -> Ranks:
    """Sorts by query, score, tie rule and place, all of them in one number."""
    relevant = asked[queries] == given[items]
    keys = queries.astype(np.int64)
    keys <<= _SCORE_BITS
    keys += 2 ** (_SCORE_BITS - 1) - scores
    keys <<= 1
    if ties != "index":
        keys += relevant == (ties == "pessimistic")
    keys <<= bits
    keys += items
    keys <<= 1
    keys += relevant
    keys.sort()
    shift = bits + _SCORE_BITS + 2
    place = np.flatnonzero(keys & 1)
    number = keys[place] >> shift
    first = np.searchsorted(keys, np.arange(len(asked)) << shift)
    rank = place - first[number] + 1
    known = np.bincount(given, minlength=int(asked.max(initial=0)) + 1)
    counts = np.where(asked >= 0, known[asked], 0) - alone
    values = np.full(counts.sum(), UNRANKED, np.int32)
    found = np.bincount(number, minlength=len(asked))
    within = np.arange(len(number)) - (np.cumsum(found) - found)[number]
    values[(np.cumsum(counts) - counts)[number] + within] = rank
    return Ranks(values, counts)
