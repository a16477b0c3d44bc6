"""Lines stay where they are in the picture, however it is shown."""

import numpy as np
import pytest
from PIL import Image

from lsd.augment import LEAST, drawn_view, recoloured, seen, whole
from vretr.data.worlds import wireframe

SIZE = 128


def views(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(5)
    return [whole(), *(drawn_view(random) for _ in range(count))]


def ramp(width: int, height: int) -> Image.Image:
    """A picture that tells where it is: red is four times the column, green four times the row."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[..., 0], picture[..., 1] = 4 * np.arange(width), 4 * np.arange(height)[:, None]
    return Image.fromarray(picture)


@pytest.mark.parametrize("size", [16, 64, 256])
@pytest.mark.parametrize(("width", "height"), [(64, 48), (50, 62)])
def test_ends_lie_where_the_pixels_went(width: int, height: int, size: int) -> None:
    """The colours at a moved point say where it came from."""
    random = np.random.default_rng(0)
    picture, off = ramp(width, height), []
    for view in views(20):
        for _ in range(10):
            line = random.uniform(0.1, 0.9, 4) * [width, height, width, height]
            square, ends = seen(picture, line[None], view, size)
            # Pillow cuts fractions of colours off, half a colour on average.
            places = (np.asarray(square, np.float64)[..., :2] + 0.5) / 4 + 0.5
            for u, v in ends.reshape(-1, 2):
                if 1 <= u <= size - 1 and 1 <= v <= size - 1:  # else it was clipped
                    away = _sampled(places, u, v) - line.reshape(2, 2)
                    off.append(min(away, key=lambda each: np.hypot(*each)))
    assert len(off) > 100
    assert np.abs(off).max() < 0.2 * max(1, width / size, height / size) + 0.1
    assert np.abs(np.mean(off, axis=0)).max() < 0.03


@pytest.mark.parametrize("number", range(4))
def test_lines_lie_on_edges(number: int) -> None:
    """On both sides of a line, two pixels away, colours differ; along it nothing does."""
    scene = wireframe(number, size=256, noise=0)
    random = np.random.default_rng(number)
    for _ in range(5):
        square, lines = seen(scene.picture, scene.lines, drawn_view(random), 256)
        pixels = np.asarray(square, np.float64)
        for line in lines:
            way = line[2:] - line[:2]
            length = np.hypot(*way)
            if length < 20:
                continue
            aside = np.array([-way[1], way[0]]) / length * 2
            middle = (line[:2] + line[2:]) / 2
            if (middle < 3).any() or (middle > 253).any():
                continue
            left, right = _sampled(pixels, *(middle - aside)), _sampled(pixels, *(middle + aside))
            assert np.abs(left - right).sum() > 20


def test_windows_lie_within_the_picture() -> None:
    corners = np.array([[-1, -1, 1], [1, -1, 1], [-1, 1, 1], [1, 1, 1]])
    for view in views(200):
        assert np.abs(corners @ view.T).max() <= 1 + 1e-9
    red = Image.new("RGB", (90, 70), (200, 10, 10))
    for view in views(50):
        square, _ = seen(red, np.empty((0, 4)), view, SIZE)
        assert (np.asarray(square) == (200, 10, 10)).all()


def test_views_differ_and_some_are_level() -> None:
    drawn = np.array(views(200)[1:])[:, :, :2]
    level = (np.abs(drawn) < 1e-12).sum(axis=(1, 2)) == 2
    assert 60 < level.sum() < 140
    quarter = level & (np.abs(drawn[:, 0, 0]) < 1e-12)
    assert 20 < quarter.sum() < 80
    assert {*np.sign(np.linalg.det(drawn))} == {-1, 1}


def test_the_whole_view_only_scales() -> None:
    lines = np.array([[0, 0, 200, 100], [10, 90, 150, 20]], np.float32)
    _, found = seen(Image.new("RGB", (200, 100)), lines, whole(), 64)
    assert np.allclose(found, lines * np.tile([64 / 200, 64 / 100], 2), atol=1e-4)


def test_lines_end_at_the_border_and_go_where_nothing_is_left() -> None:
    middle = np.hstack([0.5 * np.eye(2), np.zeros((2, 1))])  # from 25 to 75 of 100
    lines = np.array([[0, 30, 100, 60], [0, 10, 100, 10], [74, 40, 100, 40]], np.float32)
    _, found = seen(Image.new("RGB", (100, 100)), lines, middle, 100)
    assert np.allclose(found, [[0, 25, 100, 55]], atol=1e-3)
    assert LEAST > 2  # the third line's rest


def test_large_pictures_are_averaged() -> None:
    """Stripes of one pixel become grey, and do not alias."""
    stripes = np.zeros((1024, 1024, 3), np.uint8)
    stripes[:, ::2] = 200
    square, _ = seen(Image.fromarray(stripes), np.empty((0, 4)), whole(), 64)
    assert (np.abs(np.asarray(square).astype(int) - 100) <= 1).all()


def test_light_changes_and_order_stays() -> None:
    """Of two greys the darker one stays the darker one, in every channel."""
    greys = Image.fromarray(np.tile(np.arange(256, dtype=np.uint8)[:, None, None], (1, 4, 3)))
    random = np.random.default_rng(0)
    found = np.array([np.asarray(recoloured(greys, random)) for _ in range(20)]).astype(int)
    assert (np.diff(found, axis=1) >= 0).all()
    assert (found[:, -1] - found[:, 0] > 100).all()
    assert len(np.unique(found[:, 128, 0], axis=0)) == 20


def test_some_pictures_lose_their_colour() -> None:
    red = Image.new("RGB", (4, 4), (220, 30, 30))
    random = np.random.default_rng(0)
    ranges = [np.ptp(np.asarray(recoloured(red, random))[0, 0].astype(int)) for _ in range(200)]
    assert 5 < sum(spread < 40 for spread in ranges) < 60


def _sampled(pixels: np.ndarray, u: float, v: float) -> np.ndarray:
    """Bilinear, at a point of the plane."""
    x, y = (
        np.clip(u - 0.5, 0, pixels.shape[1] - 1.001),
        np.clip(v - 0.5, 0, pixels.shape[0] - 1.001),
    )
    column, row = int(x), int(y)
    right, down = x - column, y - row
    upper = pixels[row, column] * (1 - right) + pixels[row, column + 1] * right
    lower = pixels[row + 1, column] * (1 - right) + pixels[row + 1, column + 1] * right
    return upper * (1 - down) + lower * down
