"""Pairs of photos whose captions differ in one place, by words that can be said: "dog" -> "cat".

Of each caption every form with a gap of one or two words is hashed; captions that share a form
differ in what fills its gap. Memory: 14 bytes for each form, about 25 forms a caption.
"""

import re
from array import array
from collections.abc import Iterator, Sequence

import numpy as np

from compodiff.building import drawing
from compodiff.building.captions import hash_of
from compodiff.building.keywords import WORD, Table
from compodiff.building.mining import Mined
from compodiff.building.phrasings import Edit

GAPS = (1, 2)  # words in a gap
CONTEXT = 3  # words outside the gap that must agree, at least
CROWD = 50  # photos of one form that a photo is paired with, at most
_LITTLE = frozenset(
    re.findall(
        r"\w+",
        "a an the this that these those some any is are was were be being been has have had in on "
        "at of to for from by with and or as into onto near while it its his her their there up "
        "down out off over through along very just also other another",
    )
)
_ENDING = re.compile(r"(?:(?<=([bdgmnprt]))\1)?(?:ing|es|s|ed)$")  # runs, running, run


def by_captions(
    photos_captions: Sequence[Sequence[str]], table: Table, seed: int
) -> Iterator[Mined]:
    """In the order of the photos. Photos with the same words in the gap are targets together.

    Args:
        photos_captions: the captions of each photo.
        table: names the kind of a change, where both words are of one group.
    """
    words, owner = _tokens(photos_captions)
    forms, places = _forms(words)
    order = np.argsort(forms, kind="stable")
    forms, places = forms[order], places[order]
    starts = np.flatnonzero(np.diff(forms, prepend=forms[:1] + np.uint64(1)))
    sizes = np.diff(starts, append=len(forms))
    of_caption: dict[int, list[tuple[int, int]]] = {}
    for start, size in zip(starts[sizes > 1].tolist(), sizes[sizes > 1].tolist(), strict=True):
        for member in range(start, start + size):
            caption = int(places[member]) >> 16
            of_caption.setdefault(caption, []).append((start, member - start))
    lengths = dict(zip(starts.tolist(), sizes.tolist(), strict=True))
    for caption in sorted(of_caption):
        for start, own in of_caption[caption]:
            members = places[start : start + lengths[start]].tolist()
            yield from _pairs(own, members, words, owner, table, seed)


def _tokens(captions: Sequence[Sequence[str]]) -> tuple[list[list[str]], list[int]]:
    words, owner = [], []
    for photo, said in enumerate(captions):
        for caption in dict.fromkeys(said):
            words.append(WORD.findall(caption.lower()))
            owner.append(photo)
    return words, owner


def _forms(captions: list[list[str]]) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of the forms, uint64, and where each is: caption << 16 | place << 8 | words in it."""
    forms, places = array("Q"), array("q")
    for number, words in enumerate(captions):
        for place in range(min(len(words), 255)):
            for gap in GAPS:
                if place + gap <= len(words) and len(words) - gap >= CONTEXT:
                    form = " ".join([*words[:place], "\0", *words[place + gap :]])
                    forms.append(hash_of(form))
                    places.append(number << 16 | place << 8 | gap)
    return np.frombuffer(forms, np.uint64) if forms else np.empty(0, np.uint64), np.frombuffer(
        places, np.int64
    ) if places else np.empty(0, np.int64)


def _pairs(
    own: int,
    members: list[int],
    words: list[list[str]],
    owner: list[int],
    table: Table,
    seed: int,
) -> Iterator[Mined]:
    caption, mine = _filled(members[own], words)
    if _says_little(mine):
        return
    others: dict[str, list[int]] = {}
    said: dict[str, int] = {}
    for member in members:
        other, filling = _filled(member, words)
        if owner[other] == owner[caption] or filling == mine or _says_little(filling):
            continue
        if _overlap(mine, filling) or _core(mine) == _core(filling):
            continue  # found again with a smaller gap; or "is running" against "runs"
        if owner[other] not in others.setdefault(filling, []):
            others[filling].append(owner[other])
            said.setdefault(filling, other)
    for filling in drawing.some(sorted(others), CROWD, seed, "crowd", str(caption)):
        edit = Edit(_kind(mine, filling, table), "", mine, filling)
        texts = (" ".join(words[caption]), " ".join(words[said[filling]]))
        yield Mined(owner[caption], others[filling], (edit,), texts)


def _filled(member: int, words: list[list[str]]) -> tuple[int, str]:
    caption, place, gap = member >> 16, member >> 8 & 255, member & 255
    return caption, " ".join(words[caption][place : place + gap])


def _says_little(filling: str) -> bool:
    return all(word in _LITTLE for word in filling.split())


def _core(filling: str) -> set[str]:
    return {_ENDING.sub("", word) for word in filling.split() if word not in _LITTLE}


def _overlap(one: str, other: str) -> bool:
    first, second = one.split(), other.split()
    return len(first) == len(second) == 2 and (first[0] == second[0] or first[1] == second[1])


def _kind(one: str, other: str, table: Table) -> str:
    first, second = table.spellings.get(one), table.spellings.get(other)
    return first[0] if first and second and first[0] == second[0] else "words"
