"""A checkpoint: one safetensors file with all that a training needs to go on. No pickle.

Tensors are named `model.…`, `ema.…` and `optimizer.<parameter number>.<name>`; the progress is
JSON in the header. Being one file, it is replaced at once or not at all.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn
from torch.optim import Optimizer

from vretr.errors import MismatchError
from vretr.paths import atomic_write


@dataclass
class Progress:
    """How far a training is."""

    step: int = 0  # finished optimiser steps
    seconds: float = 0.0  # spent on them
    best_step: int | None = None
    best: dict[str, float] = field(default_factory=dict)  # what validation gave there
    scaler: dict[str, Any] | None = None  # of fp16's loss scaling


def save_state(
    path: Path, progress: Progress, model: nn.Module, ema: nn.Module | None, optimizer: Optimizer
) -> None:
    """Writes everything that the training needs to go on from `progress.step`."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    if ema is not None:
        tensors |= {f"ema.{name}": tensor for name, tensor in ema.state_dict().items()}
    for number, values in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in values.items()}
    write(path, tensors, asdict(progress))


def load_state(
    path: Path, model: nn.Module, ema: nn.Module | None, optimizer: Optimizer
) -> Progress:
    """Fills model, moving average and optimiser from a checkpoint and returns its progress."""
    tensors, about = read(path)
    model.load_state_dict(_below("model.", tensors))
    if ema is not None:
        ema.load_state_dict(_below("ema.", tensors))
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _below("optimizer.", tensors).items():
        number, _, what = name.partition(".")
        state.setdefault(int(number), {})[what] = tensor
    groups = optimizer.state_dict()["param_groups"]  # made from the config, as they were
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    return Progress(**about)


def write(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Writes tensors and plain values to a safetensors file, atomically."""
    # Cloned, as safetensors refuses tensors that share memory (tied weights).
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with atomic_write(path) as file:
        file.write(to_bytes(plain, {"vretr": json.dumps(about, sort_keys=True)}))


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a file that `write` made, on the CPU, and the plain values.

    Raises:
        MismatchError: another kind of file.
    """
    with safe_open(path, "pt") as file:
        about = (file.metadata() or {}).get("vretr")
        if about is None:
            raise MismatchError(f"{path} is no checkpoint of vretr")
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(about)  # noqa: SIM118


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
