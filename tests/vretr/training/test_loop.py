import math
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from tests.vretr.training import regression
from vretr.errors import UsageError, VretrError
from vretr.training import Run, fit
from vretr.training.config import to_toml


def test_it_learns(tmp_path: Path) -> None:
    run = regression.train(regression.config(tmp_path / "run", steps=300, ema=0.95))
    rows = run.metrics()
    assert rows[0]["loss"] > 2
    assert rows[-1]["validation"]["loss"] < 0.15


def by_hand(steps: int, **changes) -> tuple[nn.Module, dict[str, torch.Tensor], list[float]]:
    """The same training as plain as possible: no accelerate, no timm."""
    from vretr.training.stream import STEP, Share, Shuffled, seed_all

    config = regression.config(Path(), steps=steps, **changes)
    model = regression.network()
    average = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=config.weight_decay)
    data = Shuffled(regression.Points(), Share(0, 8), torch.utils.data.default_collate)
    losses = []
    for number in range(1, steps + 1):
        batch = data[number]
        seed_all(0, STEP, number, 0)
        rise = number / 5
        fall = (1 + math.cos(math.pi * (number - 6) / (steps - 5))) / 2
        optimizer.param_groups[0]["lr"] = config.lr * (rise if number <= 5 else fall)
        loss = regression.step(model, batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()
        losses.append(loss.item())
        decay = 0.0 if number == 1 else min(config.ema, 1 - number ** (-2 / 3))
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                average[name] = decay * average[name] + (1 - decay) * value
            else:
                average[name] = value.clone()
    return model, average, losses


def test_against_a_loop_by_hand(tmp_path: Path) -> None:
    model, average, losses = by_hand(12)
    run = regression.train(regression.config(tmp_path / "run", steps=12), validate=None)
    assert [row["loss"] for row in run.metrics()] == pytest.approx(losses, rel=1e-6)
    state = load_file(run.latest)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(state[f"model.{name}"], value)
    kept = load_file(run.weights)  # without validation the last averaged weights are kept
    for name, value in average.items():
        torch.testing.assert_close(kept[name], value)


@pytest.mark.parametrize(("select", "best"), [("loss", 2), ("recall@1", 3)])
def test_the_best_weights_are_kept(tmp_path: Path, select: str, best: int) -> None:
    figures = iter([(5.0, 0.1), (1.0, 0.2), (3.0, 0.9), (4.0, 0.9)])
    seen = []

    def step(model, batch):
        assert model.training
        return regression.step(model, batch)

    def validate(model):
        assert not model.training
        assert not torch.is_grad_enabled()
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        loss, recall = next(figures)
        return {"loss": loss, "recall@1": recall}

    config = regression.config(tmp_path / "run", steps=4, validate_every=1, ema=0)
    run, model = Run.create(config, method="lite", kind="encoder"), regression.network()
    result = fit(model, step, regression.Points(), run, config, validate=validate, select=select)
    assert (result.step, result.steps) == (best, 4)
    assert result.metrics[select] == {"loss": 1.0, "recall@1": 0.9}[select]
    assert all(torch.equal(v, seen[best - 1][n]) for n, v in model.state_dict().items())
    assert not model.training


def test_nan_loss_stops_with_its_step_and_name(tmp_path: Path) -> None:
    calls = count(1)

    def broken(model, batch):
        losses = regression.step(model, batch)
        return losses | ({"absolute": losses["absolute"] * math.nan} if next(calls) == 8 else {})

    with pytest.raises(
        VretrError, match=r"step 8: the loss 'absolute' is nan .*samples \d+"
    ) as error:
        regression.train(regression.config(tmp_path / "run"), step=broken)
    assert "latest.safetensors" in str(error.value)
    run = Run.open(tmp_path / "run")
    assert all(value.isfinite().all() for value in load_file(run.latest).values())
    assert run.metrics()[-1]["step"] == 7


def test_a_gradient_that_is_not_finite_is_named(tmp_path: Path) -> None:
    class Root(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.good, self.bad = nn.Linear(4, 1), nn.Parameter(torch.zeros(1))

        def forward(self, x):
            return self.good(x) + self.bad.sqrt()  # 0 with an infinite slope

    with pytest.raises(VretrError, match="step 1: the gradient of 'bad' is not finite"):
        regression.train(regression.config(tmp_path / "run"), model=Root())


@pytest.mark.parametrize(
    ("figures", "message"), [({"other": 1.0}, "no 'loss'"), ({"loss": math.nan}, "gave nan")]
)
def test_validation_must_give_what_decides(tmp_path: Path, figures: dict, message: str) -> None:
    with pytest.raises(VretrError, match=message):
        regression.train(regression.config(tmp_path / "run"), validate=lambda model: figures)


def test_step_must_give_a_loss(tmp_path: Path) -> None:
    with pytest.raises(VretrError, match=r"no 'loss', only \['x'\]"):
        regression.train(
            regression.config(tmp_path / "run"), step=lambda model, batch: {"x": torch.zeros(())}
        )


def test_groups_have_learning_rates_of_their_own(tmp_path: Path) -> None:
    model = regression.network()
    still = model[0].weight.clone()

    def groups(model):
        return [{"params": model[0].parameters(), "lr": 0.0}, {"params": model[3].parameters()}]

    regression.train(regression.config(tmp_path / "run"), model=model, groups=groups, validate=None)
    assert torch.equal(model[0].weight, still)
    assert not torch.equal(model[3].weight, regression.network()[3].weight)


def test_frozen_and_tied_weights(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 1))
    model[1].weight = model[0].weight
    model[2].requires_grad_(False)
    frozen = model[2].weight.clone()
    run = regression.train(regression.config(tmp_path / "run", steps=6), model=model)
    again = regression.config(tmp_path / "run", steps=8, resume=True)
    regression.train(again, model=model)
    assert torch.equal(model[2].weight, frozen)
    assert model[1].weight is model[0].weight
    assert load_file(run.weights).keys() == model.state_dict().keys()


def test_bf16_autocast_reaches_the_step(tmp_path: Path) -> None:
    dtypes = set()

    def step(model, batch):
        dtypes.add(model(batch[0]).dtype)
        return regression.step(model, batch)

    config = regression.config(tmp_path / "run", steps=2, precision="bf16")
    run = regression.train(config, step=step)
    assert dtypes == {torch.bfloat16}
    assert {value.dtype for value in load_file(run.weights).values()} == {
        torch.float32,
        torch.int64,
    }
    regression.train(regression.config(tmp_path / "other", steps=2), step=step)  # and fp32 after it
    assert dtypes == {torch.bfloat16, torch.float32}


@pytest.mark.parametrize("changes", [{"precision": "fp16"}, {"device": "mps"}])
def test_what_this_machine_cannot_do_is_refused(tmp_path: Path, changes: dict) -> None:
    if torch.backends.mps.is_available():
        pytest.skip("this machine can")
    with pytest.raises(UsageError):
        regression.train(regression.config(tmp_path / "run", **changes))


def test_threads_are_given_back(tmp_path: Path) -> None:
    before, seen = torch.get_num_threads(), set()

    def step(model, batch):
        seen.add(torch.get_num_threads())
        return regression.step(model, batch)

    regression.train(regression.config(tmp_path / "run", steps=2, threads=3), step=step)
    assert seen == {3}
    assert torch.get_num_threads() == before


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    settings = {"steps": 12, "clip": 1.0}
    lines = to_toml(regression.config(tmp_path / "two", **settings)).splitlines()
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [sys.executable, *launcher, "-m", "tests.vretr.training.regression", "pairs", *lines],
        capture_output=True, text=True, timeout=240, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    one = regression.train(
        regression.config(tmp_path / "one", **settings),
        step=regression.pairwise_step,
        model=regression.line(),
        data=regression.Points(noise=0),
        validate=None,
    )
    two = Run.open(tmp_path / "two")
    for name in ("loss", "grad_norm"):
        expected = [row[name] for row in one.metrics()]
        assert [row[name] for row in two.metrics()] == pytest.approx(expected, rel=1e-4)
    torch.testing.assert_close(load_file(two.weights), load_file(one.weights))


def test_a_batch_must_divide_among_the_processes() -> None:
    from vretr.training.stream import Share

    with pytest.raises(UsageError, match="cannot be shared by 3 processes"):
        Share(0, 8, process=0, processes=3)
