"""Makes a network with folded weights one that can be trained: its normalisations take effect."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from lsd.model import MLSD


def settle(model: MLSD, pictures: Sequence[Tensor]) -> None:
    """Gives each normalisation the statistics of these pictures and the factors that undo them.

    What the network gives does not change. Without this, the first step of a training would
    normalise maps that the folded weights expect as they are.

    Args:
        pictures: batches of pixels [B, 3, S, S].
    """
    layers = [model.layer(name) for name in model if model.layer(name).norm is not None]
    seen: list[list[Tensor]] = [[] for _ in layers]
    hooks = [
        layer.convolution.register_forward_hook(_watch(moments))
        for layer, moments in zip(layers, seen, strict=True)
    ]
    model.eval()
    with torch.no_grad():
        for pixels in pictures:
            model(pixels)
        for hook in hooks:
            hook.remove()
        for layer, moments in zip(layers, seen, strict=True):
            mean, square = torch.stack(moments).mean(dim=0)
            _settle(cast(nn.BatchNorm2d, layer.norm), mean, (square - mean**2).clamp(min=0))


def _settle(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """With other statistics, but the same result: y = x·a + b before and afterwards."""
    old_mean, old_variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    factor = norm.weight / (old_variance + norm.eps).sqrt()
    shift = norm.bias - old_mean * factor
    old_mean.copy_(mean)
    old_variance.copy_(variance)
    norm.weight.copy_(factor * (variance + norm.eps).sqrt())
    norm.bias.copy_(shift + mean * factor)


def _watch(moments: list[Tensor]) -> Any:
    """Notes mean and mean square [2, C] of each batch's maps."""

    def hook(module: nn.Module, args: Any, output: Tensor) -> None:
        maps = output.float()
        moments.append(torch.stack([maps.mean((0, 2, 3)), maps.square().mean((0, 2, 3))]))

    return hook
