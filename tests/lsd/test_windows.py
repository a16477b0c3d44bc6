"""Windows cover a picture; a line that runs through them comes out whole."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lsd.lines import Lines, clipped
from lsd.resizing import squashed
from lsd.windows import LONG, MOST, OVERLAP, Seen, see, together, windows
from vretr.images import Unreadable


@pytest.mark.parametrize(
    ("width", "height", "tiles"),
    [
        *((20_000, 1500, None), (1500, 20_000, None), (20_000, 20, None), (4000, 3000, 3)),
        *((641, 479, 2), (1, 1, 1), (7, 1, None), (5, 3, 9)),
    ],
)
def test_windows_cover_every_pixel(width: int, height: int, tiles: int | None) -> None:
    seen = np.zeros((height, width), bool)
    found = windows(width, height, tiles)
    for left, top, right, bottom in found:
        assert 0 <= left < right <= width and 0 <= top < bottom <= height
        seen[top:bottom, left:right] = True
    assert seen.all() and len(found) <= MOST


def test_windows_overlap_and_are_about_square() -> None:
    found = windows(4000, 3000, 3)
    assert len(found) == 12
    for (_, _, right, _), (left, _, _, _) in pairwise(found[:4]):
        assert right - left == pytest.approx(OVERLAP * (found[0][2] - found[0][0]), abs=2)
    shapes = [(right - left) / (bottom - top) for left, top, right, bottom in found]
    assert 0.75 < min(shapes) <= max(shapes) < 1.33


@pytest.mark.parametrize(
    ("width", "height", "tiles"), [(640, 480, None), (LONG * 100, 100, None), (9000, 100, 0)]
)
def test_an_ordinary_picture_is_one_window(width: int, height: int, tiles: int | None) -> None:
    assert windows(width, height, tiles) == [(0, 0, width, height)]


def parts_of(line: list[float], seen: Seen) -> list[Lines]:
    """A line as each window would find it."""
    parts = []
    for left, top, right, bottom in seen.boxes.tolist():
        ends = np.array([line], np.float32) - np.array([left, top] * 2, np.float32)
        score = np.array([0.5 + left / 1e5], np.float32)
        parts.append(clipped(Lines(ends, score, right - left, bottom - top, best=0.9)))
    return parts


@pytest.mark.parametrize(
    "line", [[300.0, 200, 19_000, 1300], [12.0, 1400, 40, 30], [9000.0, 0, 9000, 1500]]
)
def test_a_line_through_many_windows_comes_out_whole(line: list[float]) -> None:
    boxes = np.array(windows(20_000, 1500, None))
    seen = Seen(Path("x"), 20_000, 1500, boxes, np.empty((len(boxes), 512, 512, 3), np.uint8))
    parts = parts_of(line, seen)
    found = together(parts, seen)
    assert found.ends.shape == (1, 4) and (found.width, found.height) == (20_000, 1500)
    (ends,) = found.ends
    assert np.allclose(ends, line, atol=1) or np.allclose(ends[[2, 3, 0, 1]], line, atol=1)
    assert found.scores == [max(part.scores.max(initial=0) for part in parts)]
    assert found.best == pytest.approx(0.9)


def test_no_line_in_any_window() -> None:
    boxes = np.array(windows(9000, 100, None))
    seen = Seen(Path("x"), 9000, 100, boxes, np.empty((len(boxes), 64, 64, 3), np.uint8))
    none = Lines(np.empty((0, 4), np.float32), np.empty(0, np.float32), 100, 100, 0.05)
    assert together([none] * len(boxes), seen).ends.shape == (0, 4)


def test_what_is_seen_of_a_picture(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    seen = see(tmp_path / "x.png", size=64, resize="bilinear", tiles=None)
    assert isinstance(seen, Seen) and (seen.width, seen.height) == (120, 90)
    assert seen.boxes.tolist() == [[0, 0, 120, 90]]
    expected = squashed(Image.fromarray(pixels), 64, "bilinear")
    assert np.array_equal(seen.pixels, expected[None])


def test_a_large_jpeg_is_measured_at_its_full_size(tmp_path: Path) -> None:
    Image.new("RGB", (2001, 603)).save(tmp_path / "x.jpg")
    seen = see(tmp_path / "x.jpg", size=64, resize="area", tiles=None)
    assert isinstance(seen, Seen) and (seen.width, seen.height) == (2001, 603)
    assert seen.boxes[:, 2].max() == 2001 and (seen.boxes[:, 3] == 603).all()


def test_what_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"no picture")
    assert isinstance(see(tmp_path / "x.jpg", size=64, resize="area", tiles=None), Unreadable)
