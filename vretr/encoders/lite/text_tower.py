"""MiniLM-L6 in NumPy over mapped weights: a sentence becomes a vector without importing torch.

The network is BERT with 6 layers of width 384 (Wang et al. 2020, MiniLM; sentence-transformers'
all-MiniLM-L6-v2): post-norm blocks, exact GELU, mean over the tokens, unit length.
"""

import logging
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vretr.blas import blas_threads_for
from vretr.encoders.base import unit
from vretr.encoders.lite.files import TEXT_WEIGHTS, TOKENIZER, pinned
from vretr.encoders.prompts import PADDING, Prompts, PromptTokens, padded_ids
from vretr.encoders.words.arrays import Array, Tensors, map_safetensors
from vretr.encoders.words.foreign import Bert
from vretr.encoders.words.sentences import TOKENS_AT_ONCE, read

if TYPE_CHECKING:
    from tokenizers import Encoding

log = logging.getLogger(__name__)

WIDTH, HEADS = 384, 12
START, END, FILLER = 101, 102, 103  # [CLS], [SEP], [MASK]
MAX_TOKENS = 256  # what all-MiniLM-L6-v2 was tuned with
STATES = 16  # told of each sentence: a caption has 12 words, an instruction 5
LAYER_NORM_EPS = 1e-12
UNKNOWN = "[UNK]"
NO_WORDS: Array = np.zeros((0, WIDTH), np.float32)


class TextTower:
    """Sentences -> MiniLM sentence vectors."""

    def __init__(self, folder: Path | None = None) -> None:
        """Maps the weights; nothing is read until a sentence needs it.

        Args:
            folder: where the two files lie, instead of in the package that carries them.
        """
        from tokenizers import Tokenizer

        self.tokenizer = Tokenizer.from_file(str(pinned(TOKENIZER, folder)))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(MAX_TOKENS)
        self.weights = map_safetensors(pinned(TEXT_WEIGHTS, folder))
        self._bert = Bert(
            tensors=Tensors({f"transformer.{name}": x for name, x in self.weights.items()}),
            heads=HEADS,
            activation="gelu",
            eps=LAYER_NORM_EPS,
            pad=PADDING,
            pool="mean",
        )
        self.prompts = PromptTokens(
            encode=self._pieces, start=START, end=END, filler=FILLER, length=MAX_TOKENS
        )
        self._told: set[str] = set()

    def __call__(self, texts: Sequence[str]) -> Array:
        """Sentences -> float32 [B, 384] of unit length.

        What exceeds 256 tokens is left out; of signs and alphabets that the vocabulary lacks little
        or nothing is read, so that such texts lie close together. Either is logged as a warning,
        once. An empty text has a vector, too.
        """
        return self.read(self._tokens(texts), NO_WORDS)

    def states(self, texts: Sequence[str]) -> Array:
        """Sentences -> float32 [B, 16, 384], the last layer's states, not scaled.

        Of a longer sentence the first 16, which have seen the rest of it; zeros behind a shorter.
        """
        prompts = self._tokens(texts)
        found = np.zeros((len(prompts), STATES, WIDTH), np.float32)
        with blas_threads_for(len(prompts)):
            for rows, _, part in prompts.batches(TOKENS_AT_ONCE):
                states, seen = self._bert.states(part.ids)
                states = (states * seen[..., None])[:, :STATES]
                found[rows, : states.shape[1]] = states
        return found

    def _tokens(self, texts: Sequence[str]) -> Prompts:
        encodings = self.tokenizer.encode_batch(list(texts))
        for text, encoding in zip(texts, encodings, strict=True):
            self._warn_of_length(text, encoding)
            self._warn_of_letters(text, encoding)
        return Prompts(padded_ids([encoding.ids for encoding in encodings]))

    def read(self, prompts: Prompts, words: Array) -> Array:
        """Sentences with P places, and [P, 384] to stand there -> float32 [B, 384], unit length."""
        return unit(read(self._bert, prompts, words))

    def _pieces(self, pieces: list[str]) -> list[list[int]]:
        encodings = self.tokenizer.encode_batch(pieces, add_special_tokens=False)
        for piece, encoding in zip(pieces, encodings, strict=True):
            self._warn_of_letters(piece, encoding)
        return [encoding.ids for encoding in encodings]

    def _warn_of_length(self, text: str, encoding: "Encoding") -> None:
        """Says how much of a text is not read."""
        if encoding.overflowing:
            *_, (_, end), _ = encoding.offsets  # the last one is the end token's
            self._tell(
                "long",
                f"Only the first {len(text[:end].split()):,} of {len(text.split()):,} words of "
                f"{_short(text)} are read.",
            )

    def _warn_of_letters(self, text: str, encoding: "Encoding") -> None:
        """Says that the vocabulary lacks what a text is written in."""
        if UNKNOWN in encoding.tokens or not all(map(_latin, text)):
            self._tell(
                "unknown",
                f"lite reads English; it knows little of the letters or signs in {_short(text)}.",
            )

    def _tell(self, kind: str, sentence: str) -> None:
        if kind not in self._told:
            self._told.add(kind)
            log.warning("%s Further texts like it are not named.", sentence)


def _latin(character: str) -> bool:
    """Whether it is no letter, or one of the Latin alphabet."""
    if character < "\u0250" or not character.isalpha():
        return True
    return unicodedata.name(character, "").startswith(("LATIN", "FULLWIDTH LATIN"))


def _short(text: str) -> str:
    text = " ".join(text.split())
    return f"'{text}'" if len(text) <= 40 else f"'{text[:40]}…'"
