"""Training with Proxy Synthesis and MemVir: several processes, and going on after a stop."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.metric import two_processes
from vretr.training import Run, TrainConfig
from vretr.training.config import to_toml


def config(out: Path, **changes: Any) -> TrainConfig:
    settings: dict[str, Any] = {"out": out, "steps": 12, "batch_size": 8, "lr": 0.02}
    settings |= {"device": "cpu", "threads": 1, "save_every": 5}
    return TrainConfig(**settings | changes)


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """The same losses at each step, and in the end the same weights and memory."""
    lines = to_toml(config(tmp_path / "two")).splitlines()
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [sys.executable, *launcher, "-m", "tests.metric.two_processes", *lines],
        capture_output=True, text=True, timeout=240, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    one, two = two_processes.train(config(tmp_path / "one")), Run.open(tmp_path / "two")
    for name in ("loss", "grad_norm"):
        expected = [row[name] for row in one.metrics()]
        assert [row[name] for row in two.metrics()] == pytest.approx(expected, rel=1e-4)
    found, expected = load_file(two.weights), load_file(one.weights)
    assert len(expected["loss.loss.memory.sizes"]) == 4
    torch.testing.assert_close(found, expected)


def test_a_stopped_training_goes_on_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = two_processes.train(config(tmp_path / "straight"))
    plain = two_processes.step

    def failing(model, batch):
        if model.loss.steps == 8:
            raise InterruptedError
        return plain(model, batch)

    monkeypatch.setattr(two_processes, "step", failing)
    with pytest.raises(InterruptedError):
        two_processes.train(config(tmp_path / "run"))
    monkeypatch.undo()
    resumed = two_processes.train(config(tmp_path / "run", resume=True))
    for file in (resumed.weights, resumed.latest):
        expected = load_file(straight.folder / file.relative_to(resumed.folder))
        found = load_file(file)
        assert found.keys() == expected.keys()
        for name in found:
            assert torch.equal(found[name], expected[name]), name
