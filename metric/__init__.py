"""Deep metric learning: embeddings that still separate classes never seen in training.

Proxy Synthesis: Gu, Ko, Kim 2021, AAAI, arXiv:2103.15454. MemVir: Ko, Gu, Kim 2021, *Learning with
Memory-based Virtual Classes for Deep Metric Learning*, ICCV, arXiv:2103.16940. Both stand in front
of an unchanged proxy loss:

    loss = metric.ProxySynthesis(metric.make_loss("norm-softmax", classes=100, dim=512))
"""

from importlib import import_module
from typing import TYPE_CHECKING

from vretr.methods import Method, Verb

if TYPE_CHECKING:
    from metric.encoder import load
    from metric.losses import make_loss
    from metric.memvir import MemVir
    from metric.proxy_synthesis import ProxySynthesis

METHOD = Method(
    name="metric",
    summary="Embeddings for classes never seen: proxy losses, Proxy Synthesis, MemVir.",
    train=Verb("metric.train:train", "metric.config:TrainConfig"),
    evaluate=Verb("metric.evaluate:evaluate", "metric.config:EvalConfig"),
    load="metric.encoder:load",
)

_HOMES = {
    "MemVir": "metric.memvir",
    "ProxySynthesis": "metric.proxy_synthesis",
    "load": "metric.encoder",
    "make_loss": "metric.losses",
}
__all__ = ["METHOD", "MemVir", "ProxySynthesis", "load", "make_loss"]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'metric' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
