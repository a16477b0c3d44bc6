"""Text triplets: captions, and the same with one word swapped for another of its group."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from compodiff.building import drawing, tables
from compodiff.building.keywords import WORD, Found, Table, swap
from compodiff.building.phrasings import Edit
from vretr.encoders.base import Encoder
from vretr.errors import MismatchError
from vretr.paths import display

WORDS = (2, 40)  # of a caption: fewer say nothing, more is no caption
_ADDRESS = re.compile(r"https?://|www\.|\.(?:com|net|org)\b", re.IGNORECASE)

Rejected = Counter[str]
Allowed = Mapping[tuple[str, int], Sequence[int]]
"""Group and meaning -> the meanings that may take its place."""


class TextTriplet(NamedTuple):
    """Two captions and what changes.

    `split_key` is the same for all that could become alike. `text` is the instruction, where
    somebody else has written it.
    """

    reference: str
    target: str
    edit: Edit
    split_key: str
    text: str = ""


def read(file: Path, columns: Sequence[str], rejected: Rejected) -> Iterator[str]:
    """The captions of a file, cleaned; those that are none are counted.

    Raises:
        MismatchError: the file has none of the columns.
    """
    column = None
    for _, row in tables.rows(file):
        if column is None:
            column = next((name for name in (*columns, tables.TEXT) if name in row), None)
            if column is None:
                raise MismatchError(
                    f"{display(file)} has no column {' or '.join(columns)}; it has "
                    f"{', '.join(map(str, row))}: name the one with captions by --column."
                )
        cell = row.get(column)
        for text in cell if isinstance(cell, list) else [cell]:
            if not isinstance(text, str) or not text.strip():
                rejected["no caption"] += 1
            elif reason := problem_with(text):
                rejected[reason] += 1
            else:
                yield " ".join(text.split())


def problem_with(caption: str) -> str:
    """Why a caption is not used, or nothing."""
    if _ADDRESS.search(caption):
        return "an address"
    return "" if WORDS[0] <= len(WORD.findall(caption)) <= WORDS[1] else "too short or too long"


def allowed(table: Table, encoder: Encoder | None, band: tuple[float, float] | None) -> Allowed:
    """Every other meaning of a group; with a band, those whose cosine to the word lies in it."""
    found: dict[tuple[str, int], Sequence[int]] = {}
    for group, meanings in table.groups.items():
        inside = ~np.eye(len(meanings), dtype=bool)
        if encoder is not None and band is not None:
            vectors = encoder.encode_texts([each.word for each in meanings])
            cosines = vectors @ vectors.T
            inside &= (band[0] <= cosines) & (cosines <= band[1])
        for place, row in enumerate(inside):
            found[group, place] = np.flatnonzero(row).tolist()
    return found


def swapped(
    captions: Iterable[str],
    table: Table,
    may: Allowed,
    *,
    per_caption: int,
    per_pair: int,
    seed: int,
    rejected: Rejected,
) -> Iterator[TextTriplet]:
    """Captions with one word swapped. Nothing is kept of them but a number for each.

    Args:
        per_caption: words that are swapped, each by itself.
        per_pair: triplets for each pair of words; 0: no limit.
        rejected: counts why captions and swaps are left out.
    """
    seen: set[int] = set()
    pairs: Counter[tuple[str, int, int]] = Counter()
    for caption in captions:
        lower = caption.lower()
        if (digest := hash_of(lower)) in seen:
            rejected["caption seen before"] += 1
            continue
        seen.add(digest)
        found = table.find(caption)
        if not found:
            rejected["no key word"] += 1
            continue
        meant = Counter((each.group, each.meaning) for each in found)
        once = [each for each in found if meant[each.group, each.meaning] == 1]
        if not once:
            rejected["the word stands twice"] += 1
            continue
        key = split_key(caption, found)
        for each in drawing.some(once, per_caption, seed, "word", lower):
            others = [n for n in may[each.group, each.meaning] if (each.group, n) not in meant]
            if not others:
                rejected["no other word fits"] += 1
                continue
            other = drawing.choice(others, seed, "swap", lower, each.group, str(each.meaning))
            pair = (each.group, each.meaning, other)
            if per_pair and pairs[pair] >= per_pair:
                rejected["enough of this pair of words"] += 1
                continue
            pairs[pair] += 1
            yield _triplet(caption, each, table, other, key)


def _triplet(caption: str, found: Found, table: Table, other: int, key: str) -> TextTriplet:
    meaning = table.groups[found.group][other]
    new = meaning.plural if found.plural else meaning.word
    edit = Edit(found.group, "", caption[found.start : found.end].lower(), new)
    return TextTriplet(caption, swap(caption, found, meaning), edit, key)


def split_key(caption: str, found: Sequence[Found]) -> str:
    """The caption without its key words: what no swap changes, so that all that swaps can make of
    one another go to one split."""
    parts, end = [], 0
    for each in found:
        parts += [caption[end : each.start], f"<{each.group}>"]
        end = each.end
    frame = "".join([*parts, caption[end:]]).lower()
    return re.sub(r"\ban\b", "a", frame)


def hash_of(text: str) -> int:
    """63 bits: a set of them takes a tenth of the captions' memory."""
    return drawing.number(0, text)
