"""What a benchmark of composed retrieval is, whichever it is: queries, and figures from ranks."""

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vretr import metrics
from vretr.data.features import Picture
from vretr.metrics import Ranks

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Query:
    """One composed query. Pictures are numbers in `Benchmark.pictures`.

    Attributes:
        id: what the benchmark's server calls it.
        reference: the picture that it starts from.
        texts: the words; where there are several ways to say them, each is composed with the
            reference, and the mean of the vectors is searched for.
        targets: the right pictures, the annotated one first; none where they are not public.
        gallery: the pictures to search in; queries with the same gallery share one array.
        members: a few pictures of the gallery that are ranked by themselves as well.
        groups: the parts of the benchmark that it belongs to, say a category.
    """

    id: str
    reference: int
    texts: tuple[str, ...]
    targets: tuple[int, ...]
    gallery: Indices
    members: tuple[int, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """One of the ways in which a benchmark ranks pictures for its queries.

    Attributes:
        targets: whether all of them are right, or the first one only.
        among: what is ranked.
        listed: how many of the first pictures a submission holds.
    """

    targets: Literal["all", "first"] = "all"
    among: Literal["gallery", "members"] = "gallery"
    listed: int = 0


class Size(NamedTuple):
    """How many queries a part of a benchmark has, and each of them pictures to search in."""

    queries: int
    gallery: int


Figures = Callable[[Mapping[str, Ranks], Sequence[Query]], dict[str, float]]
Lists = Mapping[str, Sequence[Sequence[str]]]  # by ranking; names of pictures, the best first
Submission = Callable[[Sequence[Query], Lists], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A benchmark on disk.

    Attributes:
        title: its name and split, for sentences.
        split: which part of it.
        pictures: every picture that is needed, by number; the same file may stand there twice.
        queries: in the order of the annotations.
        rankings: by name, what the scores of a query are asked.
        figures: ranks by the name of the ranking, and the queries -> figures by name, in [0, 1].
        reference: whether the reference may be found, by the benchmark's own rule.
        sizes: what it should have, by group; "" is all of it. Empty where nobody says so.
        own_galleries: each query has its own few pictures to search in, which belong to it.
        submission: queries and lists -> what the server wants, by what the file's name begins with.
        settings: what else its figures depend on, for the report.
    """

    title: str
    split: str
    pictures: Sequence[Picture]
    queries: Sequence[Query]
    rankings: Mapping[str, Ranking]
    figures: Figures
    reference: Literal["kept", "removed", "not in the gallery"]
    sizes: Mapping[str, Size] = field(default_factory=dict)
    own_galleries: bool = False
    submission: Submission | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def name_of(self, number: int) -> str:
        """What a submission calls a picture: its file's name without the ending."""
        return Path(self.pictures[number]).stem


class Numbers:
    """Gives every picture its number, in the order of their coming."""

    def __init__(self) -> None:
        self.pictures: list[Picture] = []
        self._known: dict[Hashable, int] = {}

    def of(self, picture: Picture, copy: int = 0) -> int:
        """The number; another `copy` of a picture has a number of its own."""
        number = self._known.setdefault((picture, copy), len(self.pictures))
        if number == len(self.pictures):
            self.pictures.append(picture)
        return number

    def gallery(self, pictures: Iterable[Picture]) -> Indices:
        """The numbers; what is listed again is a copy, and has the same score."""
        seen: dict[Picture, int] = {}
        found = []
        for picture in pictures:
            found.append(self.of(picture, seen.get(picture, 0)))
            seen[picture] = seen.get(picture, 0) + 1
        return np.array(found, dtype=np.int64)


def by_gallery(queries: Sequence[Query]) -> list[tuple[Indices, list[int]]]:
    """The galleries, and the places of the queries that are searched for in each."""
    found: dict[int, tuple[Indices, list[int]]] = {}
    for place, query in enumerate(queries):
        found.setdefault(id(query.gallery), (query.gallery, []))[1].append(place)
    return [*found.values()]


def by_group(
    ranks: Ranks, queries: Sequence[Query], groups: Iterable[str], *names: str
) -> dict[str, float]:
    """Figures over the queries of each group, as `group_name`; NaN where a group has no query."""
    found: dict[str, float] = {}
    for group in groups:
        part = ranks.where(np.array([group in query.groups for query in queries], dtype=bool))
        none = dict.fromkeys(names, math.nan)
        figures = metrics.figures(part, *names) if len(part.relevant) else none
        found |= {f"{group}_{name}": value for name, value in figures.items()}
    return found
