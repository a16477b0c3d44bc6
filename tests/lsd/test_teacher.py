"""What a teacher says of photos, and what a student is shown of it."""

from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from PIL import Image

from lsd.architecture import CHANNELS, Channel
from lsd.decode import Decoding, decode
from lsd.model import MLSD
from lsd.network import OnnxNetwork
from lsd.targets import SOL, TP, targets
from lsd.teacher import LEAST, Lessons, Taught, crops_of, exchanged, mirrored, part, target_of
from vretr.errors import MismatchError

SIDE = 64
LINES = np.array([[8, 6, 40, 22], [50, 10, 52, 60], [20, 50, 44, 50]], np.float32)


@pytest.fixture
def teacher() -> dict:
    torch.manual_seed(0)
    return MLSD("tiny").folded()


def said(lines: np.ndarray = LINES) -> np.ndarray:
    """The maps of a teacher who knows these lines of a picture of 128 pixels."""
    return targets(lines, SIDE).maps.numpy()


def found_in(maps: np.ndarray) -> np.ndarray:
    detection = maps[Channel.DETECTION].copy()
    detection[0] = np.where(detection[0] >= 1, 9, -9)  # the peaks of the targets
    side = 2 * detection.shape[1]
    return sorted_ends(decode(detection, Decoding(clip=False), side, side).ends)


def sorted_ends(lines: np.ndarray) -> np.ndarray:
    left_first = lines[:, 0] <= lines[:, 2]
    return np.sort(np.where(left_first[:, None], lines, lines[:, [2, 3, 0, 1]]).round(2), axis=0)


def test_each_crop_is_asked_about_once(tmp_path: Path, monkeypatch, teacher) -> None:
    monkeypatch.setenv("VRETR_HOME", str(tmp_path / "home"))
    photos = tmp_path / "photos"
    photos.mkdir()
    random = np.random.default_rng(0)
    for name, side in (("a.png", 200), ("b.png", 40)):
        Image.fromarray(random.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(
            photos / name
        )
    (photos / "broken.png").write_bytes(b"no picture")
    taught = Taught.of([photos], teacher, size=SIDE, crops=3)
    assert len(taught) == 4 and [*map(taught.photos.count, sorted({*taught.photos}))] == [3, 1]
    pixels, maps = taught[3]
    assert pixels.shape == (SIDE, SIDE, 3) and maps.shape == (CHANNELS, SIDE // 2, SIDE // 2)
    raw = OnnxNetwork(teacher, channels=slice(0, CHANNELS))(pixels[None])[0]
    assert np.allclose(maps[Channel.CENTRE], 1 / (1 + np.exp(-raw[Channel.CENTRE])), atol=1e-3)
    assert np.allclose(maps[Channel.DISPLACEMENT], raw[Channel.DISPLACEMENT], atol=1e-2)
    times = [file.stat().st_mtime_ns for file in taught.files]
    again = Taught.of([photos], teacher, size=SIDE, crops=3)
    assert [file.stat().st_mtime_ns for file in again.files] == times
    with ZipFile(tmp_path / "photos.zip", "w") as file:
        file.write(photos / "a.png", "inner/a.png")
    assert len(Taught.of([tmp_path / "photos.zip"], teacher, size=SIDE, crops=3)) == 3
    with pytest.raises(MismatchError, match="no photo"):
        Taught.of([photos / "broken.png"], teacher, size=SIDE, crops=3)


def test_crops_are_drawn_by_seed_and_lie_in_the_photo() -> None:
    photo, image = Path("x.jpg"), Image.new("RGB", (1000, 800))
    crops = crops_of(photo, image, 512, 8, seed=1)
    assert len(crops) == 6 and crops == crops_of(photo, image, 512, 8, seed=1)
    assert crops != crops_of(photo, image, 512, 8, seed=2)
    for crop in crops:
        assert 0 <= crop.left < crop.right <= 1 and crop.right - crop.left >= LEAST
        assert 0 <= crop.top < crop.bottom <= 1 and crop.bottom - crop.top >= LEAST


def test_turned_maps_are_the_maps_of_the_turned_lines() -> None:
    """A mirrored teacher's map says what it would of the mirrored picture."""
    flipped = LINES * [-1, 1, -1, 1] + [SIDE, 0, SIDE, 0]
    assert np.allclose(found_in(mirrored(said())), 2 * sorted_ends(flipped), atol=0.02)
    assert np.allclose(
        found_in(exchanged(said())), 2 * sorted_ends(LINES[:, [1, 0, 3, 2]]), atol=0.02
    )
    twice = mirrored(mirrored(said()))
    assert np.allclose(twice[Channel.DISPLACEMENT], said()[Channel.DISPLACEMENT])


def test_a_part_has_the_lines_that_lie_in_it() -> None:
    pixels = np.arange(128 * 128 * 3, dtype=np.int64).reshape(128, 128, 3).astype(np.uint8)
    shown, maps = part(pixels, said(), 32, 32, 96)
    assert np.array_equal(shown, pixels[32:, 32:])
    # The first line's start lies outside: it is no line here.
    inside = LINES[1:] - 16
    inside[0, 1] = -6  # and the second's is cut off as well
    assert np.allclose(found_in(maps), 2 * sorted_ends(LINES[2:] - 16), atol=0.02)


def test_what_a_teacher_says_is_a_target_like_the_truth() -> None:
    wanted = targets(LINES, SIDE)
    found = target_of(wanted.maps.numpy())
    sure = found.weight[TP] > 0
    assert sure.sum() > 20
    for channel in (Channel.LENGTH, Channel.DEGREE):
        assert torch.allclose(found.maps[channel][sure], wanted.maps[channel][sure], atol=1e-5)
    segments = found.weight[SOL] > 0
    assert torch.allclose(
        found.maps[Channel.SOL_LENGTH][segments],
        wanted.maps[Channel.SOL_LENGTH][segments],
        atol=1e-5,
    )
    assert torch.equal(found.weight[TP], wanted.maps[Channel.CENTRE])
    assert len(found.lines) == 0


def test_lessons_are_whole_or_windows() -> None:
    pixels = np.zeros((128, 128, 3), np.uint8)

    class One:
        def __len__(self) -> int:
            return 1

        def __getitem__(self, number: int):
            return pixels, said().astype(np.float16)

    whole, _ = Lessons(One(), window=None)[0]
    assert whole.shape == (3, 128, 128)
    np.random.seed(0)
    first, target = Lessons(One(), window=64)[0]
    assert first.shape == (3, 64, 64) and target.maps.shape == (CHANNELS, 32, 32)
    np.random.seed(0)
    again, _ = Lessons(One(), window=64)[0]
    assert torch.equal(first, again)
