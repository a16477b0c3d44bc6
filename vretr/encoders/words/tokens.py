"""Sentences to token ids as open_clip's tokenizers make them, without importing open_clip."""

import html
import re
import string
import zlib
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from vretr.encoders.catalogue import open_clip_folder
from vretr.encoders.prompts import FILLER, PromptTokens
from vretr.encoders.words.arrays import Ids


class Tokenizer(Protocol):
    """Sentences -> ids [B, L], L the context, and whether the end of one was left out."""

    def __call__(self, texts: Sequence[str]) -> tuple[Ids, bool]: ...


def cleaned(text: str, how: str) -> str:
    """Mended text in one of open_clip's ways: `lower`, `whitespace` or `canonicalize`."""
    text = _mended(text)
    if how == "canonicalize":  # big_vision's: no punctuation
        text = text.replace("_", " ").translate(_NO_PUNCTUATION)
    text = " ".join(text.split())
    return text if how == "whitespace" else text.lower()


_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def _mended(text: str) -> str:
    """What ftfy and HTML's entities make of a text; importing ftfy takes longer than a query."""
    if text.isascii() and text.isprintable() and "&" not in text:
        return text  # nothing to mend
    import ftfy

    return html.unescape(html.unescape(ftfy.fix_text(text)))


START, END = 49406, 49407
_SPECIAL = {"<start_of_text>": START, "<end_of_text>": END}
_MERGES = 49152 - 256 - 2
_MERGES_BYTES = 1 << 20  # these many lines are shorter; the file holds five times as many
_WORD = r"|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
_ASCII_WORD = r"|'s|'t|'re|'ve|'m|'ll|'d|[a-z]+|[0-9]|[^\sa-z0-9]+"


class ClipTokens:
    """CLIP's byte-pair encoding of lower-case text (Sennrich et al. 2016; Radford et al. 2021)."""

    def __init__(self, length: int) -> None:
        """`length`: of the context, start and end included."""
        self._length = length

    def __call__(self, texts: Sequence[str]) -> tuple[Ids, bool]:
        """Sentences -> ids [B, L], zeros after the end, and whether the end of one was left out."""
        ids, cut = np.zeros((len(texts), self._length), np.int64), False
        for row, text in zip(ids, texts, strict=True):
            found = self.encode(text)
            cut |= len(found) > self._length - 2
            found = [START, *found[: self._length - 2], END]
            row[: len(found)] = found
        return ids, cut

    def encode(self, text: str) -> list[int]:
        """The ids of a sentence without start and end."""
        found: list[int] = []
        for word in _words(cleaned(text, "lower")):
            if word in _SPECIAL:
                found.append(_SPECIAL[word])
            else:
                found += _pairs_joined(word)
        return found


def clip_prompts(length: int) -> PromptTokens:
    """The same for sentences in pieces, which have places for pseudo words."""
    tokens = ClipTokens(length)
    return PromptTokens(
        encode=lambda pieces: [tokens.encode(piece) for piece in pieces],
        start=START,
        end=END,
        filler=FILLER,
        length=length,
    )


def _words(text: str) -> list[str]:
    special = "|".join(_SPECIAL)
    if text.isascii():
        return re.findall(special + _ASCII_WORD, text)
    import regex

    return regex.findall(special + _WORD, text, regex.IGNORECASE)


@lru_cache(1 << 16)  # the same words come again and again
def _pairs_joined(word: str) -> list[int]:
    """Joins the pair of lowest rank, everywhere in the word, until none is known.

    Ids: the bytes, the bytes at the end of a word, then what each merge makes, in their order.
    """
    characters = [_bytes()[byte] for byte in word.encode()]
    ids = [_numbers()[character] for character in characters]
    characters[-1] += "</w>"
    ids[-1] += 256
    ranks = _ranks()
    while len(ids) > 1:
        pairs = [f"{left} {right}" for left, right in pairwise(characters)]
        best = min(pairs, key=lambda pair: ranks.get(pair, _MERGES))
        if best not in ranks:
            break
        place = 0
        while place < len(ids) - 1:
            if f"{characters[place]} {characters[place + 1]}" == best:
                characters[place : place + 2] = [best.replace(" ", "")]
                ids[place : place + 2] = [512 + ranks[best]]
            place += 1
    return ids


@cache
def _bytes() -> list[str]:
    """The visible character that stands for each byte."""
    shown = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = (byte for byte in range(256) if byte not in shown)
    stand_in = {byte: chr(256 + number) for number, byte in enumerate(hidden)}
    return [stand_in.get(byte, chr(byte)) for byte in range(256)]


@cache
def _numbers() -> dict[str, int]:
    """A byte's character -> its id: first the visible ones, then the rest."""
    order = sorted(_bytes(), key=lambda character: (ord(character) >= 256, ord(character)))
    return {character: number for number, character in enumerate(order)}


@cache
def _ranks() -> dict[str, int]:
    """The pairs that are joined, `left right`, and their ranks. Read when first needed."""
    packed = (open_clip_folder() / "bpe_simple_vocab_16e6.txt.gz").read_bytes()
    text = zlib.decompressobj(wbits=31).decompress(packed, _MERGES_BYTES).decode("utf-8", "ignore")
    lines = text.split("\n", _MERGES + 1)[1:-1]  # the first one is a version
    return dict(zip(lines, range(_MERGES), strict=True))


class FileTokens:
    """A `tokenizer.json` of the library tokenizers, which holds padding and length as well."""

    def __init__(self, path: Path, *, clean: str, without: int | None = None) -> None:
        """
        Args:
            clean: how text is mended first, see `cleaned`.
            without: an id that becomes 0, CLIPA's separator.
        """
        from tokenizers import Tokenizer

        self._tokenizer: Any = Tokenizer.from_file(str(path))
        self._clean, self._without = clean, without

    def __call__(self, texts: Sequence[str]) -> tuple[Ids, bool]:
        """Sentences -> ids [B, L]; that a long one is cut is not told, as in open_clip."""
        found = self._tokenizer.encode_batch([cleaned(text, self._clean) for text in texts])
        ids = np.array([one.ids for one in found], np.int64)
        if self._without is not None:
            ids[ids == self._without] = 0
        return ids, False
