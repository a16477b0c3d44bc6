"""Text towers that open_clip borrows from transformers: RoBERTa, mT5's and NLLB's encoders.

And BERT, which is `lite`'s. All look in both directions and not at padding, which is therefore cut
away as far as it goes.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from vretr.encoders.words.arrays import (
    ACTIVATIONS,
    Array,
    Ids,
    Tensors,
    attention,
    gelu,
    masked,
    split,
)


@dataclass(frozen=True)
class ForeignTower:
    """Token ids [B, L] -> [B, dim]; a family says what its transformer is."""

    table: ClassVar[str] = "transformer.embed_tokens.weight"

    tensors: Tensors
    heads: int
    activation: str
    eps: float
    pad: int
    pool: Literal["mean", "first"]

    def __call__(self, ids: Ids, words: Array | None = None) -> Array:
        """Token ids, padded at the end, to vectors of any length.

        Args:
            ids: [B, L].
            words: [B, L, width], word embeddings other than those of the ids.
        """
        x, seen = self.states(ids, words)
        if self.pool == "first":
            return self._projected(x[:, 0])
        weight = seen[..., None].astype(np.float32)
        return self._projected((x * weight).sum(1) / weight.sum(1))

    def states(self, ids: Ids, words: Array | None = None) -> tuple[Array, NDArray[np.bool_]]:
        """The same, before pooling: [B, L', width], as long as the longest sentence, and which of
        these places hold a token."""
        seen = ids != self.pad
        length = max(1, int(seen.any(0).nonzero()[0].max(initial=0)) + 1)
        ids, seen = ids[:, :length], seen[:, :length]
        x = self.embeddings(ids) if words is None else words[:, :length]
        return self._transformed(x, seen, masked(seen)[:, None, None, :]), seen

    def embeddings(self, ids: Ids) -> Array:
        """The raw word embeddings [B, L, width] of token ids, free to be written to."""
        return self.tensors[self.table][ids]

    def _transformed(self, x: Array, seen: NDArray[np.bool_], bias: Array) -> Array:
        raise NotImplementedError

    def _positions(self, seen: NDArray[np.bool_]) -> Ids:
        """fairseq's numbering: the first word is one behind the padding's number."""
        return np.cumsum(seen, axis=1) * seen + self.pad

    def _projected(self, x: Array) -> Array:
        if "proj.weight" in self.tensors:
            return self.tensors.linear(x, "proj.weight")
        if "proj.0.weight" in self.tensors:
            hidden = gelu(self.tensors.linear(x, "proj.0.weight"))
            return self.tensors.linear(hidden, "proj.2.weight")
        return x


class Roberta(ForeignTower):
    """RoBERTa and XLM-RoBERTa: post-norm blocks (Liu et al. 2019, Conneau et al. 2020)."""

    table = "transformer.embeddings.word_embeddings.weight"

    def _transformed(self, x: Array, seen: NDArray[np.bool_], bias: Array) -> Array:
        t, root = self.tensors, "transformer.embeddings"
        x = x + t[f"{root}.token_type_embeddings.weight"][0]
        x = x + t[f"{root}.position_embeddings.weight"][self._positions(seen)]
        x = t.norm(x, f"{root}.LayerNorm", eps=self.eps)
        for layer in range(t.count("transformer.encoder.layer.{}.output.dense.weight")):
            x = self._block(x, bias, f"transformer.encoder.layer.{layer}")
        return x

    def _block(self, x: Array, bias: Array, name: str) -> Array:
        t = self.tensors
        q, k, v = (
            split(t.affine(x, f"{name}.attention.self.{part}"), self.heads)
            for part in ("query", "key", "value")
        )
        y = t.affine(attention(q, k, v, bias=bias), f"{name}.attention.output.dense")
        x = t.norm(x + y, f"{name}.attention.output.LayerNorm", eps=self.eps)
        y = ACTIVATIONS[self.activation](t.affine(x, f"{name}.intermediate.dense"))
        y = t.affine(y, f"{name}.output.dense")
        return t.norm(x + y, f"{name}.output.LayerNorm", eps=self.eps)


class Bert(Roberta):
    """The same but for the positions, which count from 0 (Devlin et al. 2019)."""

    def _positions(self, seen: NDArray[np.bool_]) -> Ids:
        return np.arange(seen.shape[1])


@dataclass(frozen=True)
class NllbEncoder(ForeignTower):
    """The encoder of M2M-100 and NLLB: pre-norm, sinusoidal positions (Fan et al. 2020)."""

    scale: float  # of the word embeddings

    def _transformed(self, x: Array, seen: NDArray[np.bool_], bias: Array) -> Array:
        t = self.tensors
        x = x * np.float32(self.scale)
        x = x + self._sinusoids(self._positions(seen), x.shape[2])
        for layer in range(t.count("transformer.layers.{}.fc1.weight")):
            x = self._block(x, bias, f"transformer.layers.{layer}")
        return t.norm(x, "transformer.layer_norm", eps=self.eps)

    def _sinusoids(self, positions: Ids, width: int) -> Array:
        rates = np.exp(np.arange(width // 2) * (-np.log(10000) / (width // 2 - 1)))
        angles = positions[..., None] * rates
        found = np.concatenate([np.sin(angles), np.cos(angles)], axis=-1).astype(np.float32)
        return np.where(positions[..., None] == self.pad, np.float32(0), found)

    def _block(self, x: Array, bias: Array, name: str) -> Array:
        t = self.tensors
        y = t.norm(x, f"{name}.self_attn_layer_norm", eps=self.eps)
        q, k, v = (
            split(t.affine(y, f"{name}.self_attn.{part}_proj"), self.heads) for part in "qkv"
        )
        x = x + t.affine(attention(q, k, v, bias=bias), f"{name}.self_attn.out_proj")
        y = t.affine(t.norm(x, f"{name}.final_layer_norm", eps=self.eps), f"{name}.fc1")
        return x + t.affine(ACTIVATIONS[self.activation](y), f"{name}.fc2")


@dataclass(frozen=True)
class T5Encoder(ForeignTower):
    """The encoder of mT5: relative positions, no biases, gated units (Xue et al. 2021)."""

    buckets: int
    farthest: int  # distances from here on share a bucket

    def _transformed(self, x: Array, seen: NDArray[np.bool_], bias: Array) -> Array:
        t = self.tensors
        bias = bias + self._by_distance(x.shape[1])
        for layer in range(t.count("transformer.block.{}.layer.0.layer_norm.weight")):
            x = self._block(x, bias, f"transformer.block.{layer}.layer")
        return self._rms(x, "transformer.final_layer_norm")

    def _by_distance(self, length: int) -> Array:
        """The bias [H, L, L] of each pair of places: half the buckets for either direction, half
        of these for exact distances, the rest on a logarithmic scale."""
        distance = np.arange(length)[None] - np.arange(length)[:, None]
        half = self.buckets // 2
        exact = half // 2
        far = np.log(np.maximum(np.abs(distance), 1) / exact) / np.log(self.farthest / exact)
        wide = np.minimum(exact + (far * (half - exact)).astype(int), half - 1)
        bucket = np.where(np.abs(distance) < exact, np.abs(distance), wide) + half * (distance > 0)
        name = "transformer.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        return self.tensors[name][bucket].transpose(2, 0, 1)

    def _block(self, x: Array, bias: Array, name: str) -> Array:
        t = self.tensors
        y = self._rms(x, f"{name}.0.layer_norm")
        q, k, v = (
            split(t.linear(y, f"{name}.0.SelfAttention.{part}.weight"), self.heads)
            for part in "qkv"
        )
        y = attention(q, k, v, scale=1, bias=bias)
        x = x + t.linear(y, f"{name}.0.SelfAttention.o.weight")
        y = self._rms(x, f"{name}.1.layer_norm")
        dense = f"{name}.1.DenseReluDense"
        gate = ACTIVATIONS[self.activation](t.linear(y, f"{dense}.wi_0.weight"))
        return x + t.linear(gate * t.linear(y, f"{dense}.wi_1.weight"), f"{dense}.wo.weight")

    def _rms(self, x: Array, name: str) -> Array:
        root = np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(self.eps))
        return x / root * self.tensors[f"{name}.weight"]
