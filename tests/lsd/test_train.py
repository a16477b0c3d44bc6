"""Training of the line detector."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file
from torch.utils.data import ConcatDataset

import lsd
from lsd.config import LOSSES, TrainConfig
from lsd.folding import ENCODER
from lsd.losses import LossWeights
from lsd.model import MLSD
from lsd.targets import targets
from lsd.train import groups, new_model, split, train
from vretr.errors import UsageError

SMALL = TrainConfig(
    rendered=8, size=64, steps=6, batch_size=4, warmup=0, device="cpu", threads=1, holdout=0.0
)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(4):
        pixels = random.integers(0, 256, (70, 70, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_a_run_is_a_detector(tmp_path: Path) -> None:
    run = train(replace(SMALL, out=tmp_path / "run"))
    assert (run.kind, run.method) == ("detector", "lsd")
    found = lsd.load(tmp_path / "run", size=64, score=0.0)
    assert found.network_size == "tiny"
    assert len(found.detect(np.zeros((64, 64, 3), np.uint8))) <= 200
    assert "8 rendered scenes" in (tmp_path / "run" / "card.md").read_text()


def test_resuming_is_bit_for_bit(tmp_path: Path) -> None:
    first = replace(SMALL, out=tmp_path / "halves", ema=0.9, steps=3, schedule="constant")
    train(first)
    resumed = train(replace(first, steps=6, resume=True))
    once = train(replace(first, out=tmp_path / "once", steps=6))
    a, b = (load_file(each.weights) for each in (resumed, once))
    assert all(np.array_equal(a[name], b[name]) for name in a)


def test_a_student_learns_from_its_teacher(tmp_path: Path, photos: Path, monkeypatch) -> None:
    monkeypatch.setenv("VRETR_HOME", str(tmp_path / "home"))
    torch.manual_seed(0)
    teacher = tmp_path / "teacher.safetensors"
    weights = MLSD("large").folded()
    weights["head_out.weight"] *= 30  # sure of something
    weights["head_out.bias"][:] = 0
    save_file(weights, teacher)
    config = replace(
        SMALL,
        rendered=0,
        photos=(photos,),
        teacher=str(teacher),
        teacher_size=64,
        steps=30,
        batch_size=2,
        lr=3e-3,
        holdout=0.25,
        validate_every=15,
        out=tmp_path / "run",
    )
    run = train(config)
    rows = run.metrics()
    parts = ("loss", "centre")
    first, last = (
        {name: np.mean([row[name] for row in some]) for name in parts}
        for some in (rows[:5], rows[-5:])
    )
    assert all(last[name] < first[name] for name in parts), (first, last)
    assert {"sap10", "loss"} <= rows[-1]["validation"].keys()
    assert "teacher.safetensors says" in (tmp_path / "run" / "card.md").read_text()


def test_the_encoder_may_start_elsewhere_and_stay(tmp_path: Path) -> None:
    torch.manual_seed(0)
    large = MLSD("large").folded()
    save_file(large, tmp_path / "large.safetensors")
    config = replace(
        SMALL, start=str(tmp_path / "large.safetensors"), encoder_lr=0.0, out=tmp_path / "run"
    )
    run = train(config)
    found = lsd.load(run.folder).weights
    for name in found:
        if name.startswith(ENCODER):
            assert np.allclose(found[name], large[name], atol=1e-5), name
    assert not np.allclose(found["head_fine.weight"], large["head_fine.weight"])


@pytest.mark.parametrize("size", ["tiny", "large"])
def test_a_start_is_all_of_the_same_network_or_the_encoder_of_the_other(
    tmp_path: Path, size: str
) -> None:
    torch.manual_seed(3)
    weights = MLSD(size).folded()
    save_file(weights, tmp_path / "start.safetensors")
    config = replace(SMALL, start=str(tmp_path / "start.safetensors"))
    data = [(torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8), targets(np.empty((0, 4)), 32))]
    found = new_model(config, ConcatDataset([data])).folded()
    encoder = [name for name in found if name.startswith(ENCODER)]
    wanted = found if size == "tiny" else encoder
    assert all(np.allclose(found[name], weights[name], atol=1e-5) for name in wanted)
    same = np.allclose(found["head_wide.weight"], weights["head_wide.weight"], atol=1e-5)
    assert same == (size == "tiny")


def test_groups() -> None:
    model = MLSD("tiny")
    found = [*groups(model, replace(SMALL, encoder_lr=0.1, lr=0.5))]
    assert sum(len(group["params"]) for group in found) == len([*model.parameters()])
    assert {group["lr"] for group in found} == {0.05, 0.5}
    assert all(
        (group["weight_decay"] > 0) == (parameter.ndim > 1)
        for group in found
        for parameter in group["params"]
    )
    frozen = [*groups(model, replace(SMALL, encoder_lr=0.0))]
    assert {group["lr"] for group in frozen} == {SMALL.lr}


def test_all_parts_of_a_photo_are_on_one_side() -> None:
    owners = [number // 3 for number in range(30)]
    kept, out = split(owners, 0.2, seed=1)
    assert sorted([*kept, *out]) == [*range(30)] and len(out) == 6
    assert not {owners[number] for number in kept} & {owners[number] for number in out}


def test_switches_are_the_losses() -> None:
    defaults = {name: getattr(LossWeights(), name) for name in LOSSES}
    assert TrainConfig(rendered=1).loss_weights == defaults


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"photos": (Path("x"),)}, "together"),
        ({"teacher": "mlsd-large"}, "together"),
        ({"size": 100}, "multiple of 16"),
        ({"holdout": 1.0}, "holdout"),
        (dict.fromkeys(LOSSES, 0.0), "all weights"),
        ({"photos": (Path("x"),), "teacher": "t", "size": 1024}, "teacher_size"),
    ],
)
def test_configs_without_sense_are_refused(wrong: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(SMALL, **wrong)


def test_too_little_to_train_on(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Give what to learn from"):
        train(replace(SMALL, rendered=0, out=tmp_path / "none"))
    with pytest.raises(UsageError, match="fewer than --batch-size"):
        train(replace(SMALL, rendered=2, out=tmp_path / "run"))
