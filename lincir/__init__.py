"""LinCIR: a picture and words find pictures, learned from sentences alone.

Gu, Chun, Kim, Kang, Yun 2024, *Language-only Efficient Training of Zero-shot Composed Image
Retrieval*, CVPR, arXiv:2312.01998. A small network φ turns a CLIP vector into a pseudo word; put
into "a photo of $ that is red" it stands for the picture, and the frozen text tower does the rest.
"""

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

from vretr.methods import Method, Verb

if TYPE_CHECKING:
    from lincir.composer import LinCIR
    from lincir.files import load
    from lincir.model import Phi

METHOD = Method(
    name="lincir",
    summary="Composed retrieval learned from sentences alone: this picture, but ...",
    train=Verb("lincir.train:train", "lincir.config:TrainConfig"),
    evaluate=Verb("lincir.evaluate:evaluate", "lincir.config:EvalConfig"),
    load="lincir.files:load",
    composer="lincir.files:composer",
    commands=MappingProxyType(
        {
            "lincir-export": Verb(
                "lincir.export:export",
                "lincir.config:ExportConfig",
                summary="Write a φ as a file that LinCIR's own code reads.",
            )
        }
    ),
)

_HOMES = {"LinCIR": "lincir.composer", "Phi": "lincir.model", "load": "lincir.files"}
__all__ = ["METHOD", "LinCIR", "Phi", "load"]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'lincir' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
