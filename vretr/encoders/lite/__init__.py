"""`lite`: the encoder that is there after installation, without any model hub.

EfficientNet-Lite0 looks at pictures, MiniLM-L6 reads words; both stay as they were published. Two
small heads, trained contrastively on captioned photos (locked towers: Zhai et al. 2022, LiT,
arXiv:2111.07991), map them into one space.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from vretr.methods import Method, Verb

if TYPE_CHECKING:
    from vretr.encoders.lite.encoder import Lite

METHOD = Method(
    name="lite",
    summary="The heads of the built-in encoder, on your captioned photos.",
    train=Verb("vretr.encoders.lite.train:train", "vretr.encoders.lite.config:TrainConfig"),
    load="vretr.encoders.lite.encoder:load",
)

_HOMES = {"Lite": "vretr.encoders.lite.encoder"}
__all__ = ["METHOD", "Lite"]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'vretr.encoders.lite' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
