"""Sentences become what the training reads: their tokens, as they are and masked.

Runs in worker processes that import no torch.
"""

import logging
import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lincir import masks
from lincir.backbone import load_backbone
from lincir.corpus import cleaned
from lincir.tagger import Tagger, load_tagger
from vretr.encoders import PseudoTextEncoder
from vretr.encoders.prompts import Prompts

Ids = NDArray[np.int32]

_WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class Ragged:
    """Rows of different lengths: row i is values[ends[i - 1] : ends[i]]."""

    values: Ids
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ends)

    def lengths(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Of these rows."""
        return self.ends[rows] - np.where(rows > 0, self.ends[rows - 1], 0)

    def flat(self, rows: NDArray[np.int64]) -> Ids:
        """The values of these rows, one after another."""
        lengths = self.lengths(rows)
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return self.values[np.repeat(self.ends[rows] - lengths, lengths) + within]


@dataclass(frozen=True)
class Counts:
    """What became of the sentences."""

    sentences: int = 0
    empty: int = 0  # without a letter or digit: left out
    cut: int = 0  # too long: their last words are left out
    foreign: int = 0  # mostly in other letters than Latin ones

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.sentences + other.sentences,
            self.empty + other.empty,
            self.cut + other.cut,
            self.foreign + other.foreign,
        )


@dataclass(frozen=True)
class Tokens:
    """N sentences as tokens."""

    sentences: Ragged  # ids, start and end included
    masked: Ragged  # the same with places for pseudo words
    places: Ragged  # where in the masked sentence those are


@dataclass(frozen=True)
class Recipe:
    """How sentences are prepared; small, for it is sent to the workers."""

    encoder: str
    tagger: Literal["auto", "spacy", "rules"]
    masking: Literal["span", "original"]
    tokens: int  # pseudo words in each place


class Preparer:
    """Cleans, tags, masks and tokenises."""

    def __init__(self, encoder: PseudoTextEncoder, tagger: Tagger, recipe: Recipe) -> None:
        self.encoder, self.tagger, self.recipe = encoder, tagger, recipe
        self._mask = {"span": masks.by_span, "original": masks.original}[recipe.masking]
        self._room = encoder.context - 2  # besides start and end
        self._lengths: dict[str, int] = {}  # of words, in tokens

    def __call__(self, block: Sequence[str]) -> tuple[Tokens, Counts]:
        """The tokens of all that is no empty sentence."""
        texts = [text for line in block if _says_something(text := cleaned(line))]
        fitting = self._fitting(texts)
        words = self.tagger(fitting)
        pieces = [self._placed(text, found) for text, found in zip(fitting, words, strict=True)]
        plain = self.encoder.prompts([(text,) for text in fitting])
        masked = self.encoder.prompts(pieces)
        places = np.bincount(masked.rows, minlength=len(masked))
        tokens = Tokens(
            _ragged(plain),
            _ragged(masked),
            Ragged(masked.columns.astype(np.int32), np.cumsum(places)),
        )
        return tokens, Counts(
            len(texts),
            empty=len(block) - len(texts),
            cut=sum(text is not whole for text, whole in zip(fitting, texts, strict=True)),
            foreign=sum(map(_is_foreign, texts)),
        )

    def _placed(self, text: str, words: Sequence[masks.Word]) -> masks.Pieces:
        """Masked, with as many places in a row as there are pseudo words.

        No more places than leave half of the tokens for words: the original rule can make more.
        """
        most = max(1, self._room // (2 * self.recipe.tokens))
        pieces = self._mask(text, words)[: most + 1]
        more = ("",) * (self.recipe.tokens - 1)
        return (pieces[0], *chain.from_iterable((*more, piece) for piece in pieces[1:]))

    def _fitting(self, texts: Sequence[str]) -> list[str]:
        """The texts, those that are too long cut behind the last word that the model reads."""
        long = {text: [*_WORD.finditer(text)] for text in texts if len(text) > self._room}
        new = {word.group() for words in long.values() for word in words} - set(self._lengths)
        counted = self.encoder.prompts([(word,) for word in sorted(new)]).lengths - 2
        self._lengths |= zip(sorted(new), map(int, counted), strict=True)
        return [self._cut(text, long[text]) if text in long else text for text in texts]

    def _cut(self, text: str, words: Sequence[re.Match[str]]) -> str:
        taken = np.cumsum([self._lengths[word.group()] for word in words])
        fitting = max(1, int(np.searchsorted(taken, self._room, side="right")))
        return text if fitting == len(words) else text[: words[fitting - 1].end()]


def _says_something(text: str) -> bool:
    return any(map(str.isalnum, text))


def _is_foreign(text: str) -> bool:
    if text.isascii():
        return False
    letters = [letter for letter in text if letter.isalpha()]
    return 2 * sum(letter > "\u024f" for letter in letters) > len(letters)


def _ragged(prompts: Prompts) -> Ragged:
    lengths = prompts.lengths
    inside = np.arange(prompts.ids.shape[1]) < lengths[:, None]
    return Ragged(prompts.ids[inside].astype(np.int32), np.cumsum(lengths))


def start_worker(recipe: Recipe) -> None:
    """What a worker process does first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # only the parent decides when to stop
    logging.getLogger("vretr").setLevel(logging.ERROR)  # the parent has said it, or counts it
    preparer(recipe)


def prepare(recipe: Recipe, block: Sequence[str]) -> tuple[Tokens, Counts]:
    """What a worker process does with each block of sentences."""
    return preparer(recipe)(block)


@cache
def preparer(recipe: Recipe) -> Preparer:
    """The encoder and tagger of a recipe, loaded once in each process."""
    return Preparer(load_backbone(recipe.encoder), load_tagger(recipe.tagger), recipe)
