"""GeneCIS's crops: golden boxes, and the pixels written out."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vretr import images
from vretr.images import Preprocessing, Region
from vretr.images.stream import load_pixels

EXACT = Preprocessing(size=32, mean=(0.5,) * 3, std=(0.5,) * 3, gap=0)


def noise(width: int, height: int) -> Image.Image:
    generator = np.random.default_rng(width * 1000 + height)
    return Image.fromarray(generator.integers(1, 256, (height, width, 3), dtype=np.uint8))


def test_the_golden_boxes() -> None:
    first, second = Region("x", (200, 100, 50, 40)), Region("x", (50, 40, 100, 60))
    assert first.grown(640, 480) == (165, 72, 250, 140)
    assert second.grown(300, 200) == (0, 0, 170, 102)
    picture = noise(640, 480)
    square = np.asarray(first.cut(picture))
    assert square.shape == (85, 85, 3)
    assert np.array_equal(square[8 : 8 + 68], np.asarray(picture)[72:140, 165:250])
    assert not square[:8].any() and not square[8 + 68 :].any()


def test_a_symmetric_box_grows_on_all_sides() -> None:
    assert Region("x", (200, 100, 50, 40), growth="symmetric").grown(640, 480) == (
        182,
        86,
        268,
        154,
    )
    assert Region("x", (5, 5, 50, 40), growth="symmetric").grown(60, 50) == (0, 0, 60, 50)
    assert Region("x", (10, 10, 5, 5), dilation=0).grown(60, 50) == (10, 10, 15, 15)


def test_a_region_is_read_like_a_picture(tmp_path: Path) -> None:
    """At full size, whatever reduced scale the preprocessing allows for whole pictures."""
    file = tmp_path / "x.jpg"
    noise(1024, 768).save(file, quality=95)
    whole = images.open(file)
    region = Region(str(file), (500, 300, 40, 60))
    expected = EXACT.pixels(region.cut(whole))
    pixels = [load_pixels(region, how)[1] for how in (EXACT, Preprocessing(32, (0,) * 3, (1,) * 3))]
    assert np.array_equal(pixels[0], expected)
    assert np.abs(pixels[1].astype(int) - expected).max() <= 2  # see Preprocessing._crop
    for workers in (0, 1):
        (batch,) = images.batches([region, file], EXACT, workers=workers)
        assert np.array_equal(batch.pixels[0].transpose(1, 2, 0), expected)
        assert [each.path for each in batch.files] == [file, file]


def test_a_box_outside_of_its_picture_is_unreadable(tmp_path: Path) -> None:
    file = tmp_path / "x.png"
    noise(20, 10).save(file)
    gone = Region(str(tmp_path / "gone.png"), (0, 0, 5, 5))
    (batch,) = images.batches([Region(str(file), (90, 0, 5, 5)), gone], EXACT, workers=0)
    reasons = [one.reason for one in batch.unreadable]
    assert "outside of 20 x 10" in reasons[0] and reasons[1] == "no such file"
    with pytest.raises(OSError, match="outside"):
        Region(str(file), (0, 40, 5, 5)).cut(noise(20, 10))
