"""Which words of a sentence are key words: nouns and adjectives, with the articles before them.

spaCy says so where it and its model are installed. Otherwise a list of ours does, which needs no
download: what is neither a function word, a verb nor an adverb counts as a noun or adjective.
On 2,000 captions that its list was not made from, it agrees with spaCy on 97.4 % of the words
(TextBlob's pattern lexicon: 95.9 %; benchmarks/lincir_taggers.py).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from typing import Any, Literal, Protocol

from vretr.errors import UsageError

Part = Literal["key", "article", "hyphen", "other"]
SPACY_MODEL = "en_core_web_sm"


@dataclass(frozen=True, slots=True)
class Word:
    """A word or sign of a sentence: where it stands, [start, end), and what part it plays."""

    start: int
    end: int
    part: Part  # hyphen: one inside a word that was taken apart


class Tagger(Protocol):
    """Finds key words."""

    @property
    def name(self) -> str:
        """What a token cache is known by: another name, other words."""

    def __call__(self, sentences: Sequence[str]) -> list[list[Word]]:
        """The words of lower-case sentences."""


def load_tagger(name: Literal["auto", "spacy", "rules"]) -> Tagger:
    """The tagger of that name.

    Raises:
        UsageError: spaCy is asked for and not installed.
    """
    if name == "spacy" or (name == "auto" and _has_spacy()):
        return Spacy()
    return Rules()


def _has_spacy() -> bool:
    return all(find_spec(module) is not None for module in ("spacy", SPACY_MODEL))


ARTICLES = frozenset(
    {"a", "an", "another", "any", "each", "every", "no", "some", "the", "all", "both"}
    | {"this", "that", "these", "those"}
)
_WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*|\S")


class Rules:
    """A list of words that are no key words, and two endings."""

    name = "rules-1"

    def __call__(self, sentences: Sequence[str]) -> list[list[Word]]:
        """The words of lower-case sentences."""
        return [
            [Word(*found.span(), part_of(found.group())) for found in _WORD.finditer(sentence)]
            for sentence in sentences
        ]


@cache
def part_of(word: str) -> Part:
    """What part a lower-case word plays, by itself."""
    if word in ARTICLES:
        return "article"
    if word in _words("function_words.txt") or not any(map(str.isalpha, word)):
        return "other"
    if word.endswith(("ing", "ly")) and word not in _words("key_words.txt"):
        return "other"
    return "key"


@cache
def _words(file: str) -> frozenset[str]:
    lines = files("lincir").joinpath(file).read_text(encoding="utf-8").splitlines()
    return frozenset(" ".join(line for line in lines if not line.startswith("#")).split())


class Spacy:
    """spaCy's full pipeline, as the authors' code has it, in batches."""

    def __init__(self) -> None:
        """Raises UsageError where spaCy or its model is not installed."""
        if not _has_spacy():
            raise UsageError(
                f"--tagger spacy needs spaCy and its model: pip install spacy, then "
                f"python -m spacy download {SPACY_MODEL}; --tagger rules needs neither."
            )
        import spacy

        self._pipeline: Any = spacy.load(SPACY_MODEL)
        about = self._pipeline.meta
        self.name = f"spacy-{about['lang']}_{about['name']}-{about['version']}"

    def __call__(self, sentences: Sequence[str]) -> list[list[Word]]:
        """The words of lower-case sentences."""
        return [
            [Word(token.idx, token.idx + len(token), _part(token)) for token in sentence]
            for sentence in self._pipeline.pipe(sentences, batch_size=256)
        ]


def _part(token: Any) -> Part:
    """Universal parts of speech: the four of the authors' code are key words and articles."""
    if token.pos_ in ("NOUN", "PROPN", "ADJ"):
        return "key"
    if token.pos_ == "DET":
        return "article"
    return "hyphen" if token.text == "-" else "other"
