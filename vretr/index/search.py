"""Exact search: the rows with the largest inner products, in one pass over mapped memory."""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

# Several queries at once are BLAS's work, on its own threads: more around them only got in each
# other's way when measured. A block's products stay in the cache until the best are picked. One
# query is bound by reading memory, and there a dot product a row, in a few threads, reads faster
# than BLAS's product of a matrix and a vector (benchmarks/search.py).
_SCORES = 1 << 18  # products held at once
_QUERIES = 64
_GROUP = 32
_ROWS = 1 << 15  # of a thread's block, for one query


def scores(segments: Sequence[Vectors], query: Vectors) -> Vectors:
    """Inner products of one query [dim] with every row of all segments, in their order."""
    products = np.empty(sum(map(len, segments)), np.float32)
    blocks, row = [], 0
    for vectors in segments:
        for block in _blocks(vectors, _ROWS):
            blocks.append((block, products[row : row + len(block)]))
            row += len(block)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(lambda pair: np.vecdot(pair[0], query, out=pair[1]), blocks))
    return products


def top(
    segments: Sequence[Vectors], queries: Vectors, count: int
) -> list[tuple[NDArray[np.int64], Vectors]]:
    """For each query [Q, dim]: the `count` rows of largest inner product, and the products.

    Rows are numbered through all segments, the best first; fewer where there are fewer rows.
    Among equal products at the end of the list, which ones are given is not defined.
    """
    found = []
    for first in range(0, len(queries), _QUERIES):
        some = queries[first : first + _QUERIES]
        best = _Best(len(some), count)
        if len(some) == 1:
            best.offer(scores(segments, some[0])[:, None], 0)
        else:
            for row, products in _products(segments, some):
                best.offer(products, row)
        found += best.result()
    return found


def _products(segments: Sequence[Vectors], queries: Vectors) -> Iterator[tuple[int, Vectors]]:
    """Inner products [rows, Q] block by block, each with the number of its first row."""
    # Transposed and contiguous: the form in which BLAS multiplies fastest.
    columns = np.ascontiguousarray(queries.T)
    row = 0
    for vectors in segments:
        for block in _blocks(vectors, _SCORES // len(queries)):
            yield row, block @ columns
            row += len(block)


def _blocks(vectors: Vectors, rows: int) -> Iterable[Vectors]:
    return (vectors[i : i + rows] for i in range(0, len(vectors), rows))


class _Best:
    """The `count` best rows so far of each of Q queries.

    Most rows are far from the best: a group of rows whose largest product is below the query's
    floor is passed over as one. The floor is a product that `count` rows are known to reach.
    """

    def __init__(self, queries: int, count: int) -> None:
        self._count = count
        self._floor = np.full(queries, -np.inf, dtype=np.float32)
        nothing = np.empty(0, dtype=np.int64)
        self._kept = [(nothing, nothing, np.empty(0, dtype=np.float32))]  # query, row, product
        self._size = 0

    def offer(self, products: Vectors, row: int) -> None:
        """Takes in `products` [rows, Q] of the rows from number `row` on."""
        if not len(products):
            return
        groups = -(-len(products) // _GROUP)
        if missing := groups * _GROUP - len(products):
            padding = np.full((missing, products.shape[1]), -np.inf, dtype=np.float32)
            products = np.concatenate([products, padding])
        grouped = products.reshape(groups, _GROUP, -1)
        largest = grouped.max(axis=1)
        if self._size == 0 and groups >= self._count:
            floor = np.partition(largest, groups - self._count, axis=0)[groups - self._count]
            self._floor = np.maximum(self._floor, floor)
        group, query = np.nonzero(largest >= self._floor)
        candidates = grouped[group, :, query]
        # Padding is never kept: a real product is finite.
        pair, member = np.nonzero(
            candidates >= np.maximum(self._floor, np.finfo("f4").min)[query, None]
        )
        rows = row + group[pair] * _GROUP + member
        self._kept.append((query[pair], rows, candidates[pair, member]))
        self._size += len(pair)
        if self._size > 4 * self._count * len(self._floor):
            self._reduce()

    def result(self) -> list[tuple[NDArray[np.int64], Vectors]]:
        """Rows and products of each query, the best first."""
        self._reduce()
        query, row, product = self._kept[0]
        ends = np.searchsorted(query, np.arange(1, len(self._floor)))
        return list(zip(np.split(row, ends), np.split(product, ends), strict=True))

    def _reduce(self) -> None:
        query, row, product = (np.concatenate(column) for column in zip(*self._kept, strict=True))
        order = np.lexsort((row, -product, query))
        query, row, product = query[order], row[order], product[order]
        numbers = np.arange(len(self._floor))
        first = np.searchsorted(query, numbers)
        kept = np.arange(len(query)) - first[query] < self._count
        query, row, product = query[kept], row[kept], product[kept]
        self._kept, self._size = [(query, row, product)], len(query)
        last = np.searchsorted(query, numbers, side="right") - 1
        full = last - np.searchsorted(query, numbers) + 1 == self._count
        self._floor[full] = product[last[full]]
