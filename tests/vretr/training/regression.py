"""A training small enough for tests: dropout, noise in the data, shuffling, validation.

As a script it takes a config as TOML and trains in a process of its own.
"""

import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vretr.training import Card, Run, TrainConfig, fit, gathered, seed_all
from vretr.training.config import from_toml

CARD = Card(summary="A test.", data="Random numbers.", protocol="None.", licence="Apache-2.0")


class Points(torch.utils.data.Dataset):
    """50 points and their sums; each reading draws from all three generators."""

    def __init__(self, noise: float = 0.01) -> None:
        self.x = torch.randn(50, 4, generator=torch.Generator().manual_seed(7))
        self.y, self.noise = self.x.sum(1), noise

    def __len__(self) -> int:
        return 50

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        draw = torch.randn(4) + random.random() + np.random.rand()
        return self.x[i] + self.noise * draw, self.y[i]


class Stream(torch.utils.data.IterableDataset):
    """The same points one after another, rotated by the epoch."""

    epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Any:
        points = Points()
        return iter([points[(i + self.epoch) % 50] for i in range(50)])


def network(dropout: float = 0.2) -> nn.Module:
    seed_all(0)
    return nn.Sequential(
        nn.Linear(4, 8, bias=False), nn.BatchNorm1d(8), nn.Dropout(dropout), nn.Linear(8, 1)
    )


def step(model: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    error = model(batch[0]).squeeze(1) - batch[1]
    return {"loss": error.square().mean(), "absolute": error.abs().mean()}


def slow_step(model: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    time.sleep(0.02)
    return step(model, batch)


def pairwise_step(model: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """A loss over all pairs of the whole batch, wherever they are, and one over its own samples."""
    out, wanted = gathered(model(batch[0])), gathered(batch[1])[:, None]
    pairs = torch.cdist(out, out) - torch.cdist(wanted, wanted)
    return {"loss": pairs.square().mean() + step(model, batch)["loss"]}


def line() -> nn.Module:
    """A model whose every weight has a gradient well above rounding."""
    model = nn.Linear(4, 1, bias=False)
    nn.init.constant_(model.weight, 0.3)
    return model


def validate(model: nn.Module) -> dict[str, float]:
    points = Points(noise=0)
    assert not model.training
    return {"loss": float((model(points.x).squeeze(1) - points.y).square().mean())}


def config(out: Path, **changes: Any) -> TrainConfig:
    settings: dict[str, Any] = {"out": out, "steps": 30, "batch_size": 8, "lr": 0.02, "warmup": 5}
    settings |= {"ema": 0.9, "device": "cpu", "threads": 1, "validate_every": 7, "save_every": 5}
    return TrainConfig(**settings | changes)


def train(config: TrainConfig, **settings: Any) -> Run:
    model = settings.pop("model", None) or network()
    run = Run.create(config, method="lite", kind="encoder")
    settings = {"step": step, "data": Points(), "validate": validate} | settings
    result = fit(model, run=run, config=config, **settings)
    return run.finish(model, card=CARD, metrics=result.metrics)


if __name__ == "__main__":
    how, *toml = sys.argv[1:]
    given = from_toml("\n".join(toml), TrainConfig)
    if how == "slow":
        print("ready", os.getpid(), flush=True)
        train(given, step=slow_step)
    else:
        train(given, step=pairwise_step, model=line(), data=Points(noise=0), validate=None)
