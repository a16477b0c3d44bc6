"""The annotation files of the benchmarks: found, read, and recognised when they are another's."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from vretr.data.cir.names import TITLES
from vretr.data.sources import Row, refuse
from vretr.errors import MismatchError
from vretr.paths import display

# What every entry of a benchmark's annotations has, and no other benchmark's.
KEYS = {
    "circo": ("reference_img_id", "relative_caption"),
    "cirr": ("pairid", "img_set"),
    "fashioniq": ("candidate", "captions"),
    "genecis": ("condition", "gallery"),
}

# A file by which a folder is known.
MARKS = {
    "circo": ("annotations/val.json", "annotations/test.json"),
    "cirr": ("cirr/captions/cap.rc2.val.json", "captions/cap.rc2.val.json"),
    "fashioniq": ("captions/cap.dress.val.json", "json/cap.dress.val.json"),
    "genecis": ("genecis/change_object.json", "genecis/focus_attribute.json"),
}

Kind = TypeVar("Kind")
Made = TypeVar("Made")


def find(root: Path, *names: str, benchmark: str, advice: str = "") -> Path:
    """The first of these files that is there.

    Args:
        advice: a sentence for whoever has none of them.

    Raises:
        MismatchError: none is; the sentence says which benchmark the folder looks like.
    """
    for name in names:
        if (root / name).is_file():
            return root / name
    others = [
        name
        for name, marks in MARKS.items()
        if name != benchmark and any((root / mark).is_file() for mark in marks)
    ]
    if others:
        advice = f"It looks like {TITLES[others[0]]}: --dataset {others[0]}."
    raise MismatchError(
        f"{display(root)} is not laid out as {TITLES[benchmark]}: "
        f"it has no {' and no '.join(names)}. {advice}".rstrip()
    )


def read(file: Path) -> Any:
    """What a JSON file holds.

    Raises:
        MismatchError: it is no JSON.
    """
    try:
        return json.loads(file.read_bytes())
    except ValueError as error:  # also where it is not UTF-8
        raise MismatchError(f"{display(file)} is no JSON: {error}.") from error


def entries(file: Path, *, benchmark: str) -> list[Row]:
    """The entries of an annotation file.

    Raises:
        MismatchError: the file is of another benchmark, or of none.
    """
    found = read(file)
    if isinstance(found, list) and found and all(isinstance(entry, dict) for entry in found):
        fits = [name for name, keys in KEYS.items() if all(key in found[0] for key in keys)]
        if benchmark in fits:
            return found
        if fits:
            raise MismatchError(
                f"{display(file)} holds annotations of {TITLES[fits[0]]}, not of "
                f"{TITLES[benchmark]}: --dataset {fits[0]}, or put the right file in its place."
            )
    raise MismatchError(
        f"{display(file)} holds no annotations of {TITLES[benchmark]}, which are a list of "
        f"objects with {' and '.join(KEYS[benchmark])}."
    )


def made(file: Path, entries: Sequence[Row], make: Callable[[Row], Made]) -> list[Made]:
    """`make` of each entry.

    Raises:
        MismatchError: for some it raises ValueError; they are counted and the first ones named.
    """
    found, wrong = [], []
    for number, entry in enumerate(entries):
        try:
            found.append(make(entry))
        except ValueError as error:
            wrong.append(f"entry {number}: {error}")
    refuse(file, wrong, what="malformed entries")
    return found


def value(entry: Row, name: str, kind: type[Kind]) -> Kind:
    """A field of an entry.

    Raises:
        ValueError: it is missing or of another kind.
    """
    if name not in entry:
        raise ValueError(f"no {name}")
    found = entry[name]
    if not isinstance(found, kind):
        raise ValueError(f"{name} is {found!r:.40}, not of type {kind.__name__}")
    return found


def values(entry: Row, name: str, kind: type[Kind]) -> list[Kind]:
    """A list in an entry.

    Raises:
        ValueError: it is missing, no list, or an element is of another kind.
    """
    found = value(entry, name, list)
    if not all(isinstance(each, kind) for each in found):
        raise ValueError(f"{name} is not a list of type {kind.__name__}")
    return found
