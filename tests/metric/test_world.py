"""Where what makes a class is buried under what does not, each loss finds it, for unseen classes.

A sample is a class's place in 8 dimensions and chance in 24 others, mixed.
"""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from metric import MemVir, ProxySynthesis, make_loss
from metric.loss_names import LOSSES
from metric.measuring import measure

SIGNAL, CHANCE, CLASSES, EACH = 8, 24, 40, 40


def samples(seed: int) -> tuple[Tensor, Tensor]:
    """[CLASSES * EACH, 32] and the labels; the mixture is the same for every seed."""
    draws = np.random.default_rng(seed)
    mixture = np.linalg.qr(np.random.default_rng(99).normal(size=(32, 32)))[0]
    labels = np.repeat(np.arange(CLASSES), EACH)
    places = draws.normal(size=(CLASSES, SIGNAL))[labels]
    places += 0.2 * draws.normal(size=places.shape)
    chance = draws.normal(size=(len(labels), CHANCE))
    mixed = np.hstack([places, chance]) @ mixture
    return torch.from_numpy(mixed.astype(np.float32)), torch.from_numpy(labels)


def figure(vectors: Tensor, labels: Tensor) -> float:
    unit = nn.functional.normalize(vectors.detach()).numpy()
    return measure(unit, labels.numpy()).figures["map@r"]


def trained(loss: nn.Module, *, seed: int, steps: int = 300) -> float:
    """MAP@R of classes that were not there, after a linear layer was trained on others."""
    torch.manual_seed(seed)
    x, labels = samples(seed)
    layer = nn.Linear(32, 16)
    rates = [{"params": layer.parameters()}, {"params": loss.parameters(), "lr": 0.1}]
    optimizer = torch.optim.Adam(rates, lr=0.01)
    for _ in range(steps):
        rows = torch.randint(len(x), (64,))
        loss(layer(x[rows]), labels[rows]).backward()
        optimizer.step()
        optimizer.zero_grad()
    return figure(layer(samples(seed + 1000)[0]), labels)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_every_loss_finds_what_makes_a_class(name: str) -> None:
    assert figure(*samples(1000)) < 0.15
    assert trained(make_loss(name, CLASSES, 16), seed=0) > 0.7


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))])
def test_virtual_classes_help_or_do_no_harm(seed: int) -> None:
    def bare() -> nn.Module:
        return make_loss("norm-softmax", CLASSES, 16)

    without = trained(bare(), seed=seed)
    assert trained(ProxySynthesis(bare(), seed=seed), seed=seed) > without + 0.05
    memory = MemVir(bare(), steps=3, gap=2, warmup=20)
    assert trained(memory, seed=seed) > 0.65  # the real samples weigh a quarter: it is not done yet
    both = ProxySynthesis(MemVir(bare(), steps=3, gap=2), seed=seed)
    assert trained(both, seed=seed) > without
