"""The forms that findings are given in, read back by other readers."""

import csv
import io
import json
import os
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from lsd.boxes import Boxes
from lsd.lines import Lines
from lsd.output import Found, Places, csv_header, csv_rows, json_line, to_json, to_svg

ENDS = np.array([[1.23456, 2, 3, 4], [-0.001, 0, 640, 480]], np.float32)
LINES = Lines(ENDS, np.array([0.98766, 0.5], np.float32), 640, 480, 0.98766)
QUAD = np.array([[[1, 2], [30, 2], [30, 40], [1, 40]]], np.float32)
BOXES = Boxes(QUAD, np.array([0.75], np.float32))
FOUND = Found(Path("a, b.jpg"), LINES)


def test_the_json_is_what_the_design_says() -> None:
    assert json.loads(json_line(FOUND)) == {
        "path": "a, b.jpg",
        "width": 640,
        "height": 480,
        "lines": [[1.23, 2, 3, 4, 0.9877], [0, 0, 640, 480, 0.5]],
    }
    assert "-0.0" not in json_line(FOUND)
    with_boxes = to_json(Found(Path("x"), LINES, BOXES, files=(Path("y"),)))
    assert with_boxes["boxes"] == [[1, 2, 30, 2, 30, 40, 1, 40, 0.75]]
    assert with_boxes["files"] == ["y"]


def test_a_name_that_is_not_utf8_keeps_its_bytes() -> None:
    row = to_json(Found(Path(os.fsdecode(b"\xff.jpg")), LINES))
    assert row["path_b64"] == "/y5qcGc="
    assert os.fsencode(next(csv_rows(Found(Path(os.fsdecode(b"\xff.jpg")), LINES))))[:1] == b"\xff"


def test_the_csv_is_read_back() -> None:
    text = csv_header(False) + "".join(csv_rows(FOUND))
    first, second = csv.DictReader(io.StringIO(text))
    assert first["path"] == "a, b.jpg" and float(first["x1"]) == 1.23
    assert float(second["y2"]) == 480 and float(second["score"]) == 0.5
    text = csv_header(True) + "".join(csv_rows(Found(Path("x"), LINES, BOXES)))
    (box,) = csv.DictReader(io.StringIO(text))
    assert [float(box[name]) for name in ("x1", "y4", "score")] == [1, 40, 0.75]


def test_the_svg_is_read_back() -> None:
    root = ElementTree.fromstring(to_svg(Found(Path("<&>\x1b.jpg"), LINES, BOXES)))
    name = "{http://www.w3.org/2000/svg}"
    assert root.attrib["viewBox"] == "0 0 640 480"
    drawn = [line.attrib for line in root.iter(f"{name}line")]
    assert len(drawn) == 2 and drawn[0]["x1"] == "1.23" and drawn[1]["data-score"] == "0.5"
    (polygon,) = root.iter(f"{name}polygon")
    assert len(polygon.attrib["points"].split()) == 8
    (title,) = root.iter(f"{name}title")
    assert title.text == r"<&>\x1b.jpg"


def test_files_of_equal_names_do_not_meet(tmp_path: Path) -> None:
    for folder in ("a", "b", "b/c"):
        (tmp_path / folder).mkdir()
    pictures = [tmp_path / name for name in ("a/x.jpg", "a/x.png", "b/x.jpg", "b/c/x.jpg")]
    for picture in pictures:
        picture.touch()
    out = tmp_path / "out"
    for given in (pictures, [tmp_path / "a", tmp_path / "b"], [tmp_path]):
        places = Places(out, given)
        files = {places.file(picture, "lines.json") for picture in pictures}
        assert len(files) == 4
        assert out / "b/c/x.jpg.lines.json" in files
    assert Places(out, pictures[:1]).file(pictures[0], "lines.png") == out / "x.jpg.lines.png"
