"""The evaluation with encoders that know the truth or nothing, on the four sets in small."""

import csv
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from metric import evaluate as module
from metric.config import EvalConfig, TrainConfig
from metric.evaluate import evaluate
from metric.published import MEMVIR, SYNTHESIS, rows
from tests.metric.sets import COLOURS, MAKE, photo
from vretr.errors import MismatchError, UsageError
from vretr.images import Preprocessing
from vretr.methods import Report
from vretr.training import Run


class Seen:
    """A picture's mean colour, around grey; unit length."""

    dim, reads_text = 4, False
    preprocessing = Preprocessing(8, (0.0,) * 3, (1.0,) * 3, fit="squash")

    def __init__(self, name: str) -> None:
        self.name = self.identity = name

    def encode_images(self, images: Any) -> NDArray[np.float32]:
        light = np.asarray(images, np.float32).mean(axis=(2, 3)) / 255 - 0.5
        vectors = np.concatenate([light, np.full((len(light), 1), 0.2)], axis=1)
        if self.name == "broken":
            vectors = vectors * np.nan
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    def encode_texts(self, texts: Any) -> NDArray[np.float32]:
        raise UsageError("no words")


@pytest.fixture(autouse=True)
def seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "load_encoder", lambda name, *, device, precision: Seen(name))
    monkeypatch.setenv("VRETR_HOME", str(tmp_path / "home"))


def measure(data: str, **options: Any) -> Report:
    return evaluate(EvalConfig(**{"data": data, "encoder": "seen", "workers": 0, **options}))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Eight classes, a colour each, of three equal photos."""
    for number, colour in enumerate(COLOURS):
        for place in range(3):
            photo(tmp_path / "photos" / colour / f"{place}.png", number)
    return tmp_path / "photos"


def test_one_that_sees_the_classes_is_perfect(photos: Path) -> None:
    report = measure(str(photos), nmi=True, test_classes=0.25)
    assert report.metrics == pytest.approx(
        dict.fromkeys([*(f"recall@{k}" for k in (1, 2, 4, 8)), "r_precision", "map@r", "nmi"], 1.0)
    )
    assert report.settings == {
        "queries": 6,
        "gallery": 6,
        "classes": 2,
        "lone_queries": 0,
        "exact_duplicates": 4,
        "classes_by": "draw",
        "test_classes": 0.25,
        "split_seed": 0,
        "encoder": "seen",
        "identity": "seen",
        "precision": "auto",
        "ties": "index",
        "k_means": "faiss, all vectors, 25 rounds, seed 0",
    }
    assert report.published == {} and report.split == "test"
    assert json.loads(json.dumps(report.to_dict())) == report.to_dict()


def test_other_parts(photos: Path) -> None:
    assert measure(str(photos), split="train", test_classes=0.25).settings["queries"] == 18
    assert measure(str(photos), split="all").settings["queries"] == 24


def test_a_photo_in_the_wrong_class(photos: Path) -> None:
    """A red one among the lime ones misses. The two red ones are as near to it as to each other."""
    (photos / "red" / "0.png").rename(photos / "lime" / "9.png")
    # It stands before them in the gallery.
    for ties, right in (("index", 21), ("pessimistic", 21), ("optimistic", 23)):
        found = measure(str(photos), split="all", k=(1, 2), ties=ties).metrics
        assert found["recall@1"] == pytest.approx(right / 24)
        assert found["recall@2"] == pytest.approx(23 / 24)


def test_classes_of_one_photo_are_left_out_and_counted(photos: Path) -> None:
    (photos / "red" / "1.png").unlink()
    (photos / "red" / "2.png").unlink()
    report = measure(str(photos), split="all")
    assert report.settings["lone_queries"] == 1 and report.settings["queries"] == 21
    assert report.settings["classes"] == 7


@pytest.mark.parametrize(
    ("name", "queries", "ks"),
    [
        ("cub", 4, (1, 2, 4, 8)),
        ("cars", 4, (1, 2, 4, 8)),
        ("sop", 6, (1, 10, 100, 1000)),
        ("inshop", 2, (1, 10, 20, 40)),
    ],
)
def test_the_four_sets(name: str, queries: int, ks: tuple[int, ...], tmp_path: Path) -> None:
    MAKE[name](tmp_path)
    report = measure(name, root=tmp_path)
    assert [int(k[7:]) for k in report.metrics if k.startswith("recall@")] == list(ks)
    assert report.settings["queries"] == queries
    assert "PS + norm-softmax (AAAI 2021)" in report.published
    assert measure(name, root=tmp_path, split="all").published == {}


def test_inshop_searches_its_gallery(tmp_path: Path) -> None:
    MAKE["inshop"](tmp_path)
    report = measure("inshop", root=tmp_path, page=tmp_path / "page.html")
    assert report.settings["gallery"] == 4
    assert report.settings["lone_queries"] == 1  # item 9 is not in the gallery
    assert report.metrics["recall@1"] == 1
    assert "seen on inshop, test" in (tmp_path / "page.html").read_text()


def test_figures_by_class_and_a_page(photos: Path, tmp_path: Path) -> None:
    table, page = tmp_path / "classes.csv", tmp_path / "page.html"
    (photos / "red" / "0.png").rename(photos / "lime" / "9,.png")
    (photos / "lime").rename(photos / 'li,"me')
    measure(str(photos), split="all", k=(1,), per_class=table, page=page)
    with table.open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [*read[0]] == ["class", "queries", "recall@1", "r_precision", "map@r"]
    assert {row["class"] for row in read} == {*COLOURS, 'li,"me'} - {"lime"}
    by_name = {row["class"]: row for row in read}
    assert by_name['li,"me']["queries"] == "4" and by_name['li,"me']["recall@1"] == "0.750000"
    text = page.read_text()
    assert "wrong: li,&#34;me, nearest red (1.00)" in text and "map@r" in text
    with pytest.raises(UsageError, match="cannot be written"):
        measure(str(photos), page=tmp_path / "nowhere" / "page.html")


def test_what_cannot_be_measured(photos: Path) -> None:
    with pytest.raises(MismatchError, match="hold NaN or infinity"):
        measure(str(photos), encoder="broken")
    (photos / "red" / "0.png").write_bytes(b"no picture")
    with pytest.raises(MismatchError, match=r"1 pictures cannot be read: .*red/0.png"):
        measure(str(photos), split="all")


def run(folder: Path, **options: Any) -> Path:
    config = TrainConfig(**{"data": "cub", "root": Path("x"), "out": folder, **options})
    Run.create(config, method="metric", kind="encoder", encoder="lite", identity="x")
    return folder


def test_a_run_says_on_what_it_was_chosen(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    MAKE["cub"](tmp_path)
    with caplog.at_level(logging.WARNING):
        fair = measure("cub", root=tmp_path, encoder=str(run(tmp_path / "a", loss="cosface")))
        assert "too good" not in caplog.text
        peeked = run(tmp_path / "b", choose_on="test", test_classes=0.3)
        unfair = measure("cub", root=tmp_path, encoder=str(peeked))
    assert fair.settings["chosen_on"] == "held-out training classes"
    assert "MemVir + cosface (ICCV 2021)" in fair.published
    assert unfair.settings["chosen_on"] == "test classes"
    assert "was chosen on its test classes: its figures on them are too good" in caplog.text
    assert "it may have seen classes that are tested here" in caplog.text


def test_published_rows() -> None:
    cars = rows("cars")
    assert cars["PS + norm-softmax (AAAI 2021)"] == {"recall@1": 0.847}
    assert cars["MemVir + norm-softmax (ICCV 2021, mean of 5)"] == {
        "recall@1": 0.8611, "r_precision": 0.3829, "map@r": 0.2846,
    }  # fmt: skip
    assert rows("inshop", "proxy-anchor") == {
        "proxy-anchor (AAAI 2021)": {"recall@1": 0.915},
        "PS + proxy-anchor (AAAI 2021)": {"recall@1": 0.919},
    }
    assert rows("photos/") == {} == rows("cub", "circle")
    for table, gain in ((SYNTHESIS, 0.3), (MEMVIR, 0.7)):
        assert all(b - a > gain for sets in table.values() for a, b in sets)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"k": (1, 0)}, "k is 0"),
        ({"test_classes": 1.0}, "test_classes is 1.0"),
        ({"batch_size": 0}, "batch_size is 0"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        EvalConfig(data="x", **options)
