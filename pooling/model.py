"""The poolings. All map patch tokens [B, N, D] or feature maps [B, D, H, W] to [B, out_dim]."""

import math

from torch import Tensor

from pooling.attention import Attention
from pooling.base import Pool, counted, without
from pooling.gem import GeM, GGeM
from vretr.concatenation import Concatenation
from vretr.errors import UsageError

__all__ = ["Attention", "Average", "ClassToken", "Concatenation", "GGeM", "GeM", "Maximum", "Pool"]


class Average(Pool):
    """f = mean of the patches."""

    def __init__(self, width: int, *, heads: int | None = None) -> None:
        """`heads` does not matter."""
        super().__init__(width)

    def pool(self, patches: Tensor, prefix: Tensor | None, mask: Tensor | None) -> Tensor:
        """float32 [B, N, D] -> [B, D]."""
        return without(patches, mask, 0.0).sum(1) / counted(patches, mask)


class Maximum(Pool):
    """f_c = largest x_c of the patches (MAC)."""

    def __init__(self, width: int, *, heads: int | None = None) -> None:
        """`heads` does not matter."""
        super().__init__(width)

    def pool(self, patches: Tensor, prefix: Tensor | None, mask: Tensor | None) -> Tensor:
        """float32 [B, N, D] -> [B, D]."""
        return without(patches, mask, -math.inf).amax(1)


class ClassToken(Pool):
    """f = the class token."""

    reads_prefix = True

    def __init__(self, width: int, *, heads: int | None = None) -> None:
        """`heads` does not matter."""
        super().__init__(width)

    def pool(self, patches: Tensor, prefix: Tensor | None, mask: Tensor | None) -> Tensor:
        """The first of the prefix [B, K, D] -> [B, D].

        Raises:
            UsageError: there is none.
        """
        if prefix is None or not prefix.shape[1]:
            raise UsageError("There is no class token to pool: choose avg, max, gem or ggem.")
        return prefix[:, 0]
