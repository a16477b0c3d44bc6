"""Triplets as they are trained on: of pictures, or of captions alone; and those kept out."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from compodiff.building.splitting import Components
from vretr.data import triplets
from vretr.data.sources import refuse, rows
from vretr.data.triplets import Triplet
from vretr.errors import MismatchError
from vretr.paths import display

MANY = 20  # parts without a photo in common, from which on whole parts are kept out


@dataclass(frozen=True, slots=True)
class TextTriplet:
    """A triplet without pictures: captions stand for them."""

    reference: str
    text: str
    target: str


@dataclass(frozen=True)
class Loaded:
    """Triplets by what their rows say as `split`; those that say nothing are trained on."""

    train: list[Triplet] = field(default_factory=list)
    val: list[Triplet] = field(default_factory=list)
    test: list[Triplet] = field(default_factory=list)
    texts: list[TextTriplet] = field(default_factory=list)  # to train on


def load(files: Sequence[Path], root: Path | None = None) -> Loaded:
    """Triplets of pictures and of captions, from files that hold one kind each.

    Raises:
        MismatchError: a file is missing, lines are malformed, or pictures are missing.
    """
    loaded = Loaded()
    sides = {"val": loaded.val, "test": loaded.test}
    for file in files:
        if file.is_file() and _is_of_texts(file):
            loaded.texts.extend(_texts(file))
            continue
        found = triplets.load(file, root=root)
        for one, (_, row) in zip(found, rows(file), strict=True):
            sides.get(str(row.get("split")), loaded.train).append(one)
    return loaded


def split(
    found: Sequence[Triplet], share: float, seed: int
) -> tuple[list[Triplet], list[Triplet], list[Path]]:
    """Triplets to train on and to choose on, and the photos of the latter. No photo is in both.

    Where the triplets fall into many parts that have no photo in common, whole parts are kept out.
    Else photos are, and with them every triplet that has photos on both sides loses one side.
    """
    photos = triplets.pictures([replace(one, gallery=None) for one in found])
    wanted = round(share * len(photos))
    draws = np.random.default_rng([seed, len(photos)])
    parts = _parts(photos, found)
    out: set[Path] = set()
    if len(parts) >= MANY and max(map(len, parts)) <= len(photos) / 4:
        for number in draws.permutation(len(parts)):
            if len(out) + len(parts[number]) <= wanted:
                out.update(parts[number])
    else:
        out.update(photos[number] for number in draws.permutation(len(photos))[:wanted])
    kept = [_within(one, lambda photo: photo not in out) for one in found]
    held = [_within(one, out.__contains__) for one in found]
    return (
        [one for one in kept if one],
        [one for one in held if one],
        [photo for photo in photos if photo in out],
    )


def _within(triplet: Triplet, keeps: Callable[[Path], bool]) -> Triplet | None:
    """The triplet with those of its targets that are kept; None without reference or target."""
    targets = tuple(target for target in triplet.targets if keeps(target))
    if not targets or not keeps(triplet.reference):
        return None
    return Triplet(triplet.reference, triplet.text, targets)


def _parts(photos: Sequence[Path], found: Iterable[Triplet]) -> list[list[Path]]:
    """The photos, in groups between which there is no triplet."""
    components = Components()
    for triplet in found:
        components.join(map(str, (triplet.reference, *triplet.targets)))
    groups: dict[str, list[Path]] = {}
    for photo in photos:
        groups.setdefault(components.root(str(photo)), []).append(photo)
    return [*groups.values()]


def _is_of_texts(file: Path) -> bool:
    _, first = next(rows(file), (0, {"reference": ""}))
    return first.get("reference") is None and "reference_caption" in first


def _texts(file: Path) -> list[TextTriplet]:
    fields = ("reference_caption", "text", "target_caption")
    found, wrong = [], []
    for number, row in rows(file):
        words = [row.get(name) for name in fields]
        if row.get("reference") is None and all(isinstance(w, str) and w.strip() for w in words):
            if row.get("split") not in ("val", "test"):
                found.append(TextTriplet(*map(str, words)))
        else:
            wrong.append(f"line {number}")
    refuse(file, wrong, what=f"lines without {', '.join(fields)}, or with pictures")
    if not found:
        raise MismatchError(f"{display(file)} has no triplet.")
    return found
