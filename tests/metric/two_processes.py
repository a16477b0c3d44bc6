"""A training with Proxy Synthesis and MemVir, small enough to run in processes of its own.

As a script it takes a config as TOML.
"""

import sys

import torch
from torch import Tensor, nn

from metric import MemVir, ProxySynthesis, make_loss
from tests.vretr.training.regression import CARD
from vretr.training import Run, TrainConfig, fit, gathered, seed_all
from vretr.training.config import from_toml

CLASSES, DIM = 5, 8


class Points(torch.utils.data.Dataset):
    """60 points around the middles of their classes."""

    def __init__(self) -> None:
        draw = torch.Generator().manual_seed(7)
        middles = torch.randn(CLASSES, 4, generator=draw)
        self.labels = torch.arange(60) % CLASSES
        self.x = middles[self.labels] + 0.5 * torch.randn(60, 4, generator=draw)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        return self.x[i], self.labels[i]


class Model(nn.Module):
    """A layer, and the loss with its class weights."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, DIM)
        loss = make_loss("proxy-anchor", CLASSES, DIM)
        self.loss = ProxySynthesis(MemVir(loss, steps=2, gap=1, warmup=2), seed=3)


def step(model: Model, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """Every process computes the loss of the whole batch."""
    return {"loss": model.loss(gathered(model.layer(batch[0])), gathered(batch[1]))}


def train(config: TrainConfig) -> Run:
    seed_all(0)
    model = Model()
    run = Run.create(config, method="metric", kind="encoder")
    result = fit(model, step, Points(), run, config)
    return run.finish(model, card=CARD, metrics=result.metrics)


if __name__ == "__main__":
    train(from_toml("\n".join(sys.argv[1:]), TrainConfig))
