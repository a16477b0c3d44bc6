"""A tower, a pooling and a linear layer that tells classes."""

from typing import Any

import torch
from torch import Tensor, nn

from pooling.parameters import parameter_groups
from vretr.encoders.backbones import Backbone, Tokens
from vretr.poolings import make_pooling

Seen = Tokens | Tensor  # tokens; uint8 pixels [B, 3, S, S]; or vectors [B, W], pooled already


class Classifier(nn.Module):
    """What is seen of pictures to scores of classes.

    A frozen tower is no part of it: its tokens are computed elsewhere and its weights kept in no
    Run.
    """

    def __init__(self, backbone: Backbone, pooling: str, *, classes: int, frozen: bool) -> None:
        super().__init__()
        self.backbone = None if frozen else backbone
        self.pool: Any = make_pooling(pooling, backbone.width, heads=backbone.heads)
        width: Any = self.pool.out_dim
        self.linear = nn.Linear(width, classes)

    def forward(self, seen: Seen) -> Tensor:
        """Scores [B, classes]."""
        return self.linear(self.vectors(seen))

    def vectors(self, seen: Seen) -> Tensor:
        """Pooled, float32 [B, W]."""
        if isinstance(seen, Tensor) and seen.dtype == torch.uint8:
            assert self.backbone is not None
            seen = self.backbone(seen)
        return (seen if isinstance(seen, Tensor) else self.pool(seen.patches, seen.prefix)).float()

    def groups(
        self, *, lr: float, weight_decay: float, backbone_lr: float, pooling_lr: float
    ) -> list[dict[str, Any]]:
        """For an optimiser; the last two are factors of `lr`. p and vectors are not decayed."""
        found: list[dict[str, Any]] = []
        head = nn.ModuleList([self.pool, self.linear])
        for part, factor in ((self.backbone, backbone_lr), (head, 1.0)):
            if part is not None and factor:
                found += parameter_groups(
                    part, lr=lr * factor, weight_decay=weight_decay, p_lr=lr * pooling_lr
                )
        return found
