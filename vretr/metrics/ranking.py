"""Where ranks come from: vectors, labels, scores, ranked lists."""

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vretr.metrics.counting import Indices, Question, Row, best_in, ranks_in
from vretr.metrics.measures import UNRANKED, Ranks
from vretr.metrics.nearest import SCALE as _SCALE
from vretr.metrics.nearest import ranks_within
from vretr.ties import Ties

MEMORY = 128 * 2**20
"""Bytes that the block of scores may take, unless told otherwise."""


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
    queries = _vectors(queries)
    questions = _questions(len(queries), relevant, left_out=left_out, among=among)
    return _ranks(_products(queries, gallery, memory), questions, ties)


def rankings_from_vectors(
    queries: ArrayLike,
    gallery: ArrayLike,
    *,
    questions: Mapping[str, Sequence[Question]],
    ties: Ties = "index",
    memory: int = MEMORY,
) -> dict[str, Ranks]:
    """Several kinds of ranks by one product; `questions` has one for each query in each kind.

    The rest as in `ranks_from_vectors`.
    """
    rows = _products(queries, gallery, memory)
    return dict(zip(questions, _collect(rows, [*questions.values()], ties), strict=True))


def lists_from_vectors(
    queries: ArrayLike,
    gallery: ArrayLike,
    *,
    questions: Sequence[Question],
    length: int,
    memory: int = MEMORY,
) -> list[Indices]:
    """The first `length` items for each query, the best first, equal scores by place.

    `relevant` of the questions does not matter. The rest as in `ranks_from_vectors`.
    """
    rows = _products(queries, gallery, memory)
    return [best_in(row, of, length) for row, of in zip(rows, questions, strict=True)]


def ranks_from_labels(
    vectors: ArrayLike,
    labels: ArrayLike,
    *,
    gallery: ArrayLike | None = None,
    gallery_labels: ArrayLike | None = None,
    ties: Ties = "index",
    depth: int | None = None,
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
        depth: only ranks up to it are needed, any other may be `UNRANKED`. Faster, in up to 1.5 GB.
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
    rows = _products(queries, items, memory)
    if depth is not None and len(items) and len(queries):
        names, numbers = np.unique(given, return_inverse=True)
        places = np.searchsorted(names, asked).clip(max=len(names) - 1)
        own = np.where(names[places] == asked, places, -1)
        found = ranks_within(
            queries, items, own, numbers, depth=depth, ties=_known(ties), alone=gallery is None
        )
        if found is not None:
            return found
    return _ranks(rows, _same_label(asked, given, alone=gallery is None), ties)


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
    return _ranks((np.rint(row * _SCALE) for row in scores.astype(np.float32)), questions, ties)


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


def _questions(
    number: int,
    relevant: Sequence[ArrayLike],
    *,
    left_out: Sequence[ArrayLike] | None,
    among: Sequence[ArrayLike] | None,
) -> list[Question]:
    for name, lists in (("relevant", relevant), ("left_out", left_out), ("among", among)):
        if lists is not None and len(lists) != number:
            raise ValueError(f"`{name}` is of {len(lists)} queries, not of {number}.")
    without: Iterable[ArrayLike] = repeat(()) if left_out is None else left_out
    within: Iterable[ArrayLike | None] = repeat(None) if among is None else among
    return [Question.of(*each) for each in zip(relevant, without, within, strict=False)]


def _same_label(asked: NDArray[Any], given: NDArray[Any], *, alone: bool) -> Iterator[Question]:
    names, numbers = np.unique(given, return_inverse=True)
    order = np.argsort(numbers, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(numbers, minlength=len(names)))[:-1])
    places = np.searchsorted(names, asked)
    for index, (label, place) in enumerate(zip(asked, places, strict=True)):
        known = place < len(names) and names[place] == label
        same = members[place] if known else np.empty(0, np.int64)
        yield Question(same[same != index], np.array([index])) if alone else Question(same)


def _vectors(vectors: ArrayLike) -> Row:
    array = np.ascontiguousarray(vectors, dtype=np.float32)
    flat = array.reshape(-1)
    # The sum of squares is read off twice as fast as all numbers are looked at; it may overflow.
    finite = np.isfinite(flat @ flat) or np.isfinite(array).all()
    if array.ndim != 2 or not finite:
        raise ValueError(f"Vectors are a matrix of finite numbers, not of shape {array.shape}.")
    return array


def _products(queries: ArrayLike, gallery: ArrayLike, memory: int) -> Iterator[Row]:
    """Scaled and rounded scores [N] of one query after the other, multiplied block by block.

    Every row is a view that is overwritten later. The shapes are checked before the first one.
    """
    queries, gallery = _vectors(queries), _vectors(gallery)
    if queries.shape[1] != gallery.shape[1]:
        raise ValueError(f"Queries of {queries.shape[1]} numbers do not fit a gallery of vectors "
                         f"of {gallery.shape[1]}.")  # fmt: skip
    rows = max(1, min(len(queries), memory // max(1, len(gallery) * _SCALE.itemsize)))
    block = np.empty((rows, len(gallery)), dtype=np.float32)

    def multiplied() -> Iterator[Row]:
        for start in range(0, len(queries), rows):
            part = queries[start : start + rows] * _SCALE
            for row in np.matmul(part, gallery.T, out=block[: len(part)]):
                yield np.rint(row, out=row)

    return multiplied()


def _ranks(rows: Iterator[Row], questions: Iterable[Question], ties: Ties) -> Ranks:
    return _collect(rows, [questions], ties)[0]


def _collect(rows: Iterator[Row], kinds: Sequence[Iterable[Question]], ties: Ties) -> list[Ranks]:
    """Ranks of each kind; a kind has a question for each row."""
    ties = _known(ties)
    found: list[list[Indices]] = [[] for _ in kinds]
    for row, *questions in zip(rows, *kinds, strict=True):
        for ranks, question in zip(found, questions, strict=True):
            ranks.append(ranks_in(row, question, ties))
    return [Ranks.of(ranks) for ranks in found]


def _known(ties: Ties) -> Ties:
    if ties not in get_args(Ties):
        raise ValueError(f"The tie rule is one of {', '.join(get_args(Ties))}, not {ties!r}.")
    return ties
