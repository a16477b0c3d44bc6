"""Pictures with lines, in every layout that is known, and what is wrong with them."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from lsd.annotations import load
from vretr.errors import MismatchError

LINES = [[10.0, 20.0, 50.0, 60.0], [0.5, 90.0, 120.0, 7.25]]


def picture(path: Path, size: tuple[int, int] = (160, 100)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "grey").save(path)
    return path


def listed(folder: Path, rows: list[dict[str, Any]], name: str = "train.json") -> Path:
    """A file in which Wireframe's pictures are listed, with the pictures beside it."""
    for row in rows:
        picture(folder / "images" / row["filename"])
    file = folder / name
    file.write_text(json.dumps(rows))
    return file


def row(lines: Any = LINES, name: str = "a.png", **others: Any) -> dict[str, Any]:
    return {"filename": name, "width": 160, "height": 100, "lines": lines, **others}


def lcnn(folder: Path) -> Path:
    return listed(folder, [row()])


def hawp(folder: Path) -> Path:
    junctions = [[0.5, 90], [10, 20], [50, 60], [120, 7.25], [3, 3]]
    given = row(junctions=junctions, edges_positive=[[1, 2], [0, 3]], edges_negative=[[0, 4]])
    del given["lines"]
    return listed(folder, [given])


def hawp_test(folder: Path) -> Path:
    return listed(folder, [row(junc=[[0, 0]])], "test.json")


def renamed(folder: Path) -> Path:
    """The picture has another ending than the file says."""
    file = listed(folder, [row()])
    file.write_text(file.read_text().replace("a.png", "a.jpg"))
    return file


def ours(folder: Path) -> Path:
    picture(folder / "images" / "a.png")
    file = folder / "lines.json"
    images = [{"file_name": "a.png", "width": 160, "height": 100, "lines": LINES}]
    file.write_text(json.dumps({"format": "york-urban-lines/1", "images": images}))
    return folder


def zipped(folder: Path) -> Path:
    ours(folder / "data")
    return Path(shutil.make_archive(str(folder / "data"), "zip", folder / "data"))


def york(folder: Path) -> Path:
    picture(folder / "P1" / "P1.jpg")
    ends = np.array(LINES).reshape(-1, 2)
    savemat(folder / "P1" / "P1LinesAndVP.mat", {"lines": ends, "vp_association": [[1], [2]]})
    return folder


def labelme(folder: Path) -> Path:
    picture(folder / "a.png")
    (x1, y1, x2, y2), other = LINES
    shapes = [
        {"label": "wall", "shape_type": "line", "points": [[x1, y1], [x2, y2]]},
        {"label": "edge", "shape_type": "linestrip", "points": [other[:2], other[2:]]},
    ]
    found = {"shapes": shapes, "imagePath": "a.png", "imageWidth": 160, "imageHeight": 100}
    (folder / "a.json").write_text(json.dumps(found))
    return folder


@pytest.mark.parametrize(
    "write", [lcnn, hawp, hawp_test, renamed, ours, zipped, york, labelme], ids=lambda f: f.__name__
)
def test_layouts_hold_the_same(tmp_path: Path, monkeypatch, caplog, write) -> None:
    monkeypatch.setenv("VRETR_HOME", str(tmp_path / "home"))
    (found,) = load(write(tmp_path))
    assert found.path.is_file()
    assert (found.width, found.height) == (160, 100)
    assert found.lines.dtype == np.float32
    np.testing.assert_allclose(found.lines, LINES)
    assert not caplog.records


def test_processed_wireframe(tmp_path: Path) -> None:
    """y, x on a grid of 128; the picture has 512 pixels; test pictures lie in `valid`."""
    for split, name in (("train", "a_0"), ("train", "a_1"), ("valid", "b_0")):
        picture(tmp_path / split / f"{name}.png", (512, 512))
        ends = np.array([[[1, 2, 0], [30, 40, 0]]], np.float64)
        np.savez(tmp_path / split / f"{name}_label.npz", lpos=ends, junc=np.zeros((2, 3)))
    (found,) = load(tmp_path, split="test")
    assert found.path.name == "b_0.png" and (found.width, found.height) == (512, 512)
    assert found.lines.tolist() == [[8, 4, 160, 120]]
    assert [each.path.name for each in load(tmp_path, split="train")] == ["a_0.png", "a_1.png"]
    assert len(load(tmp_path / "train" / "a_1_label.npz")) == 1


def test_a_split_is_chosen_by_file_or_by_row(tmp_path: Path) -> None:
    listed(tmp_path, [row(name="a.png"), row(name="c.png")], "train.json")
    listed(tmp_path, [row(name="b.png")], "valid.json")
    assert [each.path.name for each in load(tmp_path, split="train")] == ["a.png", "c.png"]
    assert [each.path.name for each in load(tmp_path, split="test")] == ["b.png"]
    with pytest.raises(MismatchError, match=r"give one file, like .*train\.json"):
        load(tmp_path)
    own = ours(tmp_path / "ours")
    marked = json.loads((own / "lines.json").read_text())
    marked["images"][0]["split"] = "train"
    (own / "lines.json").write_text(json.dumps(marked))
    assert len(load(own, split="train")) == len(load(own)) == 1
    with pytest.raises(MismatchError, match="no line in its 0 pictures"):
        load(own, split="test")


def test_lines_end_at_the_border(tmp_path: Path, caplog) -> None:
    """Along their line, not bent; a little outside is moved; nothing of it is silent."""
    lines = [
        [-40, -40, 40, 40],
        [-1.5, 50, 161, 50],  # as York Urban's, by rounding
        [20, 101.4, 80, 101.4],
        [-30, 5, -20, 90],  # outside
        [5, 5, 5, 5],
        [3, 4, 30, 40],
    ]
    with caplog.at_level(logging.WARNING):
        (found,) = load(listed(tmp_path, [row(lines)]))
    kept = [[0, 0, 40, 40], [0, 50, 160, 50], [20, 100, 80, 100], [3, 4, 30, 40]]
    np.testing.assert_allclose(found.lines, kept, atol=1e-5)
    assert "2 lines lie outside their picture or have no length and are left out: a.png." in (
        caplog.text
    )
    assert "1 lines reach out of their picture and end at its border: a.png." in caplog.text


def test_a_picture_without_a_line_is_kept_beside_others(tmp_path: Path) -> None:
    found = load(listed(tmp_path, [row([]), row(name="b.png")]))
    assert [each.lines.shape for each in found] == [(0, 4), (2, 4)]


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([row([])], "has no line in its 1 pictures"),
        ([], "has no line in its 0 pictures"),
        ([row([[1, 2, 3]])], r"a.png: lines are \[N, 4\], not \[1, 3\]"),
        ([row([[1, 2, 3, "x"]])], "a.png: could not convert"),
        ([row([[1, 2, 3, float("nan")]])], "a.png: a coordinate is no number"),
        ([row() | {"width": 0}], "a picture of 0 x 100"),
        ([row() | {"height": None}], "malformed lines: a.png"),
        ([{"filename": "a.png", "lines": LINES, "height": 9}], "entry 1 has no 'width'"),
        ([{"filename": "a.png", "width": 9, "height": 9}], "entry 1 has no 'junctions'"),
        ([row() | {"lines": None}], "malformed lines: a.png"),
    ],
)
def test_malformed_rows_are_named(tmp_path: Path, rows: list[dict[str, Any]], sentence) -> None:
    with pytest.raises(MismatchError, match=sentence):
        load(listed(tmp_path, rows))


def test_edges_to_no_junction(tmp_path: Path) -> None:
    given = row(junctions=[[1, 2]], edges_positive=[[0, 7]])
    del given["lines"]
    with pytest.raises(MismatchError, match="entry 1: index 7 is out of bounds"):
        load(listed(tmp_path, [given]))


def test_files_that_hold_nothing_known(tmp_path: Path) -> None:
    with pytest.raises(MismatchError, match=r"holds no lines that are known: lines\.json"):
        load(tmp_path)
    with pytest.raises(MismatchError, match="There is no folder"):
        load(tmp_path / "nowhere")
    for name, content, sentence in (
        ("a.json", b"{", "is no JSON"),
        ("b.json", b'{"a": 1}', "neither a list of pictures"),
        ("c.json", b'{"shapes": [{}], "imagePath": "x"}', "not as labelme writes it"),
        ("d.mat", b"nothing", "holds no lines as York Urban's"),
        ("e_label.npz", b"nothing", "not as L-CNN writes it"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MismatchError, match=sentence):
            load(tmp_path / name)


def test_missing_pictures_are_named(tmp_path: Path) -> None:
    file = lcnn(tmp_path)
    (tmp_path / "images" / "a.png").unlink()
    with pytest.raises(MismatchError, match=r"1 pictures missing: .*a\.png"):
        load(file)
    york(tmp_path / "york")
    (tmp_path / "york" / "P1" / "P1.jpg").unlink()
    with pytest.raises(MismatchError, match=r"The picture of .*P1LinesAndVP\.mat is needed"):
        load(tmp_path / "york")


def test_other_shapes_of_labelme_are_said(tmp_path: Path, caplog) -> None:
    labelme(tmp_path)
    file = tmp_path / "a.json"
    found = json.loads(file.read_text())
    found["shapes"].append({"shape_type": "polygon", "points": [[0, 0], [9, 9], [3, 3]]})
    file.write_text(json.dumps(found))
    assert len(load(file)[0].lines) == 2
    assert "1 shapes are no lines and are left out" in caplog.text


def test_york_urban_is_whole(shared_data: Path, caplog) -> None:
    """The counts of the database: 102 photos, 12,122 lines, 25 to 627 in each."""
    found = load(shared_data / "york_urban.zip")
    counts = [len(each.lines) for each in found]
    assert (len(counts), sum(counts), min(counts), max(counts)) == (102, 12_122, 25, 627)
    assert len(load(shared_data / "york_urban.zip", split="train")) == 51
    lengths = np.concatenate([np.hypot(*(e.lines[:, 2:] - e.lines[:, :2]).T) for e in found])
    assert np.median(lengths) == pytest.approx(41, abs=1)
    assert not caplog.records
