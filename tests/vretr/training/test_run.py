import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from torch import nn

from vretr.errors import MismatchError, UsageError
from vretr.training import Card, Run, TrainConfig
from vretr.training.config import from_toml

CARD = Card(summary="What.", data="Which data.", protocol="How measured.", licence="CC0")


def finished(folder: Path) -> Run:
    config = TrainConfig(out=folder, steps=3)
    run = Run.create(config, method="lite", kind="composer", encoder="ViT-B", identity="1234abcd")
    with run.recording(0) as record:
        for step in (1, 2, 3):
            record({"step": step, "loss": 1 / step, "lr": 0.1, "grad_norm": None, "seconds": 0.1})
    pictures = [('"><script>alert(1)</script>', Image.new("RGB", (8, 8), "red"))]
    return run.finish(nn.Linear(2, 1), card=CARD, metrics={"recall@10": 0.5}, pictures=pictures)


def test_a_run_from_first_to_last(tmp_path: Path) -> None:
    run = finished(tmp_path / "run")
    again = Run.open(tmp_path / "run")
    assert again == run
    assert (again.method, again.kind) == ("lite", "composer")
    assert again.about["encoder"] == {"name": "ViT-B", "identity": "1234abcd"}
    assert again.about["metrics"] == {"recall@10": 0.5}
    assert [row["step"] for row in again.metrics()] == [1, 2, 3]
    with safe_open(again.weights, "pt") as file:
        assert set(file.keys()) == {"weight", "bias"}
    card = (again.folder / "card.md").read_text()
    for text in ("What.", "Which data.", "How measured.", "CC0", "| recall@10 | 0.5000 |", "ViT-B"):
        assert text in card
    page = (again.folder / "report.html").read_text()
    assert "data:image/png;base64," in page
    assert "data:image/jpeg;base64," in page
    assert "<script" not in page
    assert [path.name for path in again.folder.iterdir() if path.name.startswith(".")] == []


def test_the_written_config_trains_the_same_elsewhere(tmp_path: Path) -> None:
    config = TrainConfig(out=tmp_path / "run", steps=3, lr=0.25)
    run = Run.create(config, method="lite", kind="encoder")
    text = (run.folder / "config.toml").read_text()
    assert from_toml(text, TrainConfig) == TrainConfig(steps=3, lr=0.25)  # nothing about the place
    assert run.config(TrainConfig).lr == 0.25


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"x")
    with pytest.raises(UsageError, match="not empty; choose another"):
        Run.create(TrainConfig(out=tmp_path), method="lite", kind="encoder")
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]
    finished(tmp_path / "run")
    with pytest.raises(UsageError, match="--resume goes on"):
        Run.create(TrainConfig(out=tmp_path / "run"), method="lite", kind="encoder")
    with pytest.raises(UsageError, match="not empty"):  # a file in the way
        Run.create(TrainConfig(out=tmp_path / "photo.jpg"), method="lite", kind="encoder")


def test_an_empty_folder_and_a_default_one_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Run.create(TrainConfig(out=tmp_path), method="lite", kind="encoder")
    monkeypatch.chdir(tmp_path)
    run = Run.create(TrainConfig(), method="lite", kind="encoder")
    assert run.folder.parent == Path("runs")
    assert run.folder.name.startswith("lite-2")
    second = Run.create(TrainConfig(), method="lite", kind="encoder")  # within the same second
    assert second.folder != run.folder


def test_other_processes_write_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    run = Run.create(TrainConfig(out=tmp_path / "run"), method="lite", kind="encoder")
    run.finish(nn.Linear(2, 1), card=CARD, metrics={})
    assert not run.folder.exists()
    with pytest.raises(UsageError, match="need --out"):
        Run.create(TrainConfig(), method="lite", kind="encoder")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is no run"),
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ("{}", "cannot be read"),
        ('{"kind": "painter", "method": "x"}', "unknown kind"),
    ],
)
def test_what_is_no_run_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(MismatchError, match=message):
        Run.open(tmp_path)


def test_a_run_loads_by_its_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vretr.methods import Method

    lite = Method(name="lite", summary="", load="tests.vretr.training.test_run:loaded")
    monkeypatch.setattr("vretr.training.run.method", {"lite": lite}.__getitem__)
    unfinished = Run.create(TrainConfig(out=tmp_path / "a"), method="lite", kind="encoder")
    with pytest.raises(MismatchError, match="not finished"):
        unfinished.load()
    assert finished(tmp_path / "b").load(device="cpu") == (tmp_path / "b", "cpu")


def loaded(path: Path, device: str) -> tuple[Path, str]:
    return path, device


def test_a_cut_line_of_metrics_is_left_out(tmp_path: Path) -> None:
    run = finished(tmp_path / "run")
    with (run.folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4')
    assert len(run.metrics()) == 3
    with run.recording(2) as record:
        record({"step": 3, "loss": 9.0})
    lines = (run.folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3]
    assert json.loads(lines[-1])["loss"] == 9.0


def test_a_pickle_is_no_checkpoint(tmp_path: Path) -> None:
    from safetensors import SafetensorError

    from vretr.training import checkpoints

    torch.save({"x": torch.zeros(1)}, tmp_path / "latest.safetensors")
    with pytest.raises((SafetensorError, MismatchError)):
        checkpoints.read(tmp_path / "latest.safetensors")
