"""The training of the heads in a rendered world: it learns, resumes, stops, shares itself out."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from vretr.data import captions
from vretr.data.worlds import World
from vretr.encoders.lite import Lite, data
from vretr.encoders.lite.config import TrainConfig
from vretr.encoders.lite.model import HeadsModule
from vretr.encoders.lite.train import train, unite
from vretr.errors import UsageError, VretrError
from vretr.images import Unreadable, open
from vretr.metrics import figures, ranks_from_vectors
from vretr.training import Run
from vretr.training.config import to_toml

REPOSITORY = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    World(seed=0).write(folder, {"train": 240, "test": 60})
    return folder


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory):
    """What the towers tell is computed once for all tests here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VRETR_HOME", str(tmp_path_factory.mktemp("home")))
        yield


def settings(world: Path, out: Path, **others) -> TrainConfig:
    small = {
        "steps": 12,
        "batch_size": 32,
        "holdout": 40,
        "views": 1,
        "members": 2,
        "save_every": 5,
    }
    return TrainConfig(captions=world, out=out, device="cpu", **{**small, **others})


def recall(world: Path, encoder: Lite) -> float:
    """Text-to-image recall@5 on the test split."""
    photos = captions.load(world, split="test")
    pictures = [open(photo.path) for photo in photos]
    assert not any(isinstance(picture, Unreadable) for picture in pictures)
    gallery = encoder.encode_images(pictures)
    queries = encoder.encode_texts([photo.captions[0] for photo in photos])
    ranks = ranks_from_vectors(queries, gallery, relevant=list(np.arange(len(photos))[:, None]))
    return figures(ranks, "recall@5")["recall@5"]


def test_trained_heads_find_what_untrained_ones_do_not(world: Path, tmp_path: Path) -> None:
    config = settings(world, tmp_path / "run", steps=150, validate_every=50, views=2, lr=2e-3)
    trained = train(config).load(device="cpu")
    torch.manual_seed(0)
    untrained = HeadsModule(
        members=config.members, hidden=config.hidden, image_dropout=0, text_dropout=0
    )
    photos = data.captioned(world, "train", 2, config.seed)
    classes = torch.from_numpy(data.class_names())
    untrained.fix(photos.seen.flatten(0, 1).float(), classes, least_trust=config.least_trust)
    unite(untrained, [photos])
    run = Run.create(settings(world, tmp_path / "untrained"), method="lite", kind="encoder")
    save_file(untrained.state_dict(), run.weights)
    before = recall(world, run.load(device="cpu"))
    after = recall(world, trained)
    # Chance is 5 in 60; the names of classes alone, which need no training, find some.
    assert after > 0.8 and before < 0.4


def command(world: Path, out: Path, *more: str) -> list[str]:
    config = settings(world, out, steps=60)
    options = [
        f"--{field.replace('_', '-')}={getattr(config, field)}"
        for field in (
            "captions",
            "out",
            "steps",
            "batch_size",
            "holdout",
            "views",
            "members",
            "save_every",
        )
    ]
    return [sys.executable, "-m", "cli", "train", "lite", *options, "--device=cpu", *more]


def test_ctrl_c_saves_and_resume_ends_as_if_nothing_had_been(world: Path, tmp_path: Path) -> None:
    subprocess.run(command(world, tmp_path / "straight"), check=True, capture_output=True)
    process = subprocess.Popen(
        command(world, tmp_path / "run"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    rows = tmp_path / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (rows.exists() and rows.read_text().count("\n") >= 3):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert "--resume goes on" in err and "Traceback" not in err
    assert 3 <= len(Run.open(tmp_path / "run").metrics()) < 60
    resumed = command(world, tmp_path / "run", "--resume")
    subprocess.run(resumed, check=True, capture_output=True)
    straight, run = Run.open(tmp_path / "straight"), Run.open(tmp_path / "run")
    assert _timeless(run) == _timeless(straight)
    mine, theirs = load_file(run.weights), load_file(straight.weights)
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)


def _timeless(run: Run) -> list[dict]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in run.metrics()]


def test_nan_stops_with_the_step_and_the_cause(world: Path, tmp_path: Path) -> None:
    with pytest.raises(VretrError, match=r"step \d+") as stopped:
        train(settings(world, tmp_path / "run", lr=1e30, clip=0.0, warmup=0))
    assert "loss" in str(stopped.value) or "gradient" in str(stopped.value)


def test_two_processes_train_as_one(world: Path, tmp_path: Path) -> None:
    """Nothing is drawn here: one view, one caption, no dropout; so the numbers must agree."""
    single = tmp_path / "single"
    single.mkdir()
    lines = []
    for line in (world / "metadata.jsonl").read_text().splitlines():
        row = json.loads(line)
        row["file_name"] = os.path.relpath(world / row["file_name"], single)
        lines.append(json.dumps({**row, "captions": row["captions"][:1]}))
    (single / "metadata.jsonl").write_text("\n".join(lines))
    alike = {"image_dropout": 0.0, "text_dropout": 0.0, "threads": 1}
    one = train(settings(single, tmp_path / "one", **alike))
    config = tmp_path / "two.toml"
    config.write_text(to_toml(settings(single, tmp_path / "two", **alike)))
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [sys.executable, *launcher, "-m", "cli", "train", "lite", "--config", str(config)],
        capture_output=True, text=True, timeout=240, cwd=REPOSITORY,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    expected = [row["loss"] for row in one.metrics()]
    assert [row["loss"] for row in Run.open(tmp_path / "two").metrics()] == pytest.approx(
        expected, rel=1e-4
    )


def test_a_holdout_that_leaves_nothing_is_refused(world: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="leaves nothing of 240 photos"):
        train(settings(world, tmp_path / "run", holdout=240))


def test_product_texts_name_the_colour() -> None:
    row = {"name": "Puma Cap", "article_type": "Caps", "colour": "Red"}
    assert data.product_texts(row) == (
        "Puma Cap", "Red Caps", "something red", "is red", "Caps",
    )  # fmt: skip
