"""A name becomes an Encoder: `lite`, any open_clip or timm model, or a Run by its path."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vretr.encoders.base import Encoder, PseudoTextEncoder, unit
    from vretr.encoders.loading import load_encoder

# Imported when first used: `vretr --help` reads METHOD of `lite` below here, and needs no NumPy.
_HOMES = {
    "Encoder": "vretr.encoders.base",
    "PseudoTextEncoder": "vretr.encoders.base",
    "load_encoder": "vretr.encoders.loading",
    "unit": "vretr.encoders.base",
}
__all__ = ["Encoder", "PseudoTextEncoder", "load_encoder", "unit"]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'vretr.encoders' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
