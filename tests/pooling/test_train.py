"""Training, the Run as an Encoder, and its evaluation."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pooling.classifier import Classifier
from pooling.config import EvalConfig, TrainConfig
from pooling.data import look, parts, seen_of
from pooling.evaluate import evaluate
from pooling.train import figures, train
from vretr.data.labelled import Labelled
from vretr.encoders import Encoder, load_encoder
from vretr.encoders.backbones import load_backbone
from vretr.errors import MismatchError, UsageError
from vretr.training import Run

VIT = "timm:test_vit/random"
QUICK: dict[str, Any] = {
    "backbone": VIT,
    "size": 32,
    "steps": 8,
    "batch_size": 8,
    "validate_every": 4,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def run(coloured: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Of a tower that was trained with the rest."""
    out = tmp_path_factory.mktemp("run")
    return train(TrainConfig(data=coloured, out=out, holdout=0.4, **QUICK))


@pytest.fixture(scope="module")
def frozen(coloured: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Of `lite`, left as it is."""
    settings = QUICK | {"backbone": "lite", "size": 64, "steps": 60, "validate_every": 30}
    out = tmp_path_factory.mktemp("frozen")
    return train(TrainConfig(data=coloured, out=out, frozen=True, **settings))


def test_p_is_logged_and_moves(run: Run) -> None:
    rows = run.metrics()
    assert {"loss", "accuracy", "p_mean", "p_min", "p_max"} <= set(rows[0])
    assert rows[0]["p_min"] == rows[0]["p_max"] == 3
    assert rows[-1]["p_min"] != 3
    assert set(rows[3]["validation"]) == {"accuracy", "map@r", "recall@1"}
    assert "Powers: pool.p: " in (run.folder / "card.md").read_text()


def test_without_p_there_is_none_to_log(coloured: Path, tmp_path: Path) -> None:
    config = TrainConfig(data=coloured, out=tmp_path / "run", pooling="cls,avg", **QUICK)
    assert not {"p_mean"} & set(train(config).metrics()[0])


def test_a_run_is_an_encoder(run: Run, coloured: Path) -> None:
    encoder = load_encoder(run.folder, device="cpu")
    assert isinstance(encoder, Encoder)
    pictures = [Image.open(path) for path in sorted(coloured.rglob("*.png"))[:5]]
    vectors = encoder.encode_images(pictures)
    assert vectors.shape == (5, encoder.dim) == (5, 64)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    again = load_encoder(run.folder, device="cpu")
    np.testing.assert_array_equal(again.encode_images(pictures), vectors)
    assert again.identity == encoder.identity
    assert not encoder.reads_text
    with pytest.raises(UsageError, match="--image"):
        encoder.encode_texts(["red"])


def test_identity_is_of_what_decides_the_vectors(run: Run) -> None:
    def identity(change: str) -> str:
        encoder = load_encoder(run.folder, device="cpu")
        with torch.no_grad():
            dict(encoder.model.named_parameters())[change].add_(1)  # type: ignore[attr-defined]
        return encoder.identity

    same = identity("linear.weight")
    assert same == load_encoder(run.folder, device="cpu").identity
    assert identity("pool.p") != same
    assert identity("backbone.network.cls_token") != same


def test_a_frozen_tower_is_no_part_of_the_run(frozen: Run, coloured: Path) -> None:
    from safetensors import safe_open

    with safe_open(frozen.weights, framework="pt") as file:
        assert sorted(file.keys()) == ["linear.bias", "linear.weight", "pool.p"]
    report = evaluate(EvalConfig(data=coloured, encoder=str(frozen.folder), device="cpu"))
    assert report.metrics["accuracy"] >= 0.8
    assert len(report.settings["p"]["p"]) == 1
    assert report.settings["classes"] == 3


def test_the_encoder_sees_what_the_training_saw(frozen: Run, coloured: Path) -> None:
    config = frozen.config(TrainConfig)
    encoder: Any = load_encoder(frozen.folder, device="cpu")
    data = Labelled(sorted(coloured.rglob("*.png"))[:4], np.zeros(4, np.int64), ["x"])
    views = look(data, config, load_backbone("lite", size=64, frozen=True), views=1)
    with torch.no_grad():
        expected = encoder.model.vectors(seen_of(views, range(4), [0] * 4)).numpy()
    pictures = [Image.open(path) for path in data.paths]
    np.testing.assert_allclose(encoder.project_images(pictures), expected, rtol=3e-3, atol=3e-3)


def test_views_are_pooled_where_nothing_is_learned(coloured: Path) -> None:
    backbone = load_backbone("lite", size=64, frozen=True)
    data = Labelled(sorted(coloured.rglob("*.png"))[:3], np.zeros(3, np.int64), ["x"])
    for pooling, pooled in (("avg", True), ("ggem:learnable=false", True), ("ggem", False)):
        config = TrainConfig(data=coloured, frozen=True, pooling=pooling)
        views = look(data, config, backbone, views=2)
        assert views.pooled == pooled
        model = Classifier(backbone, pooling, classes=2, frozen=True)
        assert model(seen_of(views, [0, 2], [1, 0])).shape == (2, 2)


def test_zero_shot_rows(coloured: Path) -> None:
    config = EvalConfig(data=coloured, encoder="lite+gem", device="cpu", workers=0)
    report = evaluate(config)
    assert set(report.metrics) == {"map@r", "recall@1"}
    assert (report.split, report.settings["photos"]) == ("all", 30)


def test_accuracy_wants_the_same_classes(
    frozen: Run, coloured: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = shutil.copytree(coloured, tmp_path / "other")
    shutil.rmtree(other / "blue")
    config = EvalConfig(data=other, encoder=str(frozen.folder), device="cpu", workers=0)
    assert evaluate(config).metrics["accuracy"] >= 0.8  # labels go by name, not by place
    (other / "red").rename(other / "crimson")
    assert set(evaluate(config).metrics) == {"map@r", "recall@1"}
    assert "does not know 1 of the 2 classes" in caplog.text


def test_splits_by_column(coloured: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(coloured, tmp_path / "table")
    rows = [
        {
            "file_name": str(path.relative_to(folder)),
            "class_name": path.parent.name,
            "split": ("train", "val", "test")[int(path.stem) % 3],
        }
        for path in sorted(folder.rglob("*.png"))
    ]
    table = folder / "labels.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    trained, chosen = parts(TrainConfig(data=folder, split="train", val_split="val"))
    assert chosen is not None
    assert (len(trained.paths), len(chosen.paths)) == (12, 9)
    assert trained.names == chosen.names
    table.write_text(table.read_text() + json.dumps(rows[1] | {"class_name": "x"}) + "\n")
    with pytest.raises(MismatchError, match="1 classes are not among those trained on: x"):
        parts(TrainConfig(data=folder, split="train", val_split="val"))


def test_photos_are_held_out_by_the_seed(coloured: Path) -> None:
    def held(seed: int) -> set[Path]:
        trained, out = parts(TrainConfig(data=coloured, seed=seed, holdout=0.2))
        assert out is not None
        assert not {*trained.paths} & {*out.paths}
        assert (len(trained.paths), len(out.paths)) == (24, 6)
        return {*out.paths}

    assert held(0) == held(0) != held(1)
    assert parts(TrainConfig(data=coloured, holdout=0))[1] is None
    with pytest.raises(UsageError, match="leaves no photo"):
        parts(TrainConfig(data=coloured, holdout=0.99))


def test_p_is_trained_apart() -> None:
    model = Classifier(load_backbone(VIT, size=32), "ggem", classes=2, frozen=False)
    groups = model.groups(lr=1e-3, weight_decay=0.1, backbone_lr=0.1, pooling_lr=10)
    by_p = [group for group in groups if model.pool.p in {*group["params"]}]
    assert [(group["lr"], group["weight_decay"]) for group in by_p] == [(1e-2, 0.0)]
    assert {group["lr"] for group in groups} == {1e-4, 1e-3, 1e-2}
    members = [id(one) for group in groups for one in group["params"]]
    assert sorted(members) == sorted(map(id, model.parameters()))


def test_figures_of_lone_photos() -> None:
    data = Labelled([Path("a"), Path("b")], np.array([0, 1]), ["x", "y"])
    assert figures(torch.eye(2), None, data) == {}
    assert figures(torch.eye(2), torch.eye(2), data) == {"accuracy": 1.0}


def test_what_cannot_be_trained_is_refused(coloured: Path, tmp_path: Path) -> None:
    config = TrainConfig(data=coloured, out=tmp_path / "run", pooling="cls", frozen=True)
    with pytest.raises(UsageError, match="lite has no class token"):
        train(config)
    with pytest.raises(UsageError, match="did you mean gem"):
        train(TrainConfig(data=coloured, pooling="gme"))
    with pytest.raises(UsageError, match="write lite"):
        train(TrainConfig(data=coloured, backbone="lite+gem"))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"holdout": 1.0}, "holdout"),
        ({"least_crop": 0.0}, "least_crop"),
        ({"views": 0}, "views"),
        ({"size": 0}, "size"),
        ({"pooling_lr": -1.0}, "pooling_lr"),
        ({"val_split": "val"}, "together with split"),
    ],
)
def test_impossible_configs_are_refused(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        TrainConfig(data=Path("x"), **values)
