"""The stream from paths to findings, with a network that says what it is told."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lsd.architecture import CELL
from lsd.config import DetectConfig
from lsd.decode import Decoding
from lsd.detect_lines import detect_lines
from lsd.detector import Detector
from lsd.stream import Finder
from vretr.errors import UsageError, VretrError
from vretr.images import Unreadable

SIZE = 64


class Told:
    """A network that finds the brightest pixel of each picture, with a level line of 10 cells."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        self.batches.append(len(pixels))
        maps = np.full((len(pixels), 5, SIZE // CELL, SIZE // CELL), -9, np.float32)
        for picture, each in zip(maps, pixels.astype(int).sum(axis=-1), strict=True):
            row, column = np.unravel_index(each.argmax(), each.shape)
            picture[0, row // CELL, column // CELL] = 2 if each.max() > 0 else -9
            picture[1:] = np.array([-5, 0, 5, 0])[:, None, None]
        return maps


@pytest.fixture
def detector(monkeypatch: pytest.MonkeyPatch) -> Detector:
    made = object.__new__(Detector)
    made.__dict__.update(size=SIZE, resize="bilinear", decoding=Decoding(), network=Told())
    monkeypatch.setattr("lsd.detect_lines.load", lambda *_, **__: made)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures of 128 x 64 with a bright pixel at (2 N, 32), N up to 9; one is no picture."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(10):
        picture = Image.new("RGB", (128, 64))
        picture.paste("white", (10 * number + 20, 30, 10 * number + 24, 34))
        picture.save(folder / f"{number}.png")
    (folder / "4.png").write_bytes(b"no picture")
    return folder


def rows(config: DetectConfig) -> Iterator[dict]:
    return (dict(each) for each in detect_lines(config).found)


@pytest.mark.parametrize("workers", [0, 2])
def test_lines_lie_where_the_network_says(detector: Detector, folder: Path, workers: int) -> None:
    skipped: list[Unreadable] = []
    finder = Finder(detector=detector, batch_size=4, workers=workers, skip=skipped.append)
    found = list(finder.find(sorted(folder.iterdir())))
    assert [each.path.name for each in found] == [f"{n}.png" for n in range(10) if n != 4]
    assert [each.path.name for each in skipped] == ["4.png"]
    for each in found:
        centre = each.lines.ends.reshape(2, 2).mean(axis=0)
        number = int(each.path.stem)
        # A cell is 4 pixels wide and 2 high in the picture.
        assert abs(centre[0] - (10 * number + 22)) <= 4 and abs(centre[1] - 32) <= 2
        assert (each.lines.width, each.lines.height) == (128, 64)
    assert detector.network.batches == [4, 4, 1]  # type: ignore[attr-defined]


def test_little_is_read_ahead(detector: Detector, folder: Path) -> None:
    asked: list[Path] = []

    def paths() -> Iterator[Path]:
        while True:  # for ever
            asked.append(folder / "0.png")
            yield asked[-1]

    stream = Finder(detector=detector, batch_size=2, workers=1).find(paths())
    for _ in range(20):
        next(stream)
    stream.close()
    assert len(asked) <= 20 + 3 * 2 + 2


def test_windows_of_a_panorama_are_one_batch_and_one_picture(detector, tmp_path: Path) -> None:
    picture = Image.new("RGB", (1280, 64))
    picture.paste("white", (700, 30, 704, 34))
    picture.save(tmp_path / "long.png")
    (found,) = Finder(detector=detector, workers=0).find([tmp_path / "long.png"])
    assert found.windows > 10 and len(found.lines) == 1
    assert abs(found.lines.ends.reshape(2, 2).mean(axis=0) - (702, 32)).max() <= 4


def test_files_go_where_they_are_told(detector, folder: Path, tmp_path: Path) -> None:
    config = DetectConfig(
        paths=(folder,), out=tmp_path / "out", overlay=True, svg=True, csv=True, workers=0
    )
    found = list(rows(config))
    assert len(found) == 9
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == sorted(
        f"{n}.png.lines.{kind}" for n in range(10) if n != 4 for kind in ("png", "svg", "csv")
    )
    assert sorted(found[0]["files"]) == [
        str(tmp_path / "out" / f"0.png.lines.{kind}") for kind in ("csv", "png", "svg")
    ]
    with Image.open(tmp_path / "out/0.png.lines.png") as overlay:
        assert overlay.size == (128, 64)


def test_out_alone_means_json(detector, folder: Path, tmp_path: Path) -> None:
    (row,) = rows(DetectConfig(paths=(folder / "1.png",), out=tmp_path / "new" / "out"))
    text = (tmp_path / "new/out/1.png.lines.json").read_text()
    files = row.pop("files")
    assert json.loads(text) == row and files == [str(tmp_path / "new/out/1.png.lines.json")]


def test_a_second_run_does_not_look_at_the_first_ones_overlays(detector, folder: Path) -> None:
    config = DetectConfig(paths=(folder,), out=folder / "found", overlay=True, workers=0)
    assert len(list(rows(config))) == len(list(rows(config))) == 9


def test_a_photo_is_never_overwritten(detector, folder: Path, tmp_path: Path, caplog) -> None:
    out = tmp_path / "out"
    out.mkdir()
    photo = out / "1.png.lines.png"
    Image.new("RGB", (3, 3), "red").save(photo)
    before = photo.read_bytes()
    findings = detect_lines(DetectConfig(paths=(folder / "1.png",), out=out, overlay=True))
    assert [dict(each).get("files") for each in findings.found] == [None]
    assert photo.read_bytes() == before and len(findings.skipped) == 1
    assert "is there already and was not written by" in caplog.text


def test_no_line_is_a_result(detector, tmp_path: Path, caplog) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "black.png")
    with caplog.at_level(logging.WARNING):
        (row,) = rows(DetectConfig(paths=(tmp_path / "black.png",), boxes=True))
    assert row["lines"] == [] and row["boxes"] == []
    assert "black.png: no line; the best score is 0.000" in caplog.text


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"out": "photos"}, "--out must be another folder"),
        ({"svg": True}, "--svg makes 10 drawings"),
    ],
)
def test_what_cannot_be_meant(detector, folder: Path, more, sentence: str, monkeypatch) -> None:
    monkeypatch.chdir(folder.parent)
    more = {name: Path(value) if name == "out" else value for name, value in more.items()}
    with pytest.raises(UsageError, match=sentence):
        detect_lines(DetectConfig(paths=(Path("photos"),), **more))


def test_where_there_is_no_picture(detector, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(VretrError, match="There is no picture in"):
        detect_lines(DetectConfig(paths=(tmp_path / "empty", tmp_path / "gone.jpg")))


def test_where_nothing_can_be_written(detector, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(VretrError, match=r"file cannot be written to: File exists"):
        detect_lines(DetectConfig(paths=(folder,), out=tmp_path / "file"))


@pytest.mark.parametrize(
    "wrong",
    [
        *({"overlay": True}, {"crops": True}, {"json": True, "csv": True}),
        *({"tiles": "some"}, {"batch_size": 0}, {"workers": -1}),
    ],
)
def test_options_that_do_not_go_together(wrong) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DetectConfig(paths=(), **wrong)


def test_the_defaults_are_those_of_the_library() -> None:
    config, decoding = DetectConfig(paths=()), Decoding()
    for name in ("top_k", "score", "length", "clip", "subpixel", "merge"):
        assert getattr(config, name) == getattr(decoding, name)
