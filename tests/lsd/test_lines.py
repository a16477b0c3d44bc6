"""Line segments as values: clipping along the line, and leaving out repeats."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsd.lines import Lines, clipped, distinct

coordinates = st.floats(-300, 500, width=32)


def lines_of(
    *ends: tuple[float, float, float, float], width: int = 200, height: int = 100
) -> Lines:
    scores = np.linspace(0.9, 0.1, len(ends), dtype=np.float32)
    return Lines(np.array(ends, np.float32).reshape(-1, 4), scores, width, height)


def test_a_line_is_cut_where_it_crosses_the_border_and_does_not_bend() -> None:
    found = clipped(lines_of((-50, 0, 50, 100), (10, 20, 30, 40), (150, 50, 250, 150)))
    assert found.ends.tolist() == [[0, 50, 50, 100], [10, 20, 30, 40], [150, 50, 200, 100]]


def test_lines_outside_are_left_out() -> None:
    outside = (-10, 50, -5, 60), (210, 0, 210, 100), (-50, 20, 50, -30), (5, 101, 100, 101)
    found = clipped(lines_of(*outside, (0, 0, 200, 0)))
    assert found.ends.tolist() == [[0, 0, 200, 0]]
    assert found.scores.tolist() == pytest.approx([0.1])
    assert len(clipped(lines_of())) == 0


@given(st.tuples(coordinates, coordinates, coordinates, coordinates))
def test_clipping_keeps_to_the_line_and_to_the_picture(ends) -> None:
    found = clipped(lines_of(ends))
    x1, y1, x2, y2 = map(float, ends)
    shares = np.linspace(0, 1, 501)
    x, y = x1 + shares * (x2 - x1), y1 + shares * (y2 - y1)
    inside = (x > 0) & (x < 200) & (y > 0) & (y < 100)
    assert len(found) or not inside.any()
    for a, b, c, d in found.ends.tolist():
        assert 0 <= a <= 200 and 0 <= c <= 200 and 0 <= b <= 100 and 0 <= d <= 100
        length = max(np.hypot(x2 - x1, y2 - y1), 1e-6)
        for px, py in ((a, b), (c, d)):  # distance from the line
            assert abs((x2 - x1) * (py - y1) - (y2 - y1) * (px - x1)) / length < 0.01
        assert (c - a) * (x2 - x1) >= -1e-3 and (d - b) * (y2 - y1) >= -1e-3


def test_repeats_are_left_out_whichever_end_they_start_from() -> None:
    found = distinct(
        lines_of((0, 0, 100, 0), (101, 1, 1, 1), (0, 20, 100, 20), (0, 18, 99, 21), (0, 0, 60, 0)),
        3,
    )
    assert found.ends.tolist() == [[0, 0, 100, 0], [0, 20, 100, 20], [0, 0, 60, 0]]
    assert found.scores.tolist() == pytest.approx([0.9, 0.5, 0.1])


def test_what_repeats_a_line_that_is_left_out_stays() -> None:
    steps = lines_of((0, 0, 50, 0), (0, 2, 50, 2), (0, 4, 50, 4))
    assert distinct(steps, 3).ends[:, 1].tolist() == [0, 4]


def test_lengths_are_in_pixels() -> None:
    assert lines_of((0, 0, 3, 4), (5, 5, 5, 5)).lengths.tolist() == [5, 0]
