"""Queries of a benchmark against its pictures: composed, ranked, listed. The same for all of them.

queries = compose(composer, benchmark.queries, references)
figures = benchmark.figures(score(benchmark, queries, vectors), benchmark.queries)
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from vretr import metrics
from vretr.composers import Composer
from vretr.data.cir.benchmark import Benchmark, Indices, Query, Ranking, by_gallery
from vretr.data.features import Vectors
from vretr.encoders.base import unit
from vretr.errors import MismatchError
from vretr.metrics import Question, Ranks, Ties

QUERIES = 1024  # composed at a time


def compose(composer: Composer, queries: Sequence[Query], references: Vectors) -> Vectors:
    """Query vectors float32 [Q, dim] of unit length; `references` [Q, dim] are the pictures'.

    A query with several texts is the mean of what each of them gives, scaled to length 1.
    """
    ways = np.array([len(query.texts) for query in queries])
    number = np.repeat(np.arange(len(queries)), ways)
    texts = [*chain.from_iterable(query.texts for query in queries)]
    said = [
        composer.compose_batch(
            references[number[start : start + QUERIES], None],
            [[text] for text in texts[start : start + QUERIES]],
        )
        for start in range(0, len(texts), QUERIES)
    ]
    return unit(np.add.reduceat(np.concatenate(said), np.cumsum(ways) - ways))


def score(
    benchmark: Benchmark,
    queries: Vectors,
    vectors: Vectors,
    *,
    removed: bool | None = None,
    ties: Ties = "pessimistic",
) -> dict[str, Ranks]:
    """Ranks of the targets, by ranking.

    Args:
        queries: [Q, dim].
        vectors: [N, dim] of the benchmark's pictures.
        removed: whether the reference is taken out of the gallery; by the benchmark's rule if not
            given.
        ties: the rule for equal scores.

    Raises:
        MismatchError: references that are removed are targets.
    """
    removed = benchmark.reference == "removed" if removed is None else removed
    rows: dict[str, list[NDArray[np.int32]]] = {name: [] for name in benchmark.rankings}
    order: list[int] = []
    for places, gallery, questions in _asked(benchmark, benchmark.rankings, removed=removed):
        found = metrics.rankings_from_vectors(
            queries[places], _of(vectors, gallery), questions=questions, ties=ties
        )
        order += places
        for name, ranks in found.items():
            rows[name] += ranks.rows
    return {name: Ranks.of([found[i] for i in np.argsort(order)]) for name, found in rows.items()}


def lists(
    benchmark: Benchmark, queries: Vectors, vectors: Vectors, *, removed: bool | None = None
) -> dict[str, list[list[str]]]:
    """Names of the first pictures of each query, by ranking, for those that a submission holds.

    Arguments as in `score`; equal scores by place in the gallery.

    Raises:
        MismatchError: there are fewer pictures than a submission holds.
    """
    removed = benchmark.reference == "removed" if removed is None else removed
    wanted = {name: ranking for name, ranking in benchmark.rankings.items() if ranking.listed}
    found: dict[str, list[list[str]]] = {name: [[]] * len(queries) for name in wanted}
    for places, gallery, questions in _asked(benchmark, wanted, removed=removed):
        for name, asked in questions.items():
            length = wanted[name].listed
            best = metrics.lists_from_vectors(
                queries[places], _of(vectors, gallery), questions=asked, length=length
            )
            for place, items in zip(places, best, strict=True):
                if len(items) < length:
                    raise MismatchError(
                        f"A submission lists {length} pictures for each query, and only "
                        f"{len(items)} can be searched."
                    )
                found[name][place] = [benchmark.name_of(n) for n in gallery[items].tolist()]
    return found


def _asked(
    benchmark: Benchmark, rankings: Mapping[str, Ranking], *, removed: bool
) -> Iterator[tuple[list[int], Indices, dict[str, list[Question]]]]:
    """For each gallery: which queries are searched for in it, and what their scores are asked."""
    for gallery, places in by_gallery(benchmark.queries):
        numbers = {picture: number for number, picture in enumerate(gallery.tolist())}
        queries = [benchmark.queries[place] for place in places]
        yield (
            places,
            gallery,
            {
                name: [_question(query, ranking, numbers, removed=removed) for query in queries]
                for name, ranking in rankings.items()
            },
        )


def _question(
    query: Query, ranking: Ranking, numbers: Mapping[int, int], *, removed: bool
) -> Question:
    if removed and query.reference in query.targets:
        raise MismatchError(
            f"The reference of query {query.id} is one of its targets: --reference kept ranks it."
        )
    targets = query.targets if ranking.targets == "all" else query.targets[:1]
    without = [query.reference] if removed and query.reference in numbers else []
    return Question.of(
        [numbers[target] for target in targets],
        left_out=[numbers[picture] for picture in without],
        among=[numbers[member] for member in query.members] if ranking.among == "members" else None,
    )


def _of(vectors: Vectors, gallery: Indices) -> Vectors:
    """The gallery's vectors; no copy where they follow one another."""
    first, size = int(gallery[0]), len(gallery)
    if gallery[-1] == first + size - 1 and (np.diff(gallery) == 1).all():
        return vectors[first : first + size]
    return vectors[gallery]
