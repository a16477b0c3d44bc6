"""How well vectors bring those of one class together: Recall@K, R-precision, MAP@R."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vretr import metrics
from vretr.errors import MismatchError
from vretr.metrics import Ranks, Ties

MEASURES = ("recall", "r_precision", "map@r")
WHOLE = ("map", "mrr")  # measures that want the rank of everything; slower for large classes


@dataclass(frozen=True)
class Measured:
    """What was measured.

    Attributes:
        figures: averages over the queries, in [0, 1]: `recall@1`, `r_precision`, `map@r`.
        by_class: the same names -> float64 [C], averages over the queries of each class.
        classes: the C labels that queries bear, ascending; of lone ones there are none.
        queries_of: int64 [C], how many queries each of them has.
        queries: how many queries were measured.
        lone: queries that were left out, as nothing else bears their label.
        duplicates: vectors in the gallery that equal an earlier one to the last bit.
    """

    figures: Mapping[str, float]
    by_class: Mapping[str, NDArray[np.float64]]
    classes: NDArray[Any]
    queries_of: NDArray[np.int64]
    queries: int
    lone: int
    duplicates: int


def measure(
    vectors: ArrayLike,
    labels: ArrayLike,
    *,
    gallery: ArrayLike | None = None,
    gallery_labels: ArrayLike | None = None,
    ks: Sequence[int] = (1, 2, 4, 8),
    ties: Ties = "index",
    measures: Sequence[str] = MEASURES,
) -> Measured:
    """Searches each vector among the others, or in a gallery, by inner product.

    A query is left out of its own gallery by its place, never by its rank, so that copies of it
    count like any other vector. Queries without another vector of their label are left out and
    counted. A R-precision of q is the share of its label among its first R_q, R_q being how many of
    its label there are; MAP@R is (1/R_q) Σ_{i ≤ R_q} P(i) rel(i) (Musgrave et al. 2020, ECCV).

    Args:
        vectors: float32 [Q, dim], of unit length for the cosine.
        labels: [Q], whole numbers of any size, or words.
        gallery: float32 [N, dim]; not given: the vectors themselves.
        gallery_labels: [N].
        ks: of Recall@K.
        ties: the rule for equal scores, see `vretr.metrics`.
        measures: of `recall`, `r_precision`, `map@r`, `map`, `mrr`.

    Raises:
        MismatchError: NaN or infinite vectors, labels that do not fit, nothing to measure.
        ValueError: an unknown measure.
    """
    queries = _finite(vectors, "vectors")
    items = queries if gallery is None else _finite(gallery, "gallery vectors")
    if (gallery is None) != (gallery_labels is None):
        raise MismatchError("A gallery and its labels come together.")
    names, asked, given = _numbered(labels, gallery_labels)
    for what, some, numbers in (("vectors", queries, asked), ("gallery vectors", items, given)):
        if len(some) != len(numbers):
            raise MismatchError(f"{len(numbers)} labels do not fit {len(some)} {what}.")
    wanted = _names(measures, ks)
    ranks = metrics.ranks_from_labels(
        queries,
        asked,
        gallery=None if gallery is None else items,
        gallery_labels=None if gallery is None else given,
        ties=ties,
        depth=_depth(given, ks, measures),
    )
    if not len(ranks.relevant):
        raise MismatchError(
            "There is nothing to measure: no query has another photo of its class to find."
        )
    asked = asked[ranks.counts > 0]
    classes, own, number = np.unique(asked, return_inverse=True, return_counts=True)
    values = {name: _values(ranks, name) for name in wanted}
    return Measured(
        figures={name: float(value.mean()) for name, value in values.items()},
        by_class={name: np.bincount(own, value) / number for name, value in values.items()},
        classes=names[classes],
        queries_of=number,
        queries=len(asked),
        lone=ranks.lone,
        duplicates=duplicates(items),
    )


def duplicates(vectors: NDArray[np.float32]) -> int:
    """How many vectors equal an earlier one to the last bit."""
    _, place, number = np.unique(vectors[:, :1], return_inverse=True, return_counts=True)
    alike = vectors[number[place.ravel()] > 1]  # in their first number: the others equal nothing
    return len(alike) - len({hashlib.sha256(row.data).digest() for row in alike})


def _finite(vectors: ArrayLike, what: str) -> NDArray[np.float32]:
    array = np.ascontiguousarray(vectors, dtype=np.float32)
    if array.ndim != 2:
        raise MismatchError(f"The {what} must be a matrix, not of shape {array.shape}.")
    bad = int((~np.isfinite(array).all(axis=1)).sum())
    if bad:
        raise MismatchError(
            f"{bad:,} of {len(array):,} {what} hold NaN or infinity: the network that made them is "
            "broken, or its training has diverged."
        )
    return array


def _numbered(
    labels: ArrayLike, gallery_labels: ArrayLike | None
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
    """(labels, ascending; those of the queries; those of the gallery as places in them)."""
    asked = _labels(labels)
    given = asked if gallery_labels is None else _labels(gallery_labels)
    whole = asked if gallery_labels is None else _together(asked, given)
    names, numbers = np.unique(whole, return_inverse=True)
    numbers = numbers.astype(np.int64)
    if gallery_labels is None:
        return names, numbers, numbers
    return names, numbers[: len(asked)], numbers[len(asked) :]


def _labels(labels: ArrayLike) -> NDArray[Any]:
    array = np.asarray(labels)
    if array.dtype.kind == "f" and not isinstance(labels, np.ndarray):
        array = np.asarray(labels, dtype=object)  # whole numbers too large for one of NumPy's types
    whole = array.dtype.kind in "iubUSO"
    if not whole or array.ndim != 1 or any(type(each) is float for each in _odd(array)):
        raise MismatchError("Labels must be a list of whole numbers or of words.")
    return array


def _odd(array: NDArray[Any]) -> list[Any]:
    return array.tolist() if array.dtype.kind == "O" else []


def _together(asked: NDArray[Any], given: NDArray[Any]) -> NDArray[Any]:
    if (asked.dtype.kind in "US") != (given.dtype.kind in "US"):
        raise MismatchError("Labels of queries and gallery must both be numbers, or both words.")
    if np.result_type(asked, given).kind == "f":  # int64 with uint64
        return np.concatenate([asked.astype(object), given.astype(object)])
    return np.concatenate([asked, given])


def _names(measures: Sequence[str], ks: Sequence[int]) -> list[str]:
    known = (*MEASURES, *WHOLE)
    for name in measures:
        if name not in known:
            raise ValueError(f"There is no measure {name!r}; known are {', '.join(known)}.")
    recalls = [f"recall@{k}" for k in dict.fromkeys(ks)] if "recall" in measures else []
    return recalls + [name for name in measures if name != "recall"]


def _depth(given: NDArray[np.int64], ks: Sequence[int], measures: Sequence[str]) -> int | None:
    """So far ranks are needed; None: to the end."""
    if any(name in WHOLE for name in measures):
        return None
    by_r = any(name != "recall" for name in measures)
    most = int(np.bincount(given).max(initial=1)) if by_r else 1
    return max(most, *ks) if "recall" in measures and ks else most


def _values(ranks: Ranks, name: str) -> NDArray[np.float64]:
    if name.startswith("recall@"):
        return metrics.recall_at(ranks, int(name.partition("@")[2]))
    return {
        "r_precision": metrics.r_precision,
        "map@r": metrics.average_precision_at_r,
        "map": metrics.average_precision,
        "mrr": metrics.reciprocal_rank,
    }[name](ranks)
