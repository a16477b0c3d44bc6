"""What is asked of a model before its pooling is replaced."""

from typing import Any

import torch
from timm.layers import SelectAdaptivePool2d
from timm.models.beit import Beit
from timm.models.cait import Cait
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer_relpos import VisionTransformerRelPos
from timm.models.xcit import Xcit
from torch import Tensor, nn

__all__ = ["SelectAdaptivePool2d", "head_pools", "heads_of", "projection_of", "sample"]


def head_pools(model: nn.Module) -> bool:
    """Whether it is known to pool in `forward_head` itself, between its norm and its classifier."""
    kinds = Beit | Cait | VisionTransformerDistilled | VisionTransformerRelPos | Xcit
    return isinstance(model, kinds)


def heads_of(model: Any) -> int | None:
    """Heads of a timm transformer's first attention."""
    return getattr(getattr(model.blocks[0], "attn", None), "num_heads", None)


def projection_of(attention: Any) -> nn.Linear:
    """Values and output of CLIP's AttentionPool2d as one layer: what it does to an even mean."""
    values, out = attention.v_proj, attention.c_proj
    linear = nn.Linear(values.in_features, out.out_features)
    with torch.no_grad():
        linear.weight.copy_(out.weight @ values.weight)
        linear.bias.copy_(out.weight @ values.bias + out.bias)
    return linear


def sample(model: Any) -> Tensor:
    """A batch of one picture of noise that the model takes."""
    sides = getattr(getattr(model, "patch_embed", None), "img_size", None)
    sides = sides or getattr(model, "image_size", None)
    if sides is None:
        _, *sides = getattr(model, "default_cfg", {}).get("input_size", (3, 224, 224))
    channels = next(
        (part.in_channels for part in model.modules() if isinstance(part, nn.Conv2d)), 3
    )
    height, width = sides if isinstance(sides, tuple | list) else (sides, sides)
    parameter = next(model.parameters())
    noise = torch.rand(1, channels, height, width, generator=torch.Generator().manual_seed(0))
    return noise.to(parameter.device, parameter.dtype)
