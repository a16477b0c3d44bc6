import json
from pathlib import Path
from typing import Any

import pytest

from vretr.errors import MismatchError, UsageError
from vretr.evaluation.cir import evaluate
from vretr.evaluation.config import CirConfig
from vretr.methods import Report


def measure(file: Path, **options: Any) -> Report:
    settings = {"dataset": f"triplets:{file}", "encoder": "colours", "workers": 0, **options}
    return evaluate(CirConfig(**settings))


@pytest.fixture
def swaps(photos: Path) -> Path:
    """From each circle to the circle of each other colour, among the three circles."""
    colours = ("red", "green", "blue")
    rows = [
        {"reference": f"{a}_circle.jpg", "text": f"is {b}", "targets": [f"{b}_circle.jpg"]}
        for a in colours
        for b in colours
        if a != b
    ]
    file = photos / "swaps.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def recall(report: Report) -> float:
    return report.metrics["recall@1"]


def test_the_three_baselines(swaps: Path) -> None:
    assert recall(measure(swaps, composer="text")) == 1
    # Without the reference two circles are left, equally unlike it: the wrong one comes first.
    assert recall(measure(swaps, composer="image")) == 0
    assert recall(measure(swaps, composer="image", ties="optimistic")) == 1
    assert recall(measure(swaps, composer="sum", picture_weight=0.4)) == 1
    # With the reference in the gallery a heavy picture finds only itself.
    assert recall(measure(swaps, picture_weight=0.6, reference="kept")) == 0
    assert recall(measure(swaps, picture_weight=0.6)) == 1
    assert recall(measure(swaps, composer="image", encoder="blind-colours")) == 0


def test_the_report(swaps: Path) -> None:
    report = measure(swaps, picture_weight=0.4)
    assert list(report.metrics) == ["recall@1", "recall@5", "recall@10", "recall@50", "map@10"]
    assert report.metrics["map@10"] == 1
    assert report.settings == {
        "queries": 6,
        "gallery": 3,
        "reference": "removed",
        "preprocess": "clip",
        "composer": "sum",
        "picture_weight": 0.4,
        "encoder": "colours",
        "identity": "identity of colours",
        "precision": "auto",
        "ties": "pessimistic",
    }
    assert json.loads(json.dumps(report.to_dict())) == report.to_dict()


def test_each_triplet_is_searched_in_its_own_gallery(photos: Path) -> None:
    row = {"reference": "blue_line.jpg", "text": "is red", "targets": ["red_circle.jpg"]}
    (photos / "reds.txt").write_text("red_circle.jpg\nred_square.jpg\nred_line.jpg\n")
    mixed = ["red_circle.jpg", "green_circle.jpg"]

    def first(*galleries: object) -> tuple[float, object]:
        rows = [{**row, "gallery": gallery} for gallery in galleries]
        file = photos / "t.jsonl"
        file.write_text("".join(json.dumps(each) + "\n" for each in rows))
        report = measure(file, composer="text")
        return recall(report), report.settings["gallery"]

    assert first(mixed) == (1, 2)
    assert first("reds.txt") == (0, 3)  # all three are red, and ties count against the target
    assert first(mixed, "reds.txt") == (0.5, "2 to 3")
    assert first(mixed, None) == (1, "2 to 3")  # red and green circle, blue line: the file's


def test_what_cannot_be_measured(swaps: Path, photos: Path) -> None:
    with pytest.raises(UsageError, match="only --composer image works"):
        measure(swaps, encoder="blind-colours")
    with pytest.raises(UsageError, match="composer"):
        measure(swaps, composer="imagee")
    with pytest.raises(ValueError, match="triplets:FILE"):
        measure(swaps, dataset="circa")
    with pytest.raises(ValueError, match="lie in"):
        measure(swaps, picture_weight=2)
    with pytest.raises(MismatchError, match="no file of triplets"):
        measure(photos / "none.jsonl")


def test_missing_pictures_are_refused_or_said(swaps: Path, photos: Path) -> None:
    (photos / "blue_circle.jpg").unlink()
    with pytest.raises(
        MismatchError, match=r"lacks 1 pictures: .*blue_circle.jpg. --allow-missing"
    ):
        measure(swaps)
    report = measure(swaps, allow_missing=True, composer="text")
    assert recall(report) == 1
    lost = {name: report.settings[name] for name in ("queries", "queries_lost", "gallery_lost")}
    assert lost == {"queries": 2, "queries_lost": 4, "gallery_lost": 1}
    assert "queries_lost" not in measure(swaps_of(photos, "red", "green")).settings


def swaps_of(photos: Path, *colours: str) -> Path:
    """From the circle of the first colour to that of the second."""
    before, after = (f"{colour}_circle.jpg" for colour in colours)
    file = photos / "one.jsonl"
    file.write_text(json.dumps({"reference": before, "text": f"is {after}", "targets": [after]}))
    return file


def test_a_reference_that_is_right_itself(photos: Path) -> None:
    file = swaps_of(photos, "red", "red")
    with pytest.raises(MismatchError, match="query 0 is one of its targets: --reference kept"):
        measure(file)
    assert recall(measure(file, reference="kept")) == 1
