"""Lines are cut into overlapping segments by the rule of the paper, section 3.3."""

from math import floor, hypot

import numpy as np
import pytest

from lsd.segments import segments


def test_the_example_of_half_a_side() -> None:
    """L = 0.5: seven segments, each 0.125 long, each begins 0.0625 after the one before."""
    cut = segments(np.array([[64, 32, 192, 32]]), (256, 256)) / 256
    starts = 0.25 + 0.0625 * np.arange(7)
    assert np.allclose(cut[:, 0], starts)
    assert np.allclose(cut[:, 2], starts + 0.125)
    assert np.allclose(cut[:, [1, 3]], 0.125)


@pytest.mark.parametrize("length", [1, 16, 31.9, 47.9])
def test_short_lines_stay_whole(length: float) -> None:
    line = np.array([[10, 10, 10 + length, 10]], np.float32)
    assert np.array_equal(segments(line, (256, 256)), line)


def test_against_a_loop() -> None:
    lines = np.random.default_rng(0).uniform(0, 1, (200, 4)) * [320, 160, 320, 160]
    lines = lines.astype(np.float32)
    assert np.allclose(segments(lines, (160, 320)), _naive(lines, (160, 320)), atol=1e-4)


def test_no_line() -> None:
    assert segments(np.empty((0, 4), np.float32), (8, 8)).shape == (0, 4)


def _naive(lines: np.ndarray, shape: tuple[int, int]) -> list[list[float]]:
    found = []
    for x1, y1, x2, y2 in lines.astype(float).tolist():
        count = floor(hypot((x2 - x1) / shape[1], (y2 - y1) / shape[0]) / 0.0625) - 1
        if count <= 1:
            found.append([x1, y1, x2, y2])
            continue
        dx, dy = (x2 - x1) / (count + 1), (y2 - y1) / (count + 1)
        for i in range(count):
            found.append([x1 + i * dx, y1 + i * dy, x1 + (i + 2) * dx, y1 + (i + 2) * dy])
    return found
