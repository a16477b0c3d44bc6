"""Pieces of a line become one line; what only looks like it does not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsd.joining import joined, pieces, spanning

LINE = np.array([10.0, 10, 110, 10])


@pytest.mark.parametrize(
    ("other", "is_piece"),
    [
        ([120.0, 10, 150, 10], True),  # 10 missing
        ([126.0, 10, 150, 10], False),  # 16 missing
        ([150.0, 10, 120, 10], True),  # the order of ends tells nothing
        ([50.0, 13, 90, 13], True),  # 3 beside
        ([50.0, 15, 90, 15], False),
        ([50.0, 12, 55, 9], False),  # near, but another direction
        ([0.0, 0, 0, 100], False),
        ([-40.0, 10, 0, 10], True),
    ],
)
def test_what_a_piece_is(other: list[float], is_piece: bool) -> None:
    assert pieces(LINE, np.array([other]), near=4, gap=15)[0] == is_piece
    assert pieces(np.array(other), LINE[None], near=4, gap=15)[0] == is_piece


@given(st.floats(0, 2 * np.pi), st.floats(-500, 500), st.permutations(range(9)))
def test_a_line_in_pieces_is_found_again(angle: float, shift: float, order: list[int]) -> None:
    steps = np.linspace(0, 900, 10)
    cut = np.stack([steps[:-1], np.zeros(9), steps[1:] + 5, np.zeros(9)], axis=1)[order]
    beside = np.array([[0.0, 40, 900, 40]])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    ends = (np.concatenate([cut, beside]).reshape(-1, 2) @ turn + shift).reshape(-1, 4)
    segments, members = joined(ends, near=3)
    assert sorted(len(group) for group in members) == [1, 9]
    whole = segments[[len(group) for group in members].index(9)].reshape(2, 2)
    expected = np.array([[0.0, 0], [905, 0]]) @ turn + shift
    assert np.allclose(whole, expected) or np.allclose(whole[::-1], expected)


def test_the_share_lets_a_long_line_miss_more() -> None:
    ends = np.array([[0.0, 0, 100, 0], [140, 0, 150, 0]])
    assert len(joined(ends, near=2)[0]) == 2
    assert len(joined(ends, near=2, share=0.5)[0]) == 1


def test_nothing_and_points() -> None:
    segments, members = joined(np.empty((0, 4)), near=1)
    assert segments.shape == (0, 4) and members == []
    assert len(joined(np.full((3, 4), 7.0), near=1)[0]) == 1


def test_the_ends_farthest_apart_span_it() -> None:
    ends = np.array([[0.0, 0, 3, 4], [6, 8, 1, 1]])
    assert sorted(spanning(ends).tolist()) == [0, 0, 6, 8]
