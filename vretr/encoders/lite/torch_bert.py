"""MiniLM in torch, for gradients that pass through it: the formulas of `words.foreign.Bert`.

Only attention sees padding; everything else is done for the tokens alone, one after another.
"""

from collections.abc import Mapping
from itertools import count

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vretr.encoders.lite.text_tower import HEADS, LAYER_NORM_EPS, WIDTH
from vretr.encoders.prompts import PADDING, Prompts

PARTS = ("query", "key", "value")


class Layout:
    """Where the T tokens of B sentences stand in a padded batch [B, L]."""

    def __init__(self, prompts: Prompts, device: torch.device) -> None:
        seen = prompts.ids != PADDING
        self.batch, self.length = seen.shape
        self.tokens = torch.from_numpy(np.flatnonzero(seen)).to(device)  # [T], of B * L
        self.columns = torch.from_numpy(seen.nonzero()[1]).to(device)  # [T]
        self.lengths = torch.from_numpy(seen.sum(1, keepdims=True)).to(device)  # [B, 1]
        self.mask = None if seen.all() else torch.from_numpy(seen).to(device)[:, None, None, :]

    def spread(self, x: Tensor) -> Tensor:
        """[T, D] -> [B, L, D], zeros where there is padding."""
        if self.mask is not None:
            x = x.new_zeros(self.batch * self.length, x.shape[1]).index_copy(0, self.tokens, x)
        return x.view(self.batch, self.length, x.shape[1])

    def packed(self, x: Tensor) -> Tensor:
        """[B, L, D] -> [T, D]"""
        x = x.flatten(0, 1)
        return x if self.mask is None else x[self.tokens]


class TorchBert:
    """Sentences with pseudo words -> the mean of their tokens [B, 384]."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        """`weights`: of all-MiniLM-L6-v2, by their names in its file; they stay as they are."""
        self.weights = dict(weights)
        for layer in count():
            name = f"encoder.layer.{layer}.attention.self"
            if f"{name}.query.weight" not in weights:
                break
            for kind in ("weight", "bias"):
                parts = [self.weights.pop(f"{name}.{part}.{kind}") for part in PARTS]
                self.weights[f"{name}.{kind}"] = torch.cat(parts)  # one product for all three
        self._layers = layer

    def __call__(self, prompts: Prompts, words: Tensor | None) -> Tensor:
        """Sentences with P places, and [P, 384] to stand there, on the weights' device."""
        w, prompts = self.weights, prompts.trimmed()
        table = w["embeddings.word_embeddings.weight"]
        layout = Layout(prompts, table.device)
        x = F.embedding(torch.from_numpy(prompts.ids).to(table.device), table)
        if words is not None:
            places = (torch.from_numpy(prompts.rows), torch.from_numpy(prompts.columns))
            x = x.index_put(tuple(part.to(table.device) for part in places), words.to(x))
        x = layout.packed(x)
        x = x + w["embeddings.position_embeddings.weight"][layout.columns]
        x = x + w["embeddings.token_type_embeddings.weight"][0]
        x = self._norm(x, "embeddings.LayerNorm")
        for layer in range(self._layers):
            x = self._block(x, layout, f"encoder.layer.{layer}")
        return layout.spread(x).sum(1) / layout.lengths

    def _block(self, x: Tensor, layout: Layout, name: str) -> Tensor:
        y = layout.spread(self._linear(x, f"{name}.attention.self"))
        q, k, v = y.view(*y.shape[:2], 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=layout.mask)
        y = layout.packed(y.transpose(1, 2).flatten(2))
        x = self._norm(
            x + self._linear(y, f"{name}.attention.output.dense"),
            f"{name}.attention.output.LayerNorm",
        )
        y = F.gelu(self._linear(x, f"{name}.intermediate.dense"))
        y = self._linear(y, f"{name}.output.dense")
        return self._norm(x + y, f"{name}.output.LayerNorm")

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def _norm(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return F.layer_norm(x, (WIDTH,), weight, bias, LAYER_NORM_EPS)
