"""Boxes of lines whose boxes are known."""

from itertools import pairwise, permutations

import numpy as np
import pytest

from lsd.boxes import MOST, Boxes, boxes, convex, coverage, four_cycles, regularity, signed_area
from lsd.lines import Lines

SHEET = np.array([[120.0, 80], [520, 110], [560, 400], [90, 380]])  # clockwise, y down


def lines_of(ends: np.ndarray) -> Lines:
    return Lines(ends.astype(np.float32), np.ones(len(ends), np.float32), 640, 480, 1.0)


def around(quad: np.ndarray, *, shorter: float = 0.0) -> np.ndarray:
    """Its four sides, each shorter by this share at both ends."""
    following = np.roll(quad, -1, axis=0)
    cut = shorter * (following - quad)
    return np.hstack([quad + cut, following - cut])


@pytest.mark.parametrize("shorter", [0.0, 0.05, 0.1])
def test_a_sheet_is_found_from_its_sides(shorter: float) -> None:
    found = boxes(lines_of(around(SHEET, shorter=shorter)))
    assert len(found) == 1
    assert np.allclose(found.corners[0], SHEET, atol=0.01)


def test_order_and_direction_of_lines_do_not_matter() -> None:
    ends = around(SHEET, shorter=0.05)
    for order in permutations(range(4)):
        turned = ends[list(order)]
        turned[::2] = turned[::2][:, [2, 3, 0, 1]]
        assert np.allclose(boxes(lines_of(turned)).corners, SHEET, atol=0.01)


def test_a_side_in_pieces_is_one_side() -> None:
    ends = around(SHEET)
    first, last = ends[0, :2], ends[0, 2:]
    cut = [first, 0.7 * first + 0.3 * last, 0.55 * first + 0.45 * last, last]
    pieces = np.array([[*a, *b] for a, b in pairwise(cut)])[[0, 2]]
    found = boxes(lines_of(np.concatenate([pieces, ends[1:]])))
    assert len(found) == 1 and np.allclose(found.corners[0], SHEET, atol=0.5)


def test_a_box_as_large_as_the_picture_scores_one() -> None:
    found = boxes(lines_of(around(np.array([[0.0, 0], [640, 0], [640, 480], [0, 480]]))))
    assert found.scores == pytest.approx([1])


@pytest.mark.parametrize(
    "ends",
    [
        np.empty((0, 4)),
        around(SHEET)[:3],  # a side is missing
        around(SHEET, shorter=0.4),  # the sides end far from the corners
        np.array([[10.0, 10, 600, 10]]),
        np.full((5, 4), 30.0),  # lines of no length
        around(SHEET * 0.05),  # too small
    ],
)
def test_there_is_no_box(ends: np.ndarray) -> None:
    found = boxes(lines_of(ends))
    assert found.corners.shape == (0, 4, 2) and found.scores.shape == (0,)


def test_boxes_of_a_crowd_are_convex_sorted_and_few() -> None:
    draws = np.random.default_rng(0)
    grid = [[x, 5.0, x, 475] for x in range(20, 640, 40)]
    grid += [[5.0, y, 635, y] for y in range(20, 480, 40)]
    noise = draws.uniform(0, 480, (150, 4))
    found = boxes(lines_of(np.concatenate([np.array(grid), noise])))
    assert isinstance(found, Boxes) and len(found) <= MOST
    assert convex(found.corners).all() and (signed_area(found.corners) > 0).all()
    assert (np.diff(found.scores) <= 0).all()
    first = found.corners.sum(axis=-1).argmin(axis=1)
    assert (first == 0).all()


def test_cycles_against_all_permutations() -> None:
    meet = np.random.default_rng(1).random((8, 8)) < 0.5
    meet = np.triu(meet, 1) | np.triu(meet, 1).T
    ways = {
        frozenset(frozenset(pair) for pair in pairwise((*four, four[0])))
        for four in permutations(range(8), 4)
        if all(meet[a, b] for a, b in pairwise((*four, four[0])))
    }
    found = four_cycles(meet)
    assert {frozenset(frozenset(p) for p in pairwise((*f, f[0]))) for f in found.tolist()} == ways
    assert len(found) == len(ways)


def test_measures_of_quadrilaterals() -> None:
    square = np.array([[0.0, 0], [10, 0], [10, 10], [0, 10]])
    crossed, dart = square[[0, 2, 1, 3]], np.array([[0.0, 0], [10, 0], [2, 2], [0, 10]])
    assert convex(np.array([square, square[::-1], crossed, dart])).tolist() == [
        *(True, True),
        *(False, False),
    ]
    assert signed_area(square[None]) == 100
    assert regularity(square[None]) == pytest.approx([1])
    sides = np.array([[[-5.0, 0, 5, 0], [10, 0, 10, 10], [10, 10, 0, 10], [0, 12, 0, 20]]])
    assert coverage(square[None], sides) == pytest.approx([(5 + 10 + 10 + 0) / 40])
