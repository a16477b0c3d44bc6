"""What Proxy Synthesis and MemVir add to a training step, beside plain loops of the same methods.

    python benchmarks/metric_speed.py [--classes 100 1000] [--rounds 7] [--threads 1]

A step is the loss of 128 embeddings of 512 numbers, its gradients, and Adam on the class weights;
the network is left out. Norm-softmax with scale 23; MemVir with 20 blocks, gap 25 and a full
memory. The ways in turn, medians; processor time of all threads together, which other programs
disturb less than the clock. The plain loops are told after the papers' procedures: partners by
swapping in Python, lists of what was, one product of all rows with all classes.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from pytorch_metric_learning.losses import NormalizedSoftmaxLoss
from torch import Tensor, nn
from torch.nn import functional as F

from metric import MemVir, ProxySynthesis, make_loss
from metric.memory import Block

BATCH, DIM, SCALE, STEPS, GAP, ALPHA = 128, 512, 23, 20, 25, 0.4


class PlainLoop(nn.Module):
    """Norm-softmax with one of the methods, as a reader of the paper would write it first."""

    def __init__(self, classes: int, method: str) -> None:
        super().__init__()
        self.method, self.classes = method, classes
        self.weight = nn.Parameter(torch.empty(classes, DIM))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)
        self.queue: list[tuple[Tensor, Tensor, Tensor]] = []

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        expanded = self.synthesis if self.method == "synthesis" else self.memory
        x, y, weight = expanded(F.normalize(x), y)
        return F.cross_entropy(SCALE * F.normalize(x) @ F.normalize(weight).t(), y)

    def synthesis(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        order = swapped(y.tolist())
        x, y = x[order], y[order]
        weight = F.normalize(self.weight)
        share = float(torch.distributions.Beta(ALPHA, ALPHA).sample())
        mixed = share * x + (1 - share) * x.roll(1, 0)
        proxies = share * weight[y] + (1 - share) * weight[y].roll(1, 0)
        labels = self.classes + torch.arange(len(y))
        return torch.cat([x, mixed]), torch.cat([y, labels]), torch.cat([weight, proxies])

    def memory(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        newest_first = self.queue[::-1]
        used = newest_first[GAP :: GAP + 1]
        self.queue.append((x.detach().clone(), y, self.weight.detach().clone()))
        self.queue = self.queue[-STEPS * (GAP + 1) :]
        labels = [old + j * self.classes for j, (_, old, _) in enumerate(used, 1)]
        return (
            torch.cat([x, *(old for old, _, _ in used)]),
            torch.cat([y, *labels]),
            torch.cat([self.weight, *(old for _, _, old in used)]),
        )


def swapped(labels: list[int]) -> list[int]:
    """An order in which neighbours differ, by swapping, 50 passes at most."""
    order = [*range(len(labels))]
    for _ in range(50):
        changed = False
        for i in range(len(order)):
            j, k = (i + 1) % len(order), (i + 2) % len(order)
            if labels[order[i]] == labels[order[j]]:
                order[j], order[k] = order[k], order[j]
                changed = True
        if not changed:
            break
    return order


def ways_of(classes: int) -> dict[str, nn.Module]:
    """Every loss, its memory full."""

    def plain() -> nn.Module:
        return make_loss("norm-softmax", classes, DIM, scale=SCALE)

    def memvir(dtype: torch.dtype = torch.float32) -> MemVir:
        return MemVir(plain(), steps=STEPS, gap=GAP, dtype=dtype)

    ways: dict[str, nn.Module] = {
        "pytorch-metric-learning's loss": NormalizedSoftmaxLoss(
            classes, DIM, temperature=1 / SCALE
        ),
        "the bare loss": plain(),
        "+ Proxy Synthesis": ProxySynthesis(plain()),
        "  a plain loop of Proxy Synthesis": PlainLoop(classes, "synthesis"),
        "+ MemVir": memvir(),
        "+ MemVir, halves": memvir(torch.float16),
        "  a plain loop of MemVir": PlainLoop(classes, "memory"),
        "+ both": ProxySynthesis(memvir()),
    }
    for loss in ways.values():
        for module in loss.modules():
            if isinstance(module, MemVir):
                fill(module.memory.push, classes)
            elif isinstance(module, PlainLoop) and module.method == "memory":
                fill(lambda block, queue=module.queue: queue.append((*block,)), classes)
    return ways


def fill(push: Callable[[Block], object], classes: int) -> None:
    """As many steps as the memory takes."""
    for _ in range(STEPS * (GAP + 1)):
        x, y = batch(classes)
        push(Block(F.normalize(x.detach()), y, torch.randn(classes, DIM)))


def batch(classes: int) -> tuple[Tensor, Tensor]:
    return torch.randn(BATCH, DIM, requires_grad=True), torch.randint(classes, (BATCH,))


def seconds(loss: nn.Module, optimizer: torch.optim.Optimizer, classes: int) -> float:
    """Processor time of one step."""
    x, y = batch(classes)
    start = time.process_time()
    loss(x, y).backward()
    optimizer.step()
    optimizer.zero_grad()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, help="not needed")
    parser.add_argument("--classes", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    for classes in options.classes:
        ways = ways_of(classes)
        optimizers = {name: torch.optim.Adam(loss.parameters()) for name, loss in ways.items()}
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(options.rounds + 1):
            for name, loss in ways.items():
                times[name].append(seconds(loss, optimizers[name], classes))
        middle = {name: statistics.median(each[1:]) for name, each in times.items()}
        bare = middle["the bare loss"]
        print(
            f"\n{classes} classes, medians of {options.rounds} steps, {options.threads} thread(s)"
        )
        for name, value in middle.items():
            print(f"{name:32} {1000 * value:9.2f} ms {value / bare:9.2f} x the bare loss")


if __name__ == "__main__":
    main()
