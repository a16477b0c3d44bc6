"""Triplets of composed retrieval: a reference picture, words, and the pictures that are right.

A file of them has a JSON object a line:

    {"reference": "a.jpg", "text": "is red", "targets": ["b.jpg"], "gallery": "gallery.txt"}

`targets` is a list or one name. `gallery` is optional: a list of pictures, or the name of a text
file with a picture a line. Names are relative to the file's folder or to a given root.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from vretr import metrics
from vretr.data.cir.benchmark import Benchmark, Numbers, Query, Ranking
from vretr.data.sources import Row, refuse, refuse_missing, rows
from vretr.errors import MismatchError
from vretr.metrics import Ranks
from vretr.paths import atomic_write, display

MEASURES = ("recall@1", "recall@5", "recall@10", "recall@50", "map@10")


@dataclass(frozen=True, eq=False)
class Gallery:
    """Pictures to search in; triplets share one where they name the same text file."""

    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def members(self) -> frozenset[Path]:
        """Its pictures, to look one up."""
        return frozenset(self.paths)


@dataclass(frozen=True, slots=True)
class Triplet:
    """One composed query and its answers; without a gallery, that is all pictures of the file."""

    reference: Path
    text: str
    targets: tuple[Path, ...]
    gallery: Gallery | None = None


def load(file: Path, *, root: Path | None = None, allow_missing: bool = False) -> list[Triplet]:
    """Reads triplets.

    Args:
        file: the JSON lines.
        root: folder that names are relative to; that of `file` if not given.
        allow_missing: whether the pictures are there is somebody else's question.

    Raises:
        MismatchError: there is no such file, lines are malformed (each is named with its number),
            pictures are missing, or there is no triplet.
    """
    if not file.is_file():
        raise MismatchError(f"There is no file of triplets {display(file)}.")
    reader = _Reader(file.parent if root is None else Path(root))
    found, wrong = [], []
    for number, row in rows(file):
        try:
            found.append(reader.triplet(row))
        except ValueError as error:
            wrong.append(f"line {number}: {error}")
    refuse(file, wrong, what="malformed lines")
    if not found:
        raise MismatchError(f"{display(file)} has no triplet.")
    if not allow_missing:
        refuse_missing(file, pictures(found))
    return found


def pictures(triplets: Sequence[Triplet]) -> list[Path]:
    """Every picture that the triplets name, once: references and targets, then galleries."""
    galleries = dict.fromkeys(triplet.gallery for triplet in triplets if triplet.gallery)
    named = chain.from_iterable((triplet.reference, *triplet.targets) for triplet in triplets)
    return list(dict.fromkeys(chain(named, *(gallery.paths for gallery in galleries))))


def benchmark(
    triplets: Sequence[Triplet], title: str, *, among: Sequence[Path] | None = None
) -> Benchmark:
    """The triplets as queries of composed retrieval.

    Args:
        title: what sentences call them.
        among: the pictures to search in for a triplet without a gallery; if not given, all that
            the triplets name.
    """
    numbers = Numbers()
    shared = numbers.gallery(map(str, pictures(triplets) if among is None else among))
    galleries = {
        gallery: np.array([numbers.of(str(path)) for path in gallery.paths])
        for gallery in dict.fromkeys(triplet.gallery for triplet in triplets)
        if gallery is not None
    }
    return Benchmark(
        title=title,
        split="all",
        queries=[
            Query(
                id=str(place),
                reference=numbers.of(str(triplet.reference)),
                texts=(triplet.text,),
                targets=tuple(numbers.of(str(path)) for path in triplet.targets),
                gallery=shared if triplet.gallery is None else galleries[triplet.gallery],
            )
            for place, triplet in enumerate(triplets)
        ],
        pictures=numbers.pictures,
        rankings={"targets": Ranking()},
        figures=figures,
        reference="removed",
    )


def figures(ranks: Mapping[str, Ranks], queries: Sequence[Query]) -> dict[str, float]:
    """Recall@k: one of the targets is among the first k; mAP@k as in CIRCO."""
    return metrics.figures(ranks["targets"], *MEASURES)


def save(file: Path, lines: Sequence[Row]) -> None:
    """Writes one JSON object a line, at once or not at all."""
    with atomic_write(file) as out:
        for line in lines:
            text = json.dumps(line, ensure_ascii=False)
            # A name that is not UTF-8 holds surrogates; their escapes are JSON as well.
            out.write(text.encode("utf-8", "backslashreplace") + b"\n")


class _Reader:
    """Turns rows into triplets; a gallery that many rows name is read once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.galleries: dict[str, Gallery] = {}

    def triplet(self, row: Row) -> Triplet:
        reference, text = row.get("reference"), row.get("text")
        if not isinstance(reference, str) or not reference:
            raise ValueError("no reference")
        if not isinstance(text, str):
            raise ValueError("no text")
        if ("targets" in row) == ("target" in row):
            raise ValueError("either targets or target is wanted")
        targets = self.paths(row.get("targets", row.get("target")), "targets")
        if not targets:
            raise ValueError("no targets")
        triplet = Triplet(self.root / reference, text, targets, self.gallery(row.get("gallery")))
        if triplet.gallery is not None and not triplet.gallery.members.issuperset(targets):
            raise ValueError("a target is not in the gallery")
        return triplet

    def paths(self, value: Any, name: str) -> tuple[Path, ...]:
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not all(isinstance(n, str) and n for n in names):
            raise ValueError(f"{name} is not a list of names")
        if len(set(names)) < len(names):
            raise ValueError(f"{name} holds a name twice")
        return tuple(self.root / n for n in names)

    def gallery(self, value: Any) -> Gallery | None:
        if value is None:
            return None
        if not isinstance(value, str):
            return Gallery(self.paths(value, "gallery"))
        if value not in self.galleries:
            try:
                names = os.fsdecode((self.root / value).read_bytes()).split("\n")
            except OSError as error:
                raise ValueError(f"the gallery {value!r} cannot be read: {error}") from error
            pictures = self.paths([name for name in names if name], "gallery")
            self.galleries[value] = Gallery(pictures)
        return self.galleries[value]
