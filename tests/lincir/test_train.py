"""The training as typed and as a function: it learns, resumes, refuses, chooses."""

import gc
import json
import os
import signal
import subprocess
import sys
import time
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from lincir import files
from lincir.config import TrainConfig
from lincir.train import decided, split, train
from tests.cli.conftest import environment
from vretr.errors import MismatchError, UsageError, VretrError
from vretr.training import Run

SMALL = {
    "steps": 12,
    "batch_size": 16,
    "holdout": 20,
    "hidden": 32,
    "device": "cpu",
    "threads": 1,
    "precision": "fp32",
}


def settings(clip: str, captions: Path, out: Path, **others) -> TrainConfig:
    given = {"backbone": clip, "corpus": (str(captions),), "out": out}
    return TrainConfig(**{**SMALL, **given, **others})


def weights(run: Run) -> dict[str, torch.Tensor]:
    return load_file(run.weights)


def rows(run: Run) -> list[dict]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in run.metrics()]


def test_it_learns_to_say_what_it_masked(clip, corpus: Path, tmp_path: Path) -> None:
    run = train(
        settings(
            clip,
            corpus,
            tmp_path / "run",
            steps=200,
            lr=3e-3,
            noise=0.1,
            dropout=0.0,
            validate_every=20,
        )
    )
    losses = [row["validation"]["loss"] for row in run.metrics() if "validation" in row]
    assert run.about["metrics"]["loss"] == min(losses) < 0.6 * losses[0]
    composer = run.load(device="cpu")
    pictures = np.random.default_rng(0).normal(size=(2, 24)).astype(np.float32)
    assert composer.compose(pictures, ["in the snow"]).shape == (24,)
    # 120 were given, 20 kept out. The folder's name, which the card has too, may hold any number.
    assert "\n100 sentences of " in (run.folder / "card.md").read_text()


def test_the_run_says_how_long_vectors_are(clip, corpus, tmp_path, encoder) -> None:
    run = train(settings(clip, corpus, tmp_path / "run", tokens=2, holdout=0))
    with torch.no_grad():
        from tests.lincir.conftest import CAPTIONS

        vectors = encoder.embed(encoder.prompts([(caption,) for caption in CAPTIONS]))
    phi = files.read(run.folder).phi
    assert phi.length == pytest.approx(float(vectors.norm(dim=1).mean()), rel=1e-4)
    assert phi.width == 64 and not phi.unit


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_resumed_bit_for_bit(clip, corpus: Path, tmp_path: Path, precision: str) -> None:
    every = {"ema": 0.9, "validate_every": 5, "save_every": 4, "precision": precision}
    straight = train(settings(clip, corpus, tmp_path / "straight", **every))
    train(settings(clip, corpus, tmp_path / "run", **every | {"steps": 8}))
    resumed = train(settings(clip, corpus, tmp_path / "run", resume=True, **every))
    # The first part ended with a validation of its own, at its last step.
    mine = [{k: v for k, v in row.items() if k != "validation"} for row in rows(resumed)]
    theirs = [{k: v for k, v in row.items() if k != "validation"} for row in rows(straight)]
    assert mine == theirs
    assert all(torch.equal(weights(resumed)[n], t) for n, t in weights(straight).items())


def test_workers_and_kept_vectors_change_nothing(clip, corpus: Path, tmp_path: Path) -> None:
    plain = train(settings(clip, corpus, tmp_path / "plain", keep_features=False))
    workers = train(settings(clip, corpus, tmp_path / "workers", keep_features=False, workers=1))
    assert rows(plain) == rows(workers)
    kept = train(settings(clip, corpus, tmp_path / "kept", steps=14))  # 224 of 100: kept
    assert len([*(tmp_path / "home" / "lincir").glob("*/features-*.npy")]) == 1
    found = [row["loss"] for row in kept.metrics()][:12]
    assert found == pytest.approx([row["loss"] for row in plain.metrics()], rel=1e-4)


def test_the_same_seed_gives_the_same_and_another_does_not(clip, corpus, tmp_path) -> None:
    runs = [
        train(settings(clip, corpus, tmp_path / f"{i}", seed=seed))
        for i, seed in enumerate((1, 1, 2))
    ]
    assert rows(runs[0]) == rows(runs[1]) != rows(runs[2])


@pytest.mark.parametrize(
    "change", [{"masking": "original"}, {"l2_normalize": True}, {"noise": 0.0}]
)
def test_every_switch_changes_the_training(clip, corpus, tmp_path, change) -> None:
    corpus.write_text(corpus.read_text().replace("a large", "a very large"))  # spoilt by a lone "a"
    plain = train(settings(clip, corpus, tmp_path / "plain"))
    other = train(settings(clip, corpus, tmp_path / "other", **change))
    assert rows(plain) != rows(other)
    assert files.read(other.folder).phi.unit == change.get("l2_normalize", False)


def write_triplets(folder: Path) -> Path:
    draws = np.random.default_rng(0)
    for number in range(6):
        pixels = draws.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    file = folder / "triplets.jsonl"
    lines = [
        {"reference": f"{i}.png", "text": "is red", "targets": [f"{(i + 1) % 6}.png"]}
        for i in range(6)
    ]
    file.write_text("\n".join(map(json.dumps, lines)))
    return file


def test_triplets_may_choose_and_the_image_tower_is_gone(
    clip, corpus, tmp_path, monkeypatch
) -> None:
    from vretr.encoders.openclip import OpenClip

    seen = []
    real = OpenClip._image_tower.func

    def built(encoder):
        seen.append(weakref.ref(encoder))
        return real(encoder)

    monkeypatch.setattr(OpenClip._image_tower, "func", built)
    config = settings(
        clip, corpus, tmp_path / "run", triplets=write_triplets(tmp_path), validate_every=6
    )
    run = train(config)
    found = [row["validation"] for row in run.metrics() if "validation" in row]
    names = {"recall@1", "recall@10", "map@10", "loss"}
    assert len(found) == 2 and all(names <= set(figures) for figures in found)
    assert (
        run.about["metrics"]["recall@10"] == max(figures["recall@10"] for figures in found) == 1.0
    )
    assert "recall@10 on" in (run.folder / "card.md").read_text()
    gc.collect()
    assert [encoder() for encoder in seen] == [None]
    train(settings(clip, corpus, tmp_path / "again", triplets=config.triplets))
    assert len(seen) == 1  # the vectors were kept


def test_one_word_captions_other_letters_and_dollars(clip, tmp_path: Path, caplog) -> None:
    file = tmp_path / "odd.txt"
    file.write_text("\n".join(["dog", "runs", "", "$", "빨간 자동차", "costs $5"] * 10))
    run = train(settings(clip, file, tmp_path / "run", holdout=0))
    assert np.isfinite([row["loss"] for row in run.metrics()]).all()
    assert "20 of 60 lines of the corpus are empty" in caplog.text
    assert "10 of 40 sentences are not in Latin letters" in caplog.text


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"holdout": 120}, UsageError, "--holdout 120 leaves nothing of 120 sentences"),
        ({"batch_size": 200}, UsageError, "fewer than --batch-size 200"),
        ({"tokens": 5}, UsageError, "--tokens 5 leaves .* no room for words"),
        ({"backbone": "timm:resnet10t/random"}, UsageError, "takes no pseudo words: take lite"),
        ({"backbone": "ViT-B-16-SigLIP/random"}, UsageError, "is not CLIP's"),
        ({"backbone": "ViT-L"}, VretrError, "is not on this machine and the network is off"),
        ({"corpus": ("paper",)}, UsageError, "the network is off"),
        ({"column": ("words",)}, MismatchError, "no column words"),
    ],
)
def test_what_cannot_be_trained(clip, corpus, tmp_path, change, error, sentence) -> None:
    with pytest.raises(error, match=sentence):
        train(settings(clip, corpus, tmp_path / "run", **change))
    assert not (tmp_path / "run" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"dropout": 1.0}, "dropout"),
        ({"noise": -1.0}, "noise"),
        ({"tokens": 0}, "tokens"),
        ({"corpus": ()}, "corpus"),
        ({"holdout": -1}, "holdout"),
    ],
)
def test_impossible_values(change, problem) -> None:
    with pytest.raises(ValueError, match=problem):
        TrainConfig(**change)


def test_the_defaults_are_the_papers() -> None:
    config = TrainConfig()
    wanted = {
        "steps": 20_000, "batch_size": 512, "lr": 1e-4, "weight_decay": 0.01, "warmup": 0,
        "schedule": "constant", "clip": 0.0, "ema": 0.0, "dropout": 0.5, "noise": 1.0, "tokens": 1,
        "seed": 12345, "validate_every": 1000, "l2_normalize": False, "backbone": "ViT-L",
    }  # fmt: skip
    assert {name: getattr(config, name) for name in wanted} == wanted


def test_split_is_a_partition_that_the_seed_decides() -> None:
    trained, held_out = split(50, 10, 3)
    assert sorted([*trained, *held_out]) == [*range(50)] and len(held_out) == 10
    np.testing.assert_array_equal(split(50, 10, 3)[1], held_out)
    assert set(split(50, 10, 4)[1]) != set(held_out)


def test_auto_is_decided_once_and_kept_on_resume(clip, corpus, tmp_path, monkeypatch) -> None:
    config = settings(clip, corpus, tmp_path / "run", precision="auto", steps=4)
    monkeypatch.setattr("lincir.train.multiplies_bf16_fast", lambda device: True)
    assert train(config).config(TrainConfig).precision == "bf16"
    monkeypatch.setattr("lincir.train.multiplies_bf16_fast", lambda device: False)
    assert decided(config, "cpu").precision == decided(config, "cpu:0").precision == "fp32"
    more = replace(config, steps=6, resume=True)
    assert decided(more, "cpu").precision == train(more).config(TrainConfig).precision == "bf16"
    assert decided(config, "cuda") == config
    assert decided(replace(config, precision="bf16"), "cpu").precision == "bf16"


def test_bf16_learns_as_float32_does(clip, corpus, tmp_path) -> None:
    """Of the same draws, all along; another seed goes another way."""
    curves = []
    for name, change in {
        "fp32": {}, "bf16": {"precision": "bf16"}, "other": {"seed": 7}
    }.items():  # fmt: skip
        made = settings(clip, corpus, tmp_path / name, steps=200, lr=3e-3, noise=0.1, **change)
        curves.append(np.array([row["loss"] for row in train(made).metrics()]))
    exact, low, other = curves
    assert exact[-20:].mean() < 0.7 * exact[:20].mean()
    apart = np.abs(low / exact - 1)
    assert 0 < np.median(apart) < 0.01
    assert np.median(np.abs(other / exact - 1)) > 0.1


def command(clip: str, corpus: Path, out: Path, *more: str) -> list[str]:
    options = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
    where = [f"--backbone={clip}", f"--corpus={corpus}", f"--out={out}"]
    return [sys.executable, "-m", "cli", "train", "lincir", *options, *where, *more]


@pytest.mark.slow
def test_ctrl_c_saves_and_resume_ends_as_if_nothing_had_been(clip, corpus, tmp_path) -> None:
    long = ("--steps=400", "--no-keep-features", "--save-every=7")
    run = {"env": environment(), "capture_output": True, "check": True}
    subprocess.run(command(clip, corpus, tmp_path / "straight", *long), **run)
    process = subprocess.Popen(
        command(clip, corpus, tmp_path / "run", *long),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    file = tmp_path / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (file.exists() and file.read_text().count("\n") >= 5):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and out == "" and "--resume goes on" in err
    assert "Traceback" not in err
    subprocess.run(command(clip, corpus, tmp_path / "run", *long, "--resume"), **run)
    straight, resumed = Run.open(tmp_path / "straight"), Run.open(tmp_path / "run")
    assert rows(straight) == rows(resumed)
    assert all(torch.equal(weights(resumed)[n], t) for n, t in weights(straight).items())


@pytest.mark.slow
def test_two_processes_train_as_one(clip, corpus, tmp_path) -> None:
    """Nothing is drawn here: no noise, no dropout; so the numbers must agree."""
    alike = {"noise": 0.0, "dropout": 0.0}
    one = train(settings(clip, corpus, tmp_path / "one", **alike))
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    words = command(clip, corpus, tmp_path / "two", "--noise=0", "--dropout=0")[1:]
    done = subprocess.run(
        [sys.executable, *launcher, *words], capture_output=True, text=True, timeout=240,
        env=environment({"VRETR_HOME": os.environ["VRETR_HOME"]}),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    expected = [row["loss"] for row in one.metrics()]
    found = [row["loss"] for row in Run.open(tmp_path / "two").metrics()]
    assert found == pytest.approx(expected, rel=1e-4)
