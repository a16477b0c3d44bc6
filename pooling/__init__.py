"""Pooling: from an image's patch tokens to one vector; grouped generalised mean (GGeM) and others.

Ko, Kim, Gu et al. 2022, *Group Generalized Mean Pooling for Vision Transformer*, arXiv:2212.04114.

    handle = pooling.replace(timm.create_model("vit_small_patch16_224"), "ggem")
"""

from importlib import import_module
from typing import TYPE_CHECKING

from vretr.methods import Method, Verb

if TYPE_CHECKING:
    from pooling.encoder import load
    from pooling.model import Attention, Average, ClassToken, Concatenation, GeM, GGeM, Maximum
    from pooling.parameters import parameter_groups, powers
    from pooling.replacing import replace

METHOD = Method(
    name="pooling",
    summary="Poolings for any ViT or CNN compared: average, max, GeM, GGeM, class token.",
    train=Verb("pooling.train:train", "pooling.config:TrainConfig"),
    evaluate=Verb("pooling.evaluate:evaluate", "pooling.config:EvalConfig"),
    load="pooling.encoder:load",
)

_HOMES = {
    "Attention": "model",
    "Average": "model",
    "ClassToken": "model",
    "Concatenation": "model",
    "GGeM": "model",
    "GeM": "model",
    "Maximum": "model",
    "load": "encoder",
    "parameter_groups": "parameters",
    "powers": "parameters",
    "replace": "replacing",
}
__all__ = [
    "METHOD",
    "Attention",
    "Average",
    "ClassToken",
    "Concatenation",
    "GGeM",
    "GeM",
    "Maximum",
    "load",
    "parameter_groups",
    "powers",
    "replace",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"pooling.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'pooling' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
