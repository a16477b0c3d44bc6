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
from numpy.typing import NDArray

from vretr.encoders.base import unit
from vretr.encoders.lite.files import TEXT_WEIGHTS, TOKENIZER, pinned

if TYPE_CHECKING:
    from tokenizers import Encoding

log = logging.getLogger(__name__)

Array = NDArray[np.float32]

WIDTH, HEADS, LAYERS = 384, 12, 6
MAX_TOKENS = 256  # what all-MiniLM-L6-v2 was tuned with
LAYER_NORM_EPS = np.float32(1e-12)
BATCH = 64
UNKNOWN = "[UNK]"


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
        self._told: set[str] = set()

    def __call__(self, texts: Sequence[str]) -> Array:
        """Sentences -> float32 [B, 384] of unit length.

        What exceeds 256 tokens is left out; of signs and alphabets that the vocabulary lacks little
        or nothing is read, so that such texts lie close together. Either is logged as a warning,
        once. An empty text has a vector, too.
        """
        encodings = self.tokenizer.encode_batch(list(texts))
        for text, encoding in zip(texts, encodings, strict=True):
            self._warn(text, encoding)
        tokens = [encoding.ids for encoding in encodings]
        vectors = np.empty((len(tokens), WIDTH), np.float32)
        by_length = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))  # little padding
        for start in range(0, len(tokens), BATCH):
            rows = by_length[start : start + BATCH]
            vectors[rows] = self._forward([tokens[i] for i in rows])
        return vectors

    def _warn(self, text: str, encoding: "Encoding") -> None:
        """Says what of a text is not read."""
        if encoding.overflowing:
            *_, (_, end), _ = encoding.offsets  # the last one is the end token's
            self._tell(
                "long",
                f"Only the first {len(text[:end].split()):,} of {len(text.split()):,} words of "
                f"{_short(text)} are read.",
            )
        if UNKNOWN in encoding.tokens or not all(map(_latin, text)):
            self._tell(
                "unknown",
                f"lite reads English; it knows little of the letters or signs in {_short(text)}.",
            )

    def _tell(self, kind: str, sentence: str) -> None:
        if kind not in self._told:
            self._told.add(kind)
            log.warning("%s Further texts like it are not named.", sentence)

    def _forward(self, tokens: list[list[int]]) -> Array:
        length = max(map(len, tokens))
        ids = np.array([row + [0] * (length - len(row)) for row in tokens])
        mask = np.array(
            [[1.0] * len(row) + [0.0] * (length - len(row)) for row in tokens], np.float32
        )
        w = self.weights
        x = w["embeddings.word_embeddings.weight"][ids]
        x = x + w["embeddings.position_embeddings.weight"][:length]
        x = x + w["embeddings.token_type_embeddings.weight"][0]
        x = self._norm(x, "embeddings.LayerNorm")
        for layer in range(LAYERS):
            x = self._block(x, mask, f"encoder.layer.{layer}")
        return unit((x * mask[..., None]).sum(1) / mask.sum(1, keepdims=True))

    def _block(self, x: Array, mask: Array, name: str) -> Array:
        attended = self._attention(x, mask, f"{name}.attention.self")
        x = self._norm(
            x + self._linear(attended, f"{name}.attention.output.dense"),
            f"{name}.attention.output.LayerNorm",
        )
        hidden = gelu(self._linear(x, f"{name}.intermediate.dense"))
        return self._norm(
            x + self._linear(hidden, f"{name}.output.dense"), f"{name}.output.LayerNorm"
        )

    def _attention(self, x: Array, mask: Array, name: str) -> Array:
        batch, length, _ = x.shape

        def heads(part: str) -> Array:
            y = self._linear(x, f"{name}.{part}")
            return y.reshape(batch, length, HEADS, WIDTH // HEADS).transpose(0, 2, 1, 3)

        scores = (
            heads("query") @ heads("key").transpose(0, 1, 3, 2) / np.float32((WIDTH / HEADS) ** 0.5)
        )
        scores = np.where(mask[:, None, None, :] > 0, scores, np.float32(-1e9))
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ heads("value")
        return mixed.transpose(0, 2, 1, 3).reshape(batch, length, WIDTH)

    def _linear(self, x: Array, name: str) -> Array:
        weight = self.weights[f"{name}.weight"]
        # One flat product: NumPy takes [B, L, D] times a matrix apart, which is 20 times slower.
        y = x.reshape(-1, x.shape[-1]) @ weight.T
        y += self.weights[f"{name}.bias"]
        return y.reshape(*x.shape[:-1], len(weight))

    def _norm(self, x: Array, name: str) -> Array:
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x * x).mean(-1, keepdims=True) + LAYER_NORM_EPS)
        return x * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]


def _latin(character: str) -> bool:
    """Whether it is no letter, or one of the Latin alphabet."""
    if character < "\u0250" or not character.isalpha():
        return True
    return unicodedata.name(character, "").startswith(("LATIN", "FULLWIDTH LATIN"))


def _short(text: str) -> str:
    text = " ".join(text.split())
    return f"'{text}'" if len(text) <= 40 else f"'{text[:40]}…'"


def gelu(x: Array) -> Array:
    """x · Φ(x), with the error function by Abramowitz & Stegun 7.1.26 (absolute error < 1.5e-7)."""
    z = np.abs(x)
    z *= np.float32(0.5**0.5)
    t = 1 / (1 + np.float32(0.3275911) * z)
    series = np.full_like(t, 1.061405429)
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series *= t
        series += np.float32(coefficient)
    series *= t
    z *= z
    np.negative(z, out=z)
    series *= np.exp(z, out=z)
    erf = np.copysign(np.subtract(1, series, out=series), x, out=series)
    erf += 1
    erf *= x
    erf *= np.float32(0.5)
    return erf


def map_safetensors(path: Path) -> dict[str, Array]:
    """The float32 tensors of a safetensors file as read-only views of the mapped file."""
    import json

    data = np.memmap(path, np.uint8, mode="r")
    header = int(data[:8].view("<u8")[0])
    tensors = {}
    for name, facts in json.loads(bytes(data[8 : 8 + header])).items():
        if facts.get("dtype") == "F32":
            start, end = facts["data_offsets"]
            flat = data[8 + header + start : 8 + header + end].view("<f4")
            tensors[name] = np.asarray(flat).reshape(facts["shape"])
    return tensors
