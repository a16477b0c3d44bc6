"""A training that was stopped, in whatever way, goes on as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.vretr.training import regression
from vretr.errors import MismatchError, UsageError
from vretr.training import Run
from vretr.training.config import to_toml


def without_time(run: Run) -> list[dict]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in run.metrics()]


def assert_same(run: Run, other: Run) -> None:
    """Every tensor of every file is equal bit for bit, and so is every recorded number."""
    assert without_time(run) == without_time(other)
    for file in (
        "model.safetensors",
        "checkpoints/latest.safetensors",
        "checkpoints/best.safetensors",
    ):
        mine, theirs = load_file(run.folder / file), load_file(other.folder / file)
        assert mine.keys() == theirs.keys()
        for name in mine:
            assert torch.equal(mine[name], theirs[name]), f"{file}: {name}"


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The training without interruption."""
    return regression.train(regression.config(tmp_path_factory.mktemp("straight") / "run"))


class Stop(Exception):
    pass


@pytest.mark.parametrize("stop_at", [2, 7, 8, 23])
def test_resumed_equals_straight(tmp_path: Path, straight: Run, stop_at: int) -> None:
    calls = count(1)

    def failing(model, batch):
        if next(calls) == stop_at:
            raise Stop
        return regression.step(model, batch)

    with pytest.raises(Stop):
        regression.train(regression.config(tmp_path / "run"), step=failing)
    # Saved every 5 steps: the lines after the checkpoint are worked off and written anew.
    assert len(Run.open(tmp_path / "run").metrics()) == stop_at - 1
    assert_same(regression.train(regression.config(tmp_path / "run", resume=True)), straight)


def test_workers_change_nothing(tmp_path: Path, straight: Run) -> None:
    assert_same(regression.train(regression.config(tmp_path / "run", workers=2)), straight)


def test_resume_of_a_finished_run_changes_nothing(tmp_path: Path, straight: Run) -> None:
    first = regression.train(regression.config(tmp_path / "run"))
    assert_same(regression.train(regression.config(tmp_path / "run", resume=True)), straight)
    assert first.folder == tmp_path / "run"


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_resumes(tmp_path: Path, workers: int) -> None:
    whole = regression.train(regression.config(tmp_path / "whole"), data=regression.Stream())
    half = regression.config(tmp_path / "run", schedule="cosine", workers=workers)
    calls = count(1)

    def failing(model, batch):
        if next(calls) == 14:
            raise Stop
        return regression.step(model, batch)

    with pytest.raises(Stop):
        regression.train(half, step=failing, data=regression.Stream())
    again = regression.config(tmp_path / "run", resume=True)
    assert_same(regression.train(again, data=regression.Stream()), whole)


@pytest.mark.parametrize("stop_at", range(1, 30, 3))
def test_a_crash_at_any_write_loses_nothing(
    tmp_path: Path, straight: Run, stop_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends at the n-th sync or rename of a file, before or after it happened."""
    replace, fsync, calls = os.replace, os.fsync, count()

    def dying(call):
        def wrapped(*arguments):
            if (number := next(calls)) == stop_at and number % 2:
                raise Stop
            call(*arguments)
            if number == stop_at:
                raise Stop

        return wrapped

    monkeypatch.setattr(os, "replace", dying(replace))
    monkeypatch.setattr(os, "fsync", dying(fsync))
    with pytest.raises(Stop):
        regression.train(regression.config(tmp_path / "run"))
    monkeypatch.undo()
    resume = (tmp_path / "run" / "run.json").exists()
    out = tmp_path / "run" if resume else tmp_path / "other"
    assert_same(regression.train(regression.config(out, resume=resume)), straight)


def start(config, **settings) -> subprocess.Popen:
    lines = to_toml(config).splitlines()
    command = [sys.executable, "-m", "tests.vretr.training.regression", "slow", *lines]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[3], start_new_session=True, **settings,
    )  # fmt: skip


def wait_for_step(process: subprocess.Popen, folder: Path, step: int) -> None:
    assert process.stdout is not None
    assert process.stdout.readline().startswith("ready")
    while process.poll() is None:
        if (folder / "metrics.jsonl").exists() and len(Run.open(folder).metrics()) >= step:
            return
    raise AssertionError(process.communicate()[1])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_saves_and_resume_goes_on(tmp_path: Path, straight: Run, number: int) -> None:
    process = start(regression.config(tmp_path / "run", workers=2, save_every=1000))
    wait_for_step(process, tmp_path / "run", 3)
    os.killpg(process.pid, number)  # as a terminal does: the workers get it as well
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT  # Python's own end after KeyboardInterrupt
    assert "--resume goes on" in errors
    assert "worker" not in errors
    before = Run.open(tmp_path / "run").metrics()
    assert 3 <= len(before) < 30
    again = regression.train(regression.config(tmp_path / "run", resume=True))
    assert again.metrics()[: len(before)] == before  # nothing was done twice
    assert_same(again, straight)


def test_kill_9(tmp_path: Path, straight: Run) -> None:
    process = start(regression.config(tmp_path / "run"))
    wait_for_step(process, tmp_path / "run", 12)
    process.kill()
    process.communicate()
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 99, "lo')  # a line cut off
    assert_same(regression.train(regression.config(tmp_path / "run", resume=True)), straight)


@pytest.mark.slow
def test_kill_9_again_and_again(tmp_path: Path, straight: Run) -> None:
    resume, folder = False, tmp_path / "run"
    for wait in range(1, 28, 3):
        process = start(regression.config(folder, save_every=1, resume=resume))
        wait_for_step(process, folder, wait)
        process.kill()
        process.communicate()
        resume = True
    (folder / "checkpoints" / ".latest.safetensors.x.tmp").write_bytes(b"half")
    assert_same(regression.train(regression.config(folder, resume=True)), straight)
    files = {path.name for path in (folder / "checkpoints").iterdir()}
    assert files == {"latest.safetensors", "best.safetensors"}


def test_resume_refuses_another_config(tmp_path: Path) -> None:
    regression.train(regression.config(tmp_path / "run", steps=3))
    with pytest.raises(UsageError, match=r"lr = 0\.02, not 0\.5"):
        regression.train(regression.config(tmp_path / "run", lr=0.5, resume=True))
    other = regression.config(tmp_path / "run", resume=True)
    with pytest.raises(UsageError, match="is a run of lite, not of other"):
        Run.create(other, method="other", kind="encoder")
    with pytest.raises(UsageError, match="another encoder"):
        Run.create(other, method="lite", kind="encoder", encoder="ViT-B", identity="abc")


def test_resume_can_ask_for_more_steps(tmp_path: Path) -> None:
    short = regression.config(tmp_path / "run", steps=10, schedule="constant")
    regression.train(short)
    longer = regression.config(tmp_path / "run", steps=20, schedule="constant", resume=True)
    whole = regression.config(tmp_path / "whole", steps=20, schedule="constant")
    run, other = regression.train(longer), regression.train(whole)
    last = "checkpoints/latest.safetensors"
    mine, theirs = load_file(run.folder / last), load_file(other.folder / last)
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    assert run.config(type(longer)).steps == 20


def test_resume_of_a_run_with_a_broken_config(tmp_path: Path) -> None:
    run = regression.train(regression.config(tmp_path / "run", steps=3))
    (run.folder / "config.toml").write_text("colour = 1")
    with pytest.raises(MismatchError, match=r"config.toml cannot be used: colour: no field"):
        regression.train(regression.config(tmp_path / "run", resume=True))


def test_resume_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(MismatchError, match="is no run"):
        regression.train(regression.config(tmp_path / "run", resume=True))


def test_another_file_as_checkpoint_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    run = regression.train(regression.config(tmp_path / "run", steps=2))
    save_file({"x": torch.zeros(2)}, run.latest)
    with pytest.raises(MismatchError, match="no checkpoint of vretr"):
        regression.train(regression.config(tmp_path / "run", resume=True))


def test_metrics_are_strict_json(straight: Run) -> None:
    lines = (straight.folder / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    assert [row["step"] for row in rows] == list(range(1, 31))
    assert [row["step"] for row in rows if "validation" in row] == [7, 14, 21, 28, 30]
    assert {"loss", "absolute", "lr", "grad_norm", "seconds"} <= rows[0].keys()
