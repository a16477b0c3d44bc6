"""open_clip's own text tower in NumPy: CLIP, SigLIP, CoCa, MobileCLIP, EVA, ViTamin, PE-Core.

They differ in the mask, in the place whose vector is taken, in the activation and in the length;
all of that is read from the model. (A pre-norm transformer: Radford et al. 2019.)
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from vretr.encoders.words.arrays import (
    ACTIVATIONS,
    Array,
    Ids,
    Tensors,
    attention,
    masked,
    split,
)

Pool = Literal["argmax", "eos", "first", "last"]


@dataclass(frozen=True)
class ClipTower:
    """Token ids [B, L] -> [B, dim].

    Args:
        pool: which place is taken: the largest id, the first `eos`, the first or the last.
        causal: whether a place sees only what stands before it.
        cls: whether a class token stands at the end, and is taken (CoCa).
        pad: the id that CoCa's class token does not see.
    """

    tensors: Tensors
    heads: int
    activation: str
    eps: float
    pool: Pool
    eos: int
    causal: bool
    cls: bool
    pad: int

    def __call__(self, ids: Ids, words: Array | None = None) -> Array:
        """Token ids, as long as the context, to vectors of any length.

        Args:
            ids: [B, L].
            words: [B, L, width], token embeddings other than those of the ids.
        """
        rows = np.arange(len(ids))
        places = self._places(ids)
        if self.causal and not self.cls:
            ids = ids[:, : places.max() + 1]  # what follows cannot matter
        x = self.embeddings(ids) if words is None else words[:, : ids.shape[1]]
        if self.cls:
            own = np.broadcast_to(self.tensors["cls_emb"], (len(ids), 1, x.shape[2]))
            x = np.concatenate([x, own], axis=1)
        x = x + self.tensors["positional_embedding"][: x.shape[1]]
        bias = self._bias(ids, x.shape[1])
        for layer in range(self.tensors.count("transformer.resblocks.{}.ln_1.weight")):
            x = self._block(x, bias, f"transformer.resblocks.{layer}")
        return self._projected(self.tensors.norm(x[rows, places], "ln_final", eps=self.eps))

    def embeddings(self, ids: Ids) -> Array:
        """The raw token embeddings [B, L, width] of token ids, free to be written to."""
        return self.tensors["token_embedding.weight"][ids]

    def _places(self, ids: Ids) -> Ids:
        """Whose vector is taken, a row; the class token stands one behind the last."""
        last = ids.shape[1] - 1
        if self.cls:
            return np.full(len(ids), last + 1)
        if self.pool == "argmax":
            return ids.argmax(1)
        if self.pool == "eos":
            return (ids == self.eos).argmax(1)
        return np.full(len(ids), 0 if self.pool == "first" else last)

    def _bias(self, ids: Ids, length: int) -> Array | None:
        """What each place may see, as a term of the scores."""
        bias = masked(np.tri(length, dtype=bool)) if self.causal else None
        if not self.cls:
            return bias
        # The weights were trained with this mask, which stands one place too far to the right.
        seen = np.concatenate([np.ones((len(ids), 1), bool), ids != self.pad], axis=1)
        hidden = masked(seen)[:, None, None, :]
        return hidden if bias is None else hidden + bias

    def _block(self, x: Array, bias: Array | None, name: str) -> Array:
        t = self.tensors
        y = t.norm(x, f"{name}.ln_1", eps=self.eps)
        qkv = t.linear(y, f"{name}.attn.in_proj_weight", f"{name}.attn.in_proj_bias")
        q, k, v = (split(part, self.heads) for part in np.split(qkv, 3, axis=-1))
        y = t.affine(attention(q, k, v, bias=bias), f"{name}.attn.out_proj")
        x = x + self._scaled(y, f"{name}.ls_1.gamma")
        y = t.affine(t.norm(x, f"{name}.ln_2", eps=self.eps), f"{name}.mlp.c_fc")
        y = t.affine(ACTIVATIONS[self.activation](y), f"{name}.mlp.c_proj")
        return x + self._scaled(y, f"{name}.ls_2.gamma")

    def _scaled(self, x: Array, gamma: str) -> Array:
        return x * self.tensors[gamma] if gamma in self.tensors else x

    def _projected(self, x: Array) -> Array:
        if "text_projection" in self.tensors:
            return x @ self.tensors["text_projection"]
        if "text_projection.weight" in self.tensors:
            return self.tensors.affine(x, "text_projection")
        return x
