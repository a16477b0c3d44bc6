"""M-LSD: line segments in real time, on a processor.

Gu, Ko, Go, Lee, Lee, Shin 2022, *Towards Light-weight and Real-time Line Segment Detection*, AAAI,
arXiv:2106.00186.

    lines = lsd.load("tiny").detect(picture)      # lines.ends [N, 4], lines.scores [N]
"""

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

from vretr.methods import Method, Verb

if TYPE_CHECKING:
    from lsd.detector import Detector
    from lsd.files import load
    from lsd.lines import Lines

METHOD = Method(
    name="lsd",
    summary="Line segments of pictures: walls, roads, tables, sheets of paper.",
    train=Verb("lsd.train:train", "lsd.config:TrainConfig"),
    evaluate=Verb("lsd.evaluate:evaluate", "lsd.config:EvalConfig"),
    load="lsd.files:load",
    commands=MappingProxyType(
        {
            "detect-lines": Verb(
                "lsd.detect_lines:detect_lines",
                "lsd.config:DetectConfig",
                summary="Find the line segments of pictures.",
            )
        }
    ),
)

_HOMES = {"Detector": "lsd.detector", "Lines": "lsd.lines", "load": "lsd.files"}
__all__ = ["METHOD", "Detector", "Lines", "load"]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'lsd' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
