"""A training teaches what makes a class, and its Run is an encoder that commands take."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from metric.config import TrainConfig
from metric.encoder import load, parts_of
from metric.evaluate import evaluate
from metric.layouts import load as load_data
from metric.model import Learner, groups
from metric.train import train
from metric.validation import embed
from vretr.encoders import Encoder, load_encoder
from vretr.encoders.backbones import load_backbone
from vretr.errors import MismatchError, UsageError
from vretr.training import Run

SHAPES = 12


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def _home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VRETR_HOME", str(home))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve classes by how many corners and how wide; the colours mean nothing."""
    folder = tmp_path_factory.mktemp("world")
    draws = np.random.default_rng(0)
    for number in range(SHAPES):
        place = folder / f"shape_{number:02}"
        place.mkdir()
        for photo in range(6):
            ground, ink = (tuple(draws.integers(0, 256, 3).tolist()) for _ in range(2))
            picture = Image.new("RGB", (64, 64), ground)
            x, y = draws.integers(26, 38, 2).tolist()
            radius = 12 + 8 * (number % 2)
            ImageDraw.Draw(picture).regular_polygon(
                (x, y, radius), 3 + number // 2, rotation=int(draws.integers(360)), fill=ink
            )
            picture.save(place / f"{photo}.png")
    return folder


def config(world: Path, out: Path, **others: object) -> TrainConfig:
    settings: dict[str, object] = {
        "data": str(world),
        "frozen": True,
        "size": 64,
        "views": 4,
        "dim": 32,
        "steps": 60,
        "batch_size": 16,
        "lr": 1e-3,
        "validate_every": 20,
        "device": "cpu",
        "threads": 1,
        "out": out,
    }
    return TrainConfig(**(settings | others))  # type: ignore[arg-type]


FRONTS = {
    "bare": {},
    "both": {"synthesis": True, "memvir": True, "memvir_steps": 3, "memvir_gap": 2},
}


@pytest.mark.parametrize("front", FRONTS)
def test_a_run_tells_how_it_went(world: Path, tmp_path: Path, front: str) -> None:
    run = train(config(world, tmp_path / "run", **FRONTS[front]))
    assert {"recall@1", "r_precision", "map@r"} == {*run.about["metrics"]}
    rows = run.metrics()
    assert [row["step"] for row in rows if "validation" in row] == [20, 40, 60]
    if front == "bare":  # virtual classes make the loss another one, step by step
        assert rows[-1]["loss"] < rows[0]["loss"] / 2
    card = (run.folder / "card.md").read_text()
    assert "held-out training classes" in card and "lite, avg pooling" in card


def test_a_run_is_an_encoder(world: Path, tmp_path: Path) -> None:
    run = train(config(world, tmp_path / "run", pooling="gem", steps=4, validate_every=4))
    encoder = load_encoder(run.folder)
    assert isinstance(encoder, Encoder) and encoder.dim == 32 and not encoder.reads_text
    data = load_data(str(world))
    embedder, backbone = parts_of(run.folder)
    seen = embed(embedder, data.test.paths[:3], run.config(TrainConfig), backbone)
    pictures = [Image.open(path).convert("RGB") for path in data.test.paths[:3]]
    np.testing.assert_allclose(encoder.encode_images(pictures), seen, atol=2e-3)
    report = evaluate_on(world, run.folder)
    assert report["settings"]["chosen_on"] == "held-out training classes"
    other = train(config(world, tmp_path / "other", steps=4, validate_every=4, seed=1))
    assert load_encoder(other.folder).identity != encoder.identity
    assert load(run.folder).identity == encoder.identity
    assert "wrong: shape " in (run.folder / "report.html").read_text()
    # Class weights and memory are no part of what is kept.
    assert not any("loss" in name for name in embedder.state_dict())


def evaluate_on(world: Path, run: Path) -> dict:
    from metric.config import EvalConfig

    return evaluate(EvalConfig(data=str(world), encoder=str(run))).to_dict()


def test_a_tower_is_trained_with_it(world: Path, tmp_path: Path) -> None:
    told = config(world, tmp_path / "run", frozen=False, size=32, steps=2, batch_size=8)
    run = train(told)
    start = load_backbone("lite", size=32).state_dict()
    embedder, _ = parts_of(run.folder)
    assert embedder.backbone is not None
    changed = embedder.backbone.state_dict()
    assert any(not torch.equal(changed[name], start[name]) for name in start if "weight" in name)
    still = [name for name in start if "running" in name]
    assert still and all(torch.equal(changed[name], start[name]) for name in still)


def test_groups_hold_every_parameter_once(world: Path, tmp_path: Path) -> None:
    told = config(world, tmp_path, frozen=False, pooling="ggem:groups=4", synthesis=True)
    model = Learner(told, load_backbone("lite"), classes=5)
    found = list(groups(model, told))
    held = [id(one) for group in found for one in group["params"]]
    assert sorted(held) == sorted(id(one) for one in model.parameters())
    rate = {id(one): group for group in found for one in group["params"]}
    powers = next(one for name, one in model.embedder.pool.named_parameters())
    assert rate[id(powers)]["weight_decay"] == 0 and rate[id(powers)]["lr"] == 10 * told.lr
    proxies = next(iter(model.loss.parameters()))
    assert rate[id(proxies)]["lr"] == 100 * told.lr and rate[id(proxies)]["weight_decay"] == 0
    assert rate[id(model.embedder.head.weight)]["weight_decay"] == told.weight_decay
    assert all(group["eps"] == told.adam_eps for group in found)


def test_a_training_goes_on_bit_for_bit(world: Path, tmp_path: Path) -> None:
    told = {**FRONTS["both"], "schedule": "constant", "validate_every": 100}
    whole = train(config(world, tmp_path / "whole", steps=12, **told))
    train(config(world, tmp_path / "parts", steps=5, **told))
    again = train(config(world, tmp_path / "parts", steps=12, resume=True, **told))
    one, other = ([row["loss"] for row in run.metrics()] for run in (whole, again))
    assert len(one) == 12 and one == other
    for name, tensor in parts_of(whole.folder)[0].state_dict().items():
        assert torch.equal(tensor, parts_of(again.folder)[0].state_dict()[name])


def test_balanced_batches_are_read(world: Path, tmp_path: Path) -> None:
    run = train(config(world, tmp_path / "run", instances=4, steps=3, validate_every=3))
    assert len(run.metrics()) == 3


def test_too_few_classes_are_said(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for photo in range(2):
            Image.new("RGB", (8, 8)).save(tmp_path / name / f"{photo}.png")
    with pytest.raises(MismatchError, match="each side needs 2 classes"):
        train(config(tmp_path, tmp_path / "run"))


def test_a_batch_larger_than_the_data_is_said(world: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="fewer than --batch-size"):
        train(config(world, tmp_path / "run", batch_size=512))


def test_another_tower_is_refused(world: Path, tmp_path: Path) -> None:
    run = train(config(world, tmp_path / "run", steps=2, validate_every=2))
    from vretr.training import checkpoints

    tensors, about = checkpoints.read(run.weights)
    about["encoder"]["identity"] = "another"
    checkpoints.write(run.weights, tensors, about)
    with pytest.raises(MismatchError, match="trained on lite with other weights"):
        Run.open(run.folder).load()
    assert json.loads((run.folder / "run.json").read_text())["kind"] == "encoder"
