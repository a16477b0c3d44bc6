"""The evaluation: with a detector that knows the truth, with a network, and on York Urban."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from safetensors.numpy import save_file

from lsd.architecture import layers
from lsd.config import EvalConfig
from lsd.evaluate import evaluate
from lsd.lines import Lines
from lsd.published import FIGURES
from tests.lsd.test_annotations import LINES, listed, picture, row
from vretr.errors import MismatchError, UsageError

WRONG = np.array([[150.0, 5.0, 155.0, 95.0]], np.float32)


class Knows:
    """Finds in every picture the same lines, surest first."""

    name, size, resize = "knows", 64, "area"

    def __init__(self, *ends: Any) -> None:
        self.ends = np.concatenate([np.asarray(some, np.float32).reshape(-1, 4) for some in ends])
        self.weights = {"a": np.zeros((3, 4)), "b": np.zeros(5)}

    def detect(self, image: Image.Image) -> Lines:
        scores = np.linspace(0.9, 0.5, len(self.ends), dtype=np.float32)
        return Lines(self.ends, scores, *image.size)

    def detect_batch(self, opened: list[Image.Image]) -> list[Lines]:
        return [self.detect(image) for image in opened]


@pytest.fixture
def detector(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a detector in the place of the one that is loaded."""
    return lambda found: monkeypatch.setattr("lsd.files.load", lambda model, **options: found)


def test_the_truth_is_perfect(tmp_path: Path, detector) -> None:
    detector(Knows(LINES))
    file = listed(tmp_path, [row(), row(name="b.png")])
    report = evaluate(EvalConfig(dataset=str(file), top_k=(10,)))
    names = {"sap5", "sap10", "sap15", "msap", "sf10", "lap", "fh", "aph"}
    assert report.metrics == pytest.approx(dict.fromkeys(names, 1.0))
    settings = dict(report.settings)
    assert settings.pop("frames_per_second") > 0
    assert settings == {
        "pictures": 2, "lines": 4, "model": "knows", "parameters": 17, "size": 64,
        "resize": "area", "top_k": [10], "flip": False, "score": 0.0, "length": 0.0, "clip": True,
        "subpixel": False, "merge": 0.0, "lines_per_picture": 2.0, "batch_size": 1,
        "device": "auto",
    }  # fmt: skip
    assert report.published == {} and report.split == "all"


def test_fewer_lines_are_measured_beside(tmp_path: Path, detector) -> None:
    """Of true, wrong, true: two of two at 3 lines, one of two at 1."""
    detector(Knows(LINES[:1], WRONG, LINES[1:]))
    file = listed(tmp_path, [row()])
    config = EvalConfig(dataset=str(file), top_k=(1, 3), pixels=False, batch_size=4)
    found = evaluate(config).metrics
    assert found["sap10"] == pytest.approx(1 / 2 + 1 / 2 * 2 / 3)
    assert found["sap10@1"] == found["lap@1"] == pytest.approx(1 / 2)
    assert "fh" not in found and "sap10@3" not in found


def test_a_picture_where_nothing_is_found_counts(tmp_path: Path, detector) -> None:
    detector(Knows(np.zeros((0, 4))))
    found = evaluate(EvalConfig(dataset=str(listed(tmp_path, [row()])))).metrics
    assert set(found.values()) == {0.0} and "fh" in found


def test_pictures_that_cannot_be_measured_are_named(tmp_path: Path, detector) -> None:
    detector(Knows(LINES))
    file = listed(tmp_path, [row(), row(name="b.png"), row(name="c.png")])
    picture(tmp_path / "images" / "b.png", (80, 50))
    (tmp_path / "images" / "c.png").write_bytes(b"no picture")
    with pytest.raises(MismatchError) as caught:
        evaluate(EvalConfig(dataset=str(file)))
    assert "2 pictures that cannot be measured" in str(caught.value)
    assert "b.png is 80 x 50, but its lines are for 160 x 100" in str(caught.value)
    assert "c.png: " in str(caught.value)


def random_network(file: Path) -> Path:
    """The tiny network with small random weights."""
    draw = np.random.default_rng(0)
    tensors = {}
    for name, layer in layers("tiny").items():
        inputs = 1 if layer.depthwise else layer.inputs
        shape = (layer.outputs, inputs, layer.kernel, layer.kernel)
        scale = np.sqrt(2 / np.prod(shape[1:]))
        tensors[f"{name}.weight"] = (draw.standard_normal(shape) * scale).astype(np.float32)
        tensors[f"{name}.bias"] = np.zeros(layer.outputs, np.float32)
    save_file(tensors, file)
    return file


def test_with_a_network(tmp_path: Path) -> None:
    """As typed, from the file to the table; what an untrained network finds is nearly nothing."""
    file = listed(tmp_path, [row()])
    image = Image.new("RGB", (160, 100), "white")
    for line in LINES:
        ImageDraw.Draw(image).line(line, fill="black", width=2)
    image.save(tmp_path / "images" / "a.png")
    weights = random_network(tmp_path / "tiny.safetensors")
    config = EvalConfig(
        dataset=str(file), model=str(weights), size=64, top_k=(50,), device="cpu", merge=1.0
    )
    report = evaluate(config)
    assert all(0 <= value <= 0.6 for value in report.metrics.values())
    assert report.settings["parameters"] == 613_936  # as the released file has it
    assert report.settings["size"] == 64


def test_without_such_a_model(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no detector and no file"):
        evaluate(EvalConfig(dataset=str(listed(tmp_path, [row()])), model="tinny"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"dataset": "york-urban"}, "york-urban needs a root"),
        ({"dataset": "x.json", "root": Path("x")}, "root belongs to york-urban and wireframe"),
        ({"dataset": "x.json", "top_k": ()}, "top_k must be"),
        ({"dataset": "x.json", "top_k": (200, 0)}, "top_k must be"),
        ({"dataset": "x.json", "batch_size": 0}, "batch_size is 0"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        EvalConfig(**options)


def test_wireframes_test_split_and_the_papers_rows(tmp_path: Path, detector) -> None:
    detector(Knows(LINES))
    listed(tmp_path, [row()], "valid.json")
    listed(tmp_path, [row(name="b.png"), row(name="c.png")], "train.json")
    report = evaluate(EvalConfig(dataset="wireframe", root=tmp_path, pixels=False))
    assert report.split == "test" and report.settings["pictures"] == 1
    assert report.published["M-LSD"]["sap10"] == 0.621
    for rows in FIGURES.values():
        for figures in rows.values():
            assert {*figures} <= {*report.metrics}


@pytest.mark.slow
def test_the_released_tiny_network_on_york_urban(shared_data: Path) -> None:
    """Within 0.3 points of an independent implementation with the same files."""
    model = shared_data / "mlsd" / "M-LSD_512_tiny_fp32.tflite"
    config = EvalConfig(
        dataset="york-urban",
        root=shared_data / "york_urban.zip",
        model=str(model),
        resize="bilinear",
        clip=False,
        pixels=False,
        device="cpu",
    )
    found = evaluate(config).metrics
    wanted = {
        "sap5@200": 0.2022, "sap10@200": 0.2246, "sap15@200": 0.2383,
        "sap5": 0.2209, "sap10": 0.2493, "sap15": 0.2672,
    }  # fmt: skip
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, abs=0.003)
