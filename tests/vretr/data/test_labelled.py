import json
from pathlib import Path

import pytest

from vretr.data import labelled
from vretr.errors import MismatchError


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VRETR_HOME", str(tmp_path / "home"))


def write(file: Path, rows: list[dict[str, object]]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_folders_of_classes(photos: Path) -> None:
    for name in ("red_circle", "blue_line"):
        (photos / "train" / name).mkdir(parents=True)
        (photos / f"{name}.jpg").rename(photos / "train" / name / "0.jpg")
    (photos / "train" / "empty").mkdir()
    (photos / "train" / ".hidden").mkdir()
    data = labelled.load(photos / "train")
    assert data.names == ["blue line", "red circle"]
    assert data.labels.tolist() == [0, 1]
    assert [path.parent.name for path in data.paths] == ["blue_line", "red_circle"]
    assert labelled.load(photos, split="train").paths == data.paths
    with pytest.raises(MismatchError, match=r"no folder .*test"):
        labelled.load(photos, split="test")
    with pytest.raises(MismatchError, match="with a 'colour'"):
        labelled.load(photos, field="colour")


def test_a_table(photos: Path) -> None:
    files = ["red_circle.jpg", "blue_line.jpg", "red_line.jpg"]
    labels: list[dict[str, object]] = [
        {"file_name": name, "label": number, "colour": name.split("_")[0], "split": "dev"}
        for number, name in zip((2**60, 7, 7), files, strict=True)
    ]
    write(photos / "labels.jsonl", labels)
    data = labelled.load(photos, split="dev")
    assert data.paths == [photos / name for name in files]
    assert (data.names, data.labels.tolist()) == (["1152921504606846976", "7"], [0, 1, 1])
    colours = labelled.load(photos, field="colour")
    assert (colours.names, colours.labels.tolist()) == (["blue", "red"], [1, 0, 1])
    with pytest.raises(MismatchError, match=r"3 lines without file_name or shape .they have file"):
        labelled.load(photos, field="shape")
    with pytest.raises(MismatchError, match="no labelled photo in the split 'test'"):
        labelled.load(photos, split="test")
    write(photos / "labels.jsonl", [*labels, {"file_name": "gone.jpg", "label": 1}])
    with pytest.raises(MismatchError, match=r"1 pictures missing: .*gone.jpg"):
        labelled.load(photos)


def test_several_columns_make_one_class(photos: Path) -> None:
    rows: list[dict[str, object]] = [
        {"file_name": f"{colour}_{shape}.jpg", "colour": colour, "shape": shape, "size": 2}
        for colour, shape in (("red", "line"), ("blue", "circle"), ("red", "circle"))
    ]
    write(photos / "labels.jsonl", rows)
    data = labelled.load(photos, field="shape+colour+size")
    assert data.names == ["circle blue 2", "circle red 2", "line red 2"]
    assert data.labels.tolist() == [2, 0, 1]
    write(photos / "labels.jsonl", [*rows, {"file_name": "red_line.jpg", "shape": "line"}])
    with pytest.raises(MismatchError, match=r"1 lines without file_name or shape\+colour: line 4"):
        labelled.load(photos, field="shape+colour")


def test_imagenet_sample_and_grocery_in_their_zips(shared_data: Path) -> None:
    sample = labelled.load(shared_data / "imagenet_sample.zip")
    assert (len(sample.paths), len(sample.names)) == (500, 500)
    assert sample.names[sample.labels[0]] == "tench"
    grocery = labelled.load(shared_data / "grocery.zip", split="test")
    assert (len(grocery.paths), len(grocery.names)) == (800, 40)
