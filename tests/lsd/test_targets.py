"""Targets hold the lines exactly, and are those of a slow second implementation."""

from math import atan, floor, hypot, inf, pi

import numpy as np
import pytest

from lsd.architecture import Channel
from lsd.segments import segments
from lsd.targets import Target, targets

SHAPE = (48, 64)
RANDOM = np.random.default_rng(1)
LINES = (RANDOM.uniform(0, 1, (12, 4)) * [63.75, 47.75, 63.75, 47.75]).astype(np.float32)


def test_a_line_is_read_off_each_of_its_nine_cells() -> None:
    line = np.array([[10.3, 20.6, 30.9, 8.1]], np.float32)
    maps, weight, lines, _ = targets(line, 64)
    rows, columns = weight[0].numpy().nonzero()
    assert sorted(zip(rows, columns, strict=True)) == [
        (y, x) for y in (13, 14, 15) for x in (20, 21, 22)
    ]
    ends = maps[Channel.DISPLACEMENT].numpy()[:, rows, columns].T
    ends = ends + np.stack([columns, rows] * 2, axis=1)
    assert np.allclose(ends, line, atol=1e-4)
    assert np.array_equal(lines, line)
    blur = np.array([[0.25, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 0.25]])
    assert np.array_equal(maps[Channel.CENTRE, 13:16, 20:23], blur)
    assert maps[Channel.CENTRE].sum() == 4
    assert np.isclose(maps[Channel.LENGTH, 14, 21], hypot(20.6, 12.5) / hypot(64, 64))
    assert np.isclose(maps[Channel.DEGREE, 14, 21], atan(-12.5 / 20.6) / (2 * pi) + 0.5)


@pytest.mark.parametrize("lines", [LINES, LINES[:1], np.empty((0, 4), np.float32)])
def test_against_loops(lines: np.ndarray) -> None:
    found = targets(lines, SHAPE)
    naive = np.zeros((16, *SHAPE))
    weight = np.zeros((2, *SHAPE))
    parts = segments(lines, SHAPE)
    for row, own, channels in (
        (0, lines, [7, 8, 9, 10, 11, 12, 13]),
        (1, parts, [0, 3, 4, 5, 6, 14, 15]),
    ):
        drawn, weight[row] = _tri_points(own)
        naive[channels] = drawn
    for x, y in lines.reshape(-1, 2):
        _blur(naive[Channel.JUNCTION], x, y)
    naive[Channel.LINE] = _lines(lines)
    assert np.allclose(found.maps, naive, atol=1e-4)
    assert np.array_equal(found.weight, weight)
    assert np.array_equal(found.segments, parts)


def test_a_lone_centre_keeps_its_peak_when_others_touch() -> None:
    """The port scales by the highest cell of the picture (fault 8 of its list)."""
    lines = np.array([[0, 10, 20, 10], [0, 11, 20, 11], [30, 40, 50, 40]], np.float32)
    centres = targets(lines, 64).maps[Channel.CENTRE]
    assert centres[10, 10] == centres[11, 10] == centres[40, 40] == centres.max() == 1
    assert centres[9, 10] == centres[39, 40] == 0.5


def test_a_cell_belongs_to_the_nearest_centre_then_to_the_longer_line() -> None:
    near, far = [10, 10, 20, 10], [0, 11, 30, 11]  # centres (15, 10) and (15, 11)
    middles = _ends(targets(np.array([near, far]), 32), 15, 10)
    assert middles == near
    short, long = [10, 10, 20, 10], [5, 10, 25, 10]  # both (15, 10)
    for order in ([short, long], [long, short]):
        assert _ends(targets(np.array(order), 32), 15, 10) == long
        assert _ends(targets(np.array(order), 32), 14, 9) == long


@pytest.mark.parametrize(
    ("end", "degree"),
    [((20, 10), 0.5), ((20, 20), 0.625), ((20, 0), 0.375), ((11, 30), 0.75), ((11, -10), 0.25)],
)
def test_the_slope_keeps_its_sign(end: tuple[float, float], degree: float) -> None:
    start = (10, 10)
    for line in ((*start, *end), (*end, *start)):
        found = targets(np.array([line]), 64)
        value = found.maps[Channel.DEGREE][found.weight[0] > 0]
        assert np.allclose(value, degree, atol=0.01)


def test_the_order_of_ends_changes_only_which_displacement_is_first() -> None:
    found, other = targets(LINES, SHAPE), targets(LINES[:, [2, 3, 0, 1]], SHAPE)
    for channel in (Channel.CENTRE, Channel.LINE, Channel.JUNCTION, Channel.LENGTH, Channel.DEGREE):
        assert np.allclose(found.maps[channel], other.maps[channel])
    swapped = other.maps[Channel.DISPLACEMENT][[2, 3, 0, 1]]
    assert np.allclose(found.maps[Channel.DISPLACEMENT], swapped)


def test_lines_on_the_border_keep_their_centre() -> None:
    found = targets(np.array([[63.9, 5, 63.9, 25], [5, 63.9, 25, 63.9]]), 64).maps
    assert found[Channel.CENTRE, 15, 63] == found[Channel.CENTRE, 63, 15] == 1
    assert found[Channel.JUNCTION, 5, 63] == 1


def _ends(found: Target, x: int, y: int) -> list[float]:
    cell = np.array([x, y, x, y])
    return (found.maps[Channel.DISPLACEMENT, y, x].numpy() + cell).tolist()


def _tri_points(lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    drawn, weight = np.zeros((7, *SHAPE)), np.zeros(SHAPE)
    best = np.full((*SHAPE, 2), -inf)
    for x1, y1, x2, y2 in lines.astype(float).tolist():
        x, y = (floor(np.float32((a + b) / 2) + 0.5) for a, b in ((x1, x2), (y1, y2)))
        length = hypot(x2 - x1, y2 - y1)
        for dx in (-1, 0, 1):
            for dy in (-1, 0, 1):
                cx, cy = x + dx, y + dy
                if not (0 <= cx < SHAPE[1] and 0 <= cy < SHAPE[0]):
                    continue
                value = 0.5 ** (abs(dx) + abs(dy))
                if (value, length) < tuple(best[cy, cx]):
                    continue
                best[cy, cx] = value, length
                angle = atan((y2 - y1) / (x2 - x1)) / (2 * pi) + 0.5
                relative = length / hypot(*SHAPE)
                drawn[:, cy, cx] = [
                    *(value, x1 - cx, y1 - cy, x2 - cx, y2 - cy),
                    *(relative, angle),
                ]
                weight[cy, cx] = 1
    return drawn, weight


def _blur(drawn: np.ndarray, x: float, y: float) -> None:
    for dx in (-1, 0, 1):
        for dy in (-1, 0, 1):
            cx, cy = floor(x + 0.5) + dx, floor(y + 0.5) + dy
            if 0 <= cx < SHAPE[1] and 0 <= cy < SHAPE[0]:
                drawn[cy, cx] = max(drawn[cy, cx], 0.5 ** (abs(dx) + abs(dy)))


def _lines(lines: np.ndarray) -> np.ndarray:
    """Each cell that one of many close points along a line falls in, along its longer extent."""
    drawn = np.zeros(SHAPE)
    for line in lines:
        start, way = line[:2].astype(float), (line[2:] - line[:2]).astype(float)
        steps = int(np.ceil(np.abs(way).max()))
        for step in range(steps + 1):
            x, y = np.floor(start + step / max(steps, 1) * way + 0.5).astype(int)
            drawn[y, x] = 1
    return drawn
