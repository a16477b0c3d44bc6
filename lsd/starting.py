"""Makes a network with folded weights one that can be trained: its normalisations take effect."""

from collections.abc import Sequence
from typing import Any

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
    seen: dict[str, list[Tensor]] = {name: [] for name, layer in model.items() if len(layer) > 1}
    hooks = [model[name][0].register_forward_hook(_watch(maps)) for name, maps in seen.items()]
    model.eval()
    with torch.no_grad():
        for pixels in pictures:
            model(pixels)
        for hook in hooks:
            hook.remove()
        for name, moments in seen.items():
            mean, square = torch.stack(moments).mean(dim=0)
            _settle(model[name][1], mean, (square - mean**2).clamp(min=0))


def _settle(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """With other statistics, but the same result: y = x·a + b before and afterwards."""
    factor = norm.weight / (norm.running_var + norm.eps).sqrt()
    shift = norm.bias - norm.running_mean * factor
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
    norm.weight.copy_(factor * (variance + norm.eps).sqrt())
    norm.bias.copy_(shift + mean * factor)


def _watch(moments: list[Tensor]) -> Any:
    """Notes mean and mean square [2, C] of each batch's maps."""

    def hook(module: nn.Module, args: Any, output: Tensor) -> None:
        maps = output.float()
        moments.append(torch.stack([maps.mean((0, 2, 3)), maps.square().mean((0, 2, 3))]))

    return hook
