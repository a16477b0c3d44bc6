"""The network: a tower's tokens, pooled, and a linear layer; beside it the loss while training."""

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn

from metric.config import TrainConfig
from metric.losses import make_loss
from metric.memvir import MemVir
from metric.proxy_synthesis import ProxySynthesis
from vretr.encoders.backbones import Backbone, Tokens
from vretr.poolings import make_pooling


class Embedder(nn.Module):
    """What is seen of pictures to embeddings [B, dim], as long as the layer makes them.

    A frozen tower is no part of it: what it tells is computed elsewhere, and its weights are kept
    in no Run.
    """

    def __init__(self, config: TrainConfig, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = None if config.frozen else backbone
        self.pool = make_pooling(config.pooling, backbone.width, heads=backbone.heads)
        width = int(cast(Any, self.pool).out_dim)
        self.head = nn.Linear(width, config.dim) if config.dim else nn.Identity()
        self.dim: int = config.dim or width
        self.freeze_norms = config.freeze_norms

    def forward(self, seen: "Tokens | Tensor") -> Tensor:
        """Tokens; uint8 pixels [B, 3, S, S] where the tower is part; vectors pooled before."""
        if isinstance(seen, Tensor) and seen.dtype == torch.uint8:
            assert self.backbone is not None
            seen = self.backbone(seen)
        vectors = seen if isinstance(seen, Tensor) else self.pool(seen.patches, seen.prefix)
        return self.head(vectors.float())

    def train(self, mode: bool = True) -> "Embedder":
        """Batch statistics of the tower stay as they were, unless they are to be learned."""
        super().train(mode)
        if mode and self.freeze_norms and self.backbone is not None:
            for part in self.backbone.modules():
                if isinstance(part, nn.BatchNorm2d):
                    part.eval()
        return self


class Learner(nn.Module):
    """An Embedder and its loss, with what stands in front of it."""

    def __init__(self, config: TrainConfig, backbone: Backbone, *, classes: int) -> None:
        super().__init__()
        self.embedder = Embedder(config, backbone)
        loss: nn.Module = make_loss(config.loss, classes, self.embedder.dim, **config.loss_options)
        if config.memvir:
            loss = MemVir(
                loss,
                steps=config.memvir_steps,
                gap=config.memvir_gap,
                warmup=config.memvir_warmup,
                dtype=getattr(torch, config.memvir_dtype),
                device=None if config.memvir_device == "same" else config.memvir_device,
            )
        if config.synthesis:
            loss = ProxySynthesis(loss, alpha=config.alpha, mu=config.mu, seed=config.seed)
        self.loss = loss

    def forward(self, seen: "Tokens | Tensor", labels: Tensor) -> Tensor:
        """The loss of a batch."""
        return self.loss(self.embedder(seen), labels)


def groups(model: Any, config: TrainConfig) -> Iterable[dict[str, Any]]:
    """Tower, pooling, head and class weights, each with its rate; vectors without weight decay."""
    embedder = model.embedder
    parts: list[tuple[nn.Module | None, float]] = [
        (embedder.backbone, config.backbone_lr),
        (embedder.pool, config.pooling_lr),
        (embedder.head, 1.0),
        (model.loss, config.proxy_lr),
    ]
    for part, factor in parts:
        trained = [] if part is None else [one for one in part.parameters() if one.requires_grad]
        for decay in (True, False):
            # Class weights are normalised by most losses: decay would only change their rate.
            chosen = [p for p in trained if (p.ndim > 1 and part is not model.loss) == decay]
            if chosen and factor:
                yield {
                    "params": chosen,
                    "lr": config.lr * factor,
                    "weight_decay": config.weight_decay if decay else 0.0,
                    "eps": config.adam_eps,
                }
