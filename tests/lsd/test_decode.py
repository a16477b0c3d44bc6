"""From maps to line segments."""

import numpy as np
import pytest

from lsd.decode import Decoding, decode, peaks


def maps_of(*centres: tuple[int, int, float, tuple[float, ...]], side: int = 32) -> np.ndarray:
    """Row, column, logit, and both ends as seen from there."""
    maps = np.zeros((5, side, side), np.float32)
    maps[0] = -20
    for row, column, logit, ends in centres:
        maps[0, row, column] = logit
        maps[1:, row, column] = ends
    return maps


def plain_peaks(logits: np.ndarray) -> list[tuple[int, int]]:
    """Cells that no neighbour exceeds, the first of equal ones, the highest first."""
    height, width = logits.shape
    found = []
    for row in range(height):
        for column in range(width):
            here = (logits[row, column], -row, -column)
            around = [
                (logits[y, x], -y, -x)
                for y in range(max(row - 1, 0), min(row + 2, height))
                for x in range(max(column - 1, 0), min(column + 2, width))
            ]
            if here == max(around):
                found.append((row, column))
    return sorted(found, key=lambda place: (-logits[place], place))


@pytest.mark.parametrize("seed", range(5))
def test_peaks_are_those_of_a_plain_search(seed: int) -> None:
    logits = np.random.default_rng(seed).integers(-3, 4, (13, 17)).astype(np.float32)
    rows, columns, best = peaks(logits, 1000)
    wanted = plain_peaks(logits)
    # Of a plateau that turns corners more than one cell may be the first among its neighbours.
    assert [*zip(rows.tolist(), columns.tolist(), strict=True)] == wanted
    assert best == pytest.approx(1 / (1 + np.exp(-logits.max())))
    few = [*zip(*(part.tolist() for part in peaks(logits, 5)[:2]), strict=True)]
    assert sorted(logits[place] for place in few) == sorted(logits[place] for place in wanted[:5])


def test_logits_are_compared_where_sigmoids_saturate() -> None:
    maps = maps_of((4, 4, 30.0, (0, 0, 1, 1)), (4, 5, 31.0, (0, 0, 2, 2)))
    found = decode(maps, Decoding(), 64, 64)
    assert len(found) == 1 and found.scores[0] == 1.0
    assert found.ends[0].tolist() == [10, 8, 14, 12]


def test_ends_are_two_pixels_a_cell_scaled_to_the_picture() -> None:
    maps = maps_of((10, 8, 3.0, (-4.0, -2.5, 4.0, 2.5)))
    found = decode(maps, Decoding(), 640, 320)  # from a map of 32 cells, an input of 64
    assert found.ends.tolist() == [[80, 75, 240, 125]]
    assert (found.width, found.height) == (640, 320)


def test_only_what_was_asked_for_is_given() -> None:
    maps = maps_of(
        (4, 4, 2.0, (-2, 0, 2, 0)), (12, 12, 1.0, (-8, 0, 8, 0)), (20, 20, -3.0, (-9, 0, 9, 0))
    )
    assert len(decode(maps, Decoding(score=0.0), 64, 64)) > 3  # every peak, however low
    found = decode(maps, Decoding(), 64, 64)
    assert found.scores.tolist() == pytest.approx([1 / (1 + np.exp(-2)), 1 / (1 + np.exp(-1))])
    assert found.best == pytest.approx(1 / (1 + np.exp(-2)))
    assert decode(maps, Decoding(length=20), 64, 64).lengths.tolist() == [32]
    assert len(decode(maps, Decoding(top_k=1), 64, 64)) == 1
    nothing = decode(maps, Decoding(score=0.95), 64, 64)
    assert len(nothing) == 0 and nothing.ends.shape == (0, 4) and nothing.best > 0.8


def test_subpixel_centres_lie_between_the_cells_that_share_them() -> None:
    """A line whose centre lies between two cells is seen by both as far as it is theirs."""
    maps = maps_of((8, 8, 2.0, (-5, 0, 5, 0)), (8, 9, 2.0, (-5, 0, 5, 0)))
    assert decode(maps, Decoding(), 64, 64).ends[0].tolist() == [6, 16, 26, 16]
    found = decode(maps, Decoding(subpixel=True), 64, 64)
    assert found.ends[0] == pytest.approx([7, 16, 27, 16], abs=1e-3)
    corner = maps_of((0, 0, 2.0, (0, 0, 5, 0)))
    assert decode(corner, Decoding(subpixel=True), 64, 64).ends[0] == pytest.approx(
        [0, 0, 10, 0], abs=1e-6
    )


@pytest.mark.parametrize(
    "wrong", [{"top_k": 0}, {"score": 1.0}, {"score": -0.1}, {"length": -1}, {"merge": -1}]
)
def test_settings_by_which_nothing_is_found_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Decoding(**wrong)
