"""What every pooling here shares: shapes, masks, precision."""

import torch
from torch import Tensor, nn


class Pool(nn.Module):
    """Patch tokens to one vector.

    Attributes:
        width: D of the tokens.
        out_dim: length of the vector.
        reads_prefix: whether it looks at the class token.
        needs_training: whether it starts with random weights.
    """

    reads_prefix = False
    needs_training = False

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = self.out_dim = width

    def forward(
        self, patches: Tensor, prefix: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Pools in float32, whatever autocast says, and gives the dtype that came in.

        Args:
            patches: [B, N, D], or feature maps [B, D, H, W].
            prefix: [B, K, D], the class token first.
            mask: bool [B, N] (or [B, H, W]), False for patches that do not count.

        Returns:
            [B, out_dim].

        Raises:
            ValueError: another shape, no patches, or a row in which none counts.
        """
        patches, mask = self._sequence(patches, mask)
        with torch.autocast(patches.device.type, enabled=False):
            upper = None if prefix is None else prefix.float()
            return self.pool(patches.float(), upper, mask).to(patches.dtype)

    def pool(self, patches: Tensor, prefix: Tensor | None, mask: Tensor | None) -> Tensor:
        """float32 [B, N, D] -> [B, out_dim]."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        return f"width={self.width}"

    def _sequence(self, patches: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        is_map = patches.ndim == 4 and patches.shape[1] == self.width
        if not is_map and not (patches.ndim == 3 and patches.shape[2] == self.width):
            raise ValueError(
                f"patches are [B, N, {self.width}] or [B, {self.width}, H, W], "
                f"not {list(patches.shape)}"
            )
        if is_map:
            patches = patches.flatten(2).transpose(1, 2)
        if not patches.shape[1]:
            raise ValueError("there are no patches to pool")
        if mask is None:
            return patches, None
        mask = mask.flatten(1)
        if mask.dtype != torch.bool or mask.shape != patches.shape[:2]:
            raise ValueError(
                f"the mask is bool {list(patches.shape[:2])}, not {mask.dtype} {list(mask.shape)}"
            )
        if not (counts := mask.any(1)).all():
            rows = ", ".join(map(str, (~counts).nonzero().flatten().tolist()[:5]))
            raise ValueError(f"the mask leaves no patch in row {rows}: every picture needs one")
        return patches, mask


def counted(patches: Tensor, mask: Tensor | None) -> Tensor | int:
    """How many patches count: N, or [B, 1]."""
    return patches.shape[1] if mask is None else mask.sum(1, keepdim=True)


def without(values: Tensor, mask: Tensor | None, instead: float) -> Tensor:
    """Values [B, N, D] with `instead` where a patch does not count."""
    return values if mask is None else values.masked_fill(~mask[..., None], instead)
