"""Attention pooling: a learned query looks at the patches."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pooling.base import Pool
from vretr.errors import UsageError


class Attention(Pool):
    """softmax(q K / sqrt(d)) V by heads, then a linear layer, with one learned query q.

    As the MAP head of vision transformers (Zhai et al. 2022, arXiv:2106.04560), without its MLP.
    """

    needs_training = True

    def __init__(
        self, width: int, *, heads: int | None = None, own_heads: int | None = None
    ) -> None:
        """Makes it at random.

        Args:
            width: channels.
            heads: of the attention before it; where there is none, heads of 64 channels, or one.
            own_heads: so many, instead.

        Raises:
            UsageError: heads that do not divide the width.
        """
        super().__init__(width)
        self.heads = own_heads or heads or (width // 64 if width % 64 == 0 else 1)
        if self.heads < 1 or width % self.heads:
            raise UsageError(f"own_heads is {self.heads}, but must divide the {width} channels.")
        self.query = nn.Parameter(torch.randn(self.heads, width // self.heads) * 0.02)
        self.norm = nn.LayerNorm(width)
        self.keys_values = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def pool(self, patches: Tensor, prefix: Tensor | None, mask: Tensor | None) -> Tensor:
        """float32 [B, N, D] -> [B, D]."""
        batch, number, _ = patches.shape
        weights = self.keys_values.weight.dtype
        both = self.keys_values(self.norm(patches.to(self.norm.weight.dtype)).to(weights))
        keys, values = both.view(batch, number, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        query = self.query.to(weights).expand(batch, -1, -1)[:, :, None]  # [B, heads, 1, d]
        allowed = None if mask is None else mask[:, None, None]
        found = functional.scaled_dot_product_attention(query, keys, values, attn_mask=allowed)
        return self.out(found.reshape(batch, self.width))

    def extra_repr(self) -> str:
        return f"width={self.width}, heads={self.heads}"
