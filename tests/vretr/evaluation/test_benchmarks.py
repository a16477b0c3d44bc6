"""The four benchmarks from the pictures to the report, in small: figures that can be counted."""

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from tests.vretr.data.cir import tiny
from tests.vretr.evaluation.conftest import Colours
from vretr.composers import WeightedSum
from vretr.data.cir.names import TITLES
from vretr.errors import MismatchError, UsageError
from vretr.evaluation.cir import evaluate, measure
from vretr.evaluation.config import CirConfig
from vretr.methods import Report


def config(name: str, root: Path, **options: Any) -> CirConfig:
    settings = {"encoder": "colours", "workers": 0, "composer": "text", "allow_missing": True}
    return CirConfig(**({"dataset": name, "root": root} | settings | options))


def measured(name: str, root: Path, **options: Any) -> Report:
    return evaluate(config(name, root, **options))


@pytest.fixture
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tiny.MAKE[request.param](tmp_path)


def of(name: str) -> Any:
    return pytest.mark.parametrize("root", [name], indirect=True)


@of("circo")
def test_circo(root: Path) -> None:
    report = measured("circo", root)
    assert (report.dataset, report.split) == ("circo", "val")
    # All 20 of the colour are right and found first; the annotated one comes last of equal ones.
    assert report.metrics == {
        **{f"map@{k}": 1 for k in (5, 10, 25, 50)},
        "recall@5": 0,
        "recall@10": 0,
        "recall@25": 1,
        "recall@50": 1,
        "addition_map@10": 1,
        "negation_map@10": 1,  # the other aspects have no query
    }
    assert report.settings == {
        "queries": 6,
        "gallery": 60,
        "text": "relative_caption",
        "queries_lost": 214,
        "gallery_lost": 123_343,
        "reference": "kept",
        "preprocess": "clip",
        "composer": "text",
        "picture_weight": 0.0,
        "encoder": "colours",
        "identity": "identity of colours",
        "precision": "auto",
        "ties": "pessimistic",
    }
    assert json.loads(json.dumps(report.to_dict())) == report.to_dict()
    # The picture's own colour comes first, and that is never right.
    assert measured("circo", root, composer="image").metrics["map@10"] == 0
    assert measured("circo", root, ties="index").metrics["recall@5"] == 1
    removed = measured("circo", root, reference="removed")
    assert removed.settings["reference"] == "removed"


@of("cirr")
def test_cirr(root: Path) -> None:
    report = measured("cirr", root)
    assert report.metrics == {
        "recall@1": 0,
        "recall@5": 0,
        "recall@10": 0,
        "recall@50": 1,
        "subset_recall@1": 0,
        "subset_recall@2": 1,
        "subset_recall@3": 1,
        "average": 0,
    }
    assert report.settings["reference"] == "removed"
    best = measured("cirr", root, ties="optimistic").metrics
    assert (best["recall@1"], best["subset_recall@1"], best["average"]) == (1, 1, 1)


@of("fashioniq")
def test_fashioniq(root: Path) -> None:
    report = measured("fashioniq", root)
    assert report.metrics == {
        **{f"{name}_recall@10": 0 for name in ("dress", "shirt", "toptee")},
        **{f"{name}_recall@50": 1 for name in ("dress", "shirt", "toptee")},
        "recall@10": 0,
        "recall@50": 1,
        "average": 0.5,
    }
    assert list(report.metrics)[-3:] == ["recall@10", "recall@50", "average"]
    assert report.settings["protocol"] == "original split" and report.settings["gallery"] == 14
    few = measured("fashioniq", root, gallery="val")
    assert few.metrics["recall@10"] == 1
    assert few.settings["protocol"] == "VAL split" and few.settings["gallery"] == 2


@of("genecis")
def test_genecis(root: Path) -> None:
    report = measured("genecis", root)
    first = {f"{task}_attribute_recall@1": 1 for task in ("focus", "change")}
    first |= {f"{task}_object_recall@1": 0 for task in ("focus", "change")}
    assert {name: value for name, value in report.metrics.items() if "_recall@1" in name} == first
    assert report.metrics["recall@1"] == 0.5
    assert report.metrics["focus_object_recall@2"] == 1
    assert report.settings["gallery"] == "2 to 3"
    assert report.settings["reference"] == "not in the gallery"
    # Words that say nothing: everything is equally good.
    zero = measured("genecis", root, genecis_text="zero", genecis_tasks=("focus_object",))
    assert zero.metrics == {f"focus_object_recall@{k}": float(k == 3) for k in (1, 2, 3)}
    assert zero.settings["text"] == "zero" and zero.settings["tasks"] == "focus_object"
    symmetric = measured("genecis", root, genecis_crop="symmetric")
    assert symmetric.settings["crop"] == "symmetric"


@pytest.mark.parametrize("root", TITLES, indirect=True)
def test_less_than_the_whole_is_refused(root: Path, request: pytest.FixtureRequest) -> None:
    name = request.node.callspec.params["root"]
    with pytest.raises(MismatchError, match=f"{TITLES[name]}.* is not whole: .*--allow-missing"):
        measured(name, root, allow_missing=False)


@of("circo")
def test_circos_submission(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "circo.json"
    # Of COCO's photos 60 are listed, and the test split is of 6 queries: a submission is not one.
    with pytest.raises(UsageError, match="needs every query of CIRCO test"):
        measured("circo", root, split="test", submission=file)
    with pytest.raises(UsageError, match="answers of CIRCO test are not public: --submission FILE"):
        measured("circo", root, split="test")
    assert not file.exists()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the small sets were the whole ones."""
    from vretr.data.cir import circo, cirr
    from vretr.data.cir.benchmark import Size

    monkeypatch.setattr(circo, "SIZES", dict.fromkeys(("val", "test"), Size(6, 60)))
    monkeypatch.setattr(cirr, "SIZES", dict.fromkeys(("val", "test1"), Size(10, 60)))


@of("circo")
def test_circos_whole_submission(root: Path, tmp_path: Path, small: None) -> None:
    file = tmp_path / "new" / "circo.json"
    report = measured("circo", root, split="test", submission=file, allow_missing=False)
    assert report.metrics == {} and report.settings["submission"] == str(file)
    found = json.loads(file.read_bytes())
    assert [*found] == [str(n) for n in range(6)]
    assert all(len({*photos}) == 50 for photos in found.values())
    assert found["0"][:3] == [100, 103, 106]  # the green ones, by place
    # Where the answers are known, there are figures as well.
    both = measured("circo", root, submission=file, allow_missing=False)
    assert both.metrics["map@5"] == 1 and json.loads(file.read_bytes()) == found


@of("cirr")
def test_cirrs_two_files(root: Path, tmp_path: Path, small: None) -> None:
    file = tmp_path / "mine.json"
    measured("cirr", root, split="test", submission=file, allow_missing=False)
    whole = json.loads(file.read_bytes())
    subset = json.loads((tmp_path / "subset_mine.json").read_bytes())
    assert [whole.pop(name) for name in ("version", "metric")] == ["rc2", "recall"]
    assert [subset.pop(name) for name in ("version", "metric")] == ["rc2", "recall_subset"]
    assert [*whole] == [*subset] == [str(1000 + n) for n in range(10)]
    assert whole["1000"][:2] == ["test1-1-0-img0", "test1-4-0-img0"] and len(whole["1000"]) == 50
    assert subset["1001"] == ["test1-7-0-img0", "test1-10-0-img0", "test1-8-0-img0"]
    assert "test1-0-0-img0" not in whole["1000"]


class Long(Colours):
    """Its image tower makes vectors of length 3."""

    def project_images(self, images: Any) -> Any:
        return 3 * self.encode_images(images)


@of("circo")
def test_a_composer_of_the_callers(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may want lengths, and say what its figures depend on; rows stand beside the figures."""
    given = []

    class Reads(WeightedSum):
        reads_lengths = True
        settings: ClassVar = {"prompt": "a photo of $", "checkpoint": "abc"}

        def compose_batch(self, references: Any, texts: Any, *rest: Any, **more: Any) -> Any:
            given.append(np.asarray(references))
            return super().compose_batch(references / 3, texts, *rest, **more)

    monkeypatch.setattr("vretr.evaluation.cir.load_encoder", lambda name, **_: Long(name))
    row = {"paper": {"map@5": 0.126}}
    report = measure(
        config("circo", root), lambda encoder: Reads(encoder, 0), published=row, settings={"a": 1}
    )
    assert report.metrics["map@5"] == 1 and report.published == row
    for name, value in {"prompt": "a photo of $", "checkpoint": "abc", "a": 1}.items():
        assert report.settings[name] == value
    assert np.linalg.norm(given[0][:, 0], axis=1) == pytest.approx(3)
    assert given[0][:, 0].argmax(axis=1).tolist() == [0, 0, 1, 1, 2, 2]  # of the six references


@of("circo")
def test_bars_before_the_crop(root: Path) -> None:
    report = measured("circo", root, preprocess="targetpad")
    assert report.settings["preprocess"] == "targetpad" and report.metrics["map@5"] == 1


@of("circo")
def test_an_encoder_without_words_or_crop(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="only --composer image works"):
        measured("circo", root, encoder="blind-colours")
    from dataclasses import replace

    squash = replace(Colours.preprocessing, fit="squash")
    monkeypatch.setattr(Colours, "preprocessing", squash)
    with pytest.raises(UsageError, match=r"colours takes no --preprocess targetpad: .* 'squash'"):
        measured("circo", root, preprocess="targetpad")


def test_a_benchmark_in_a_zip(tmp_path: Path) -> None:
    import shutil

    tiny.genecis(tmp_path / "inner" / "set")
    shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path / "inner")
    assert measured("genecis", tmp_path / "set.zip" / "set").metrics["recall@1"] == 0.5


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"dataset": "circa"}, "must be circo, cirr, fashioniq, genecis or triplets:FILE"),
        ({"dataset": "circo", "root": None}, "circo needs a root"),
        ({"dataset": "triplets:"}, "triplets:FILE"),
        ({"dataset": "circo", "gallery": "val"}, "gallery belongs to fashioniq, not to circo"),
        ({"dataset": "genecis", "split": "test"}, "split belongs to circo and cirr and fashioniq"),
        (
            {"dataset": "triplets:x", "submission": Path("x")},
            "belongs to circo and cirr, not to tri",
        ),
        ({"dataset": "genecis", "genecis_tasks": ("focus",)}, "must be some of focus_attribute, "),
        ({"dataset": "genecis", "genecis_tasks": ()}, "must be some of"),
        ({"dataset": "cirr", "submission": Path("x"), "reference": "kept"}, "--reference official"),
        ({"dataset": "cirr", "picture_weight": -1.0}, "must lie in"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        CirConfig(**({"root": Path("x")} | options))
