"""Several poolings of the same tokens, one behind the other."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional


class Concatenation(nn.Module):
    """Vectors of several poolings, each scaled to unit length: none outweighs another."""

    def __init__(self, poolings: Iterable[nn.Module]) -> None:
        super().__init__()
        self.poolings = nn.ModuleList(poolings)

    @property
    def out_dim(self) -> int:
        """Sum of theirs."""
        return sum(pooling.out_dim for pooling in self.poolings)  # type: ignore[misc]

    @property
    def reads_prefix(self) -> bool:
        """Whether one of them reads the class token."""
        return any(getattr(pooling, "reads_prefix", False) for pooling in self.poolings)

    @property
    def needs_training(self) -> bool:
        """Whether one of them starts with random weights."""
        return any(getattr(pooling, "needs_training", False) for pooling in self.poolings)

    def forward(
        self, patches: Tensor, prefix: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """As every pooling: [B, out_dim]."""
        vectors = (pooling(patches, prefix, mask) for pooling in self.poolings)
        return torch.cat([functional.normalize(vector, dim=-1) for vector in vectors], dim=-1)
