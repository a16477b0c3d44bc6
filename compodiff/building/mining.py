"""Pairs of photos that differ in one attribute, or in two, and agree in the others."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from compodiff.building.folder import Photos
from compodiff.building.phrasings import Edit
from vretr.data.attribute_triplets import changes
from vretr.errors import MismatchError

_JOINED = "\x1f"  # between two values: no text of a table holds it


class Mined(NamedTuple):
    """A reference, what changes, and the photos that are then right; by their numbers.

    `captions` are those of the reference and of the first target, where captions were compared.
    """

    reference: int
    targets: list[int]
    edits: tuple[Edit, ...]
    captions: tuple[str | None, str | None] = (None, None)


def by_attributes(
    photos: Photos, *, change: Sequence[str], same: Sequence[str], max_diff: int
) -> Iterator[Mined]:
    """Attribute by attribute, then two at once; in the order of the photos, values sorted.

    Args:
        change: attributes that may change; none given: all.
        same: attributes that must stay; none given: all the others.

    Raises:
        MismatchError: there are no attributes, or a photo says nothing of one.
    """
    if not photos.attributes:
        raise MismatchError("There are no attributes that several photos share and others do not.")
    table = [{**row, "file_name": str(number)} for number, row in enumerate(photos.rows)]
    may = tuple(change) or tuple(name for name in photos.attributes if name not in same)
    for size in range(1, max_diff + 1):
        for names in combinations(may, size):
            stay = tuple(same) or tuple(name for name in photos.attributes if name not in names)
            yield from _changes(table, names, stay)


def _changes(
    table: list[dict[str, str]], names: tuple[str, ...], stay: tuple[str, ...]
) -> Iterator[Mined]:
    kind = _JOINED.join(names)
    if len(names) > 1:
        stay = tuple(name for name in stay if name not in names)
        table = [{**row, kind: _JOINED.join(row[name] for name in names)} for row in table]
    for reference, value, targets in changes(table, change=kind, same=stay):
        before = table[int(reference)][kind].split(_JOINED)
        after = value.split(_JOINED)
        if any(a == b or not (a and b) for a, b in zip(before, after, strict=True)):
            continue  # of two attributes one stays (found by itself), or one is not known
        edits = tuple(
            Edit(_spoken(name), _spoken(name), a.lower(), b.lower())
            for name, a, b in zip(names, before, after, strict=True)
        )
        yield Mined(int(reference), [int(each) for each in targets], edits)


def _spoken(name: str) -> str:
    return name.replace("_", " ").strip().lower()
