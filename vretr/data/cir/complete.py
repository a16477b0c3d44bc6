"""Whether all of a benchmark is there, and what is left of it where that may be less."""

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from vretr.data.cir.benchmark import Benchmark, Indices, Query, Size, by_gallery
from vretr.data.sources import SHOWN
from vretr.errors import MismatchError
from vretr.paths import display

HINT = "--allow-missing measures what is left and says how much that is."


def complete(benchmark: Benchmark, *, allow_missing: bool = False) -> Benchmark:
    """The benchmark itself if it is whole, or else what can be measured of it.

    A query is lost without its reference, without one of its targets or members, and, where
    galleries belong to queries, without a picture of its gallery. Other galleries become smaller.

    Args:
        allow_missing: go on with less; `queries_lost` and `gallery_lost` in the settings say how
            much.

    Raises:
        MismatchError: it has other sizes than it should have, pictures are missing, or targets are
            not in their gallery; or nothing is left.
    """
    if not allow_missing:
        _refuse_sizes(benchmark)
    missing = [n for n, path in enumerate(benchmark.pictures) if not os.path.isfile(path)]
    if missing and not allow_missing:
        files = [*dict.fromkeys(os.fspath(benchmark.pictures[n]) for n in missing)]
        first = "; ".join(map(display, files[:SHOWN]))
        more = f"; and {len(files) - SHOWN:,} more" if len(files) > SHOWN else ""
        raise MismatchError(
            f"{benchmark.title} lacks {len(files):,} pictures: {first}{more}. {HINT}"
        )
    left = _without(benchmark, missing) if missing else benchmark
    strays = _strays(left.queries)
    if strays and not allow_missing:
        raise MismatchError(
            f"{benchmark.title} has {len(strays):,} queries whose target is not in the gallery, "
            f"the first is {left.queries[min(strays)].id}. {HINT}"
        )
    if strays:
        kept = [query for place, query in enumerate(left.queries) if place not in strays]
        left = replace(left, queries=kept)
    if not left.queries:
        raise MismatchError(f"{benchmark.title} has no query whose pictures are there.")
    if not allow_missing:
        return left
    should = benchmark.sizes or sizes(benchmark, [""])
    losses = _losses(should, sizes(left, should))
    if benchmark.own_galleries:
        del losses["gallery_lost"]  # they are whole, or their queries are lost
    return replace(left, settings={**left.settings, **losses})


def sizes(benchmark: Benchmark, groups: Collection[str]) -> dict[str, Size]:
    """What each group has ("" is all of it): queries, and the pictures of its gallery.

    Where a group has galleries of several sizes, it is that of the least common one.
    """
    found = {}
    for group in groups:
        queries = [each for each in benchmark.queries if group in ("", *each.groups)]
        lengths = Counter(len(query.gallery) for query in queries)
        found[group] = Size(len(queries), min(lengths, key=lambda size: lengths[size], default=0))
    return found


def _refuse_sizes(benchmark: Benchmark) -> None:
    found = sizes(benchmark, benchmark.sizes)
    wrong = [
        f"{group + ': ' if group else ''}{has.queries:,} queries in {has.gallery:,} pictures, not "
        f"{should.queries:,} in {should.gallery:,}"
        for group, should in benchmark.sizes.items()
        if (has := found[group]) != should
    ]
    if wrong:
        raise MismatchError(f"{benchmark.title} is not whole: {'; '.join(wrong)}. {HINT}")


def _strays(queries: Sequence[Query]) -> set[int]:
    """Places of the queries with a target that is not in their gallery."""
    strays = set()
    for gallery, places in by_gallery(queries):
        members = frozenset(gallery.tolist())
        strays |= {place for place in places if not members.issuperset(queries[place].targets)}
    return strays


def _losses(should: Mapping[str, Size], has: Mapping[str, Size]) -> dict[str, int]:
    pairs = [(should[group], has[group]) for group in should]
    return {
        "queries_lost": sum(full.queries - left.queries for full, left in pairs),
        "gallery_lost": sum(full.gallery - left.gallery for full, left in pairs if left.queries),
    }


def _without(benchmark: Benchmark, missing: Sequence[int]) -> Benchmark:
    """The benchmark without some pictures; those that are left have new numbers."""
    there = np.ones(len(benchmark.pictures), dtype=bool)
    there[missing] = False
    number = np.cumsum(there) - 1
    galleries: dict[int, Indices] = {}

    def gallery(query: Query) -> Indices:
        if id(query.gallery) not in galleries:  # queries go on sharing theirs
            galleries[id(query.gallery)] = number[query.gallery[there[query.gallery]]]
        return galleries[id(query.gallery)]

    def whole(query: Query) -> bool:
        own = query.gallery.tolist() if benchmark.own_galleries else ()
        return bool(there[[query.reference, *query.targets, *query.members, *own]].all())

    return replace(
        benchmark,
        pictures=[benchmark.pictures[n] for n in np.flatnonzero(there).tolist()],
        queries=[
            replace(
                query,
                reference=int(number[query.reference]),
                targets=tuple(number[[*query.targets]].tolist()) if query.targets else (),
                members=tuple(number[[*query.members]].tolist()) if query.members else (),
                gallery=gallery(query),
            )
            for query in benchmark.queries
            if whole(query)
        ],
    )
