"""Key words of captions: found, and swapped for others of their group.

A table is TOML: `[words]` and `[nouns]` (which have a plural) hold `group = [words]`;
`keywords.toml` says the rest. A table of one's own may have `group = [words]` alone, at its top.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from vretr.errors import MismatchError, UsageError
from vretr.methods import near
from vretr.paths import display

WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
ARTICLE = re.compile(r"(?<!\w)(an?)(?= +$)", re.IGNORECASE)
_PLURALS = {
    "sheep": "sheep",
    "deer": "deer",
    "wolf": "wolves",
    "shelf": "shelves",
    "mouse": "mice",
    "goose": "geese",
    "fish": "fish",
    "fox": "foxes",
    "piano": "pianos",
}
# Spelled with a vowel and spoken with none, and the reverse.
_CONSONANT = re.compile(r"uni|use|eu|one\b|once\b|ufo", re.IGNORECASE)
_VOWEL = re.compile(r"hour|honest|heir", re.IGNORECASE)


class Meaning(NamedTuple):
    """What may be written for another meaning of its group; no plural: an empty text."""

    word: str
    plural: str


class Found(NamedTuple):
    """A key word at caption[start:end]; `meaning` is its place in the group."""

    start: int
    end: int
    group: str
    meaning: int
    plural: bool


@dataclass(frozen=True)
class Table:
    """Groups of meanings, and how each is spelled.

    Attributes:
        spellings: phrase in lower case -> (group, meaning, whether plural); None: a fixed phrase.
        not_before: group -> words before which its words are left alone.
        only_before: group -> the words before which alone its words count.
    """

    groups: Mapping[str, Sequence[Meaning]]
    spellings: Mapping[str, tuple[str, int, bool] | None]
    not_before: Mapping[str, frozenset[str]] = field(default_factory=dict)
    only_before: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def find(self, caption: str) -> list[Found]:
        """The key words of a caption, from left to right, the longest phrase at each place."""
        words = [match.span() for match in WORD.finditer(caption)]
        lower, found, place = caption.lower(), [], 0
        if len(lower) != len(caption):  # a letter whose lower case is two: places would not agree
            return []
        while place < len(words):
            start = words[place][0]
            for length in self._lengths.get(lower[start : words[place][1]], ()):
                if place + length > len(words):
                    continue
                end = words[place + length - 1][1]
                phrase = lower[start:end]
                if phrase not in self.spellings:
                    continue
                after = words[place + length] if place + length < len(words) else (0, 0)
                if (kind := self.spellings[phrase]) and self._counts(kind[0], lower[slice(*after)]):
                    found.append(Found(start, end, *kind))
                place += length
                break
            else:
                place += 1
        return found

    def _counts(self, group: str, after: str) -> bool:
        if group in self.only_before:
            return after in self.only_before[group]
        return after not in self.not_before.get(group, ())

    @cached_property
    def _lengths(self) -> dict[str, list[int]]:
        """First word -> the lengths, in words, of phrases that begin with it, longest first."""
        lengths: dict[str, set[int]] = {}
        for phrase in self.spellings:
            words = WORD.findall(phrase)
            lengths.setdefault(words[0], set()).add(len(words))
        return {word: sorted(each, reverse=True) for word, each in lengths.items()}


def swap(caption: str, found: Found, meaning: Meaning) -> str:
    """The caption with another word; its article and its capitals agree."""
    old = caption[found.start : found.end]
    new = meaning.plural if found.plural else meaning.word
    before = ARTICLE.sub(lambda match: _article(match.group(), new), caption[: found.start])
    return f"{before}{_cased(new, old)}{caption[found.end :]}"


def _article(old: str, following: str) -> str:
    vowel = following[0].lower() in "aeiou" and not _CONSONANT.match(following)
    new = "an" if vowel or _VOWEL.match(following) else "a"
    return new.upper() if old.isupper() and len(old) > 1 else old[0] + new[1:]


def _cased(new: str, old: str) -> str:
    if old.isupper() and len(old) > 1:
        return new.upper()
    return new[0].upper() + new[1:] if old[0].isupper() else new


def plural(word: str) -> str:
    """By simple rules: benches, puppies, wolves."""
    head, _, last = word.rpartition(" ")
    if last in _PLURALS:
        last = _PLURALS[last]
    elif re.search(r"(s|x|z|ch|sh)$", last):
        last += "es"
    elif re.search(r"[^aeiou]y$", last):
        last = f"{last[:-1]}ies"
    else:
        last += "s"
    return f"{head} {last}".strip()


def shipped() -> dict[str, Any]:
    """The table that is always there, as TOML has it."""
    return tomllib.loads(
        files("compodiff.building").joinpath("keywords.toml").read_text(encoding="utf-8")
    )


def load(file: Path | None = None, groups: Iterable[str] = ()) -> Table:
    """The table that is always there, with the groups of a file, or some of its groups.

    Raises:
        MismatchError: the file is no TOML of that form.
        UsageError: a group that is not in the table.
    """
    values = shipped()
    if file is not None:
        own = _read(file)
        for name in {*own["words"], *own["nouns"]}:
            values["words"].pop(name, None)
            values["nouns"].pop(name, None)
        for kind in ("words", "nouns"):
            values[kind] |= own[kind]
    known = {**values["words"], **values["nouns"]}
    for name in groups:
        if name not in known:
            raise UsageError(f"There is no group of words {name!r}; {near(name, known)}")
    chosen = {name: known[name] for name in known if not groups or name in {*groups}}
    return _table(chosen, values)


def _read(file: Path) -> dict[str, dict[str, list[str]]]:
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise MismatchError(f"{display(file)} cannot be read as TOML: {problem}.") from problem
    nouns, words = found.pop("nouns", {}), found.pop("words", {})
    words = {**words, **found} if isinstance(words, dict) else {"words": words}
    for name, group in [*words.items(), *(nouns.items() if isinstance(nouns, dict) else ())]:
        spelled = isinstance(group, list) and all(
            isinstance(each, str) and all(WORD.search(word) for word in each.split("|"))
            for each in group
        )
        if not spelled or len(group) < 2:
            raise MismatchError(
                f"{display(file)}: the group {name!r} must be a list of at least two words."
            )
    return {"words": words, "nouns": nouns}


def _table(groups: Mapping[str, list[str]], values: Mapping[str, Any]) -> Table:
    spellings: dict[str, tuple[str, int, bool] | None] = {}
    meanings: dict[str, list[Meaning]] = {}
    for name, words in groups.items():
        inflected = name in values["nouns"]
        meanings[name] = []
        for place, spelled in enumerate(words):
            first, *others = (" ".join(each.split()) for each in spelled.split("|"))
            meanings[name].append(Meaning(first, plural(first) if inflected else ""))
            for word in (first, *others):
                spellings.setdefault(word.lower(), (name, place, False))
                if inflected:
                    spellings.setdefault(plural(word).lower(), (name, place, True))
    fixed: dict[str, tuple[str, int, bool] | None] = dict.fromkeys(values["fixed"]["phrases"])
    not_before, only_before = (
        {name: frozenset(words) for name, words in values[rule].items()}
        for rule in ("not_before", "only_before")
    )
    return Table(meanings, fixed | spellings, not_before, only_before)
