"""Training: one loop, one kind of folder that it leaves.

    run = Run.create(config, method="lincir", kind="composer")
    result = fit(model, step, data, run, config, validate=validate, select="recall@10")
    return run.finish(model, card=Card(...), metrics=result.metrics)

`TrainConfig` imports no torch, so that the command line can be made from it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vretr.training.config import TrainConfig
    from vretr.training.devices import gathered
    from vretr.training.loop import Result, fit
    from vretr.training.run import Card, Run
    from vretr.training.stream import seed_all

_HOMES = {
    "Card": "run",
    "Result": "loop",
    "Run": "run",
    "TrainConfig": "config",
    "fit": "loop",
    "gathered": "devices",
    "seed_all": "stream",
}
__all__ = ["Card", "Result", "Run", "TrainConfig", "fit", "gathered", "seed_all"]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"vretr.training.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'vretr.training' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
