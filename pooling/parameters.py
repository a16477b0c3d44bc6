"""The powers p of a model's generalised means: to read, and to train as a group of their own."""

from typing import Any

from torch import nn

from pooling.gem import GGeM


def powers(model: nn.Module) -> dict[str, list[float]]:
    """p of each generalised mean in a model, one a group, by the name of its parameter."""
    return {
        f"{name}.p" if name else "p": part.powers.detach().cpu().tolist()
        for name, part in model.named_modules()
        if isinstance(part, GGeM)
    }


def parameter_groups(
    model: nn.Module, *, lr: float, weight_decay: float, p_lr: float | None = None
) -> list[dict[str, Any]]:
    """What is trained of a model, as groups for an optimiser.

    Weight decay would draw p to 0; it, norms and biases (all of one dimension) are spared.

    Args:
        p_lr: learning rate of p, whose gradient sums over batch and channels; None: as the rest.
    """
    ours = {id(part.p) for part in model.modules() if isinstance(part, GGeM)}
    trained = [one for one in model.parameters() if one.requires_grad]
    others = [one for one in trained if id(one) not in ours]
    groups = [
        ([one for one in others if one.ndim > 1], lr, weight_decay),
        ([one for one in others if one.ndim <= 1], lr, 0.0),
        ([one for one in trained if id(one) in ours], lr if p_lr is None else p_lr, 0.0),
    ]
    return [
        {"params": members, "lr": rate, "weight_decay": decay}
        for members, rate, decay in groups
        if members
    ]
