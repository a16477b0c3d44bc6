"""F^H: pixels of lines, and their matching against SciPy's and by hand."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.spatial import distance_matrix

from lsd import heat

WIDTH, HEIGHT = 160, 120  # pixels match up to 2 apart


def most_pairs(found: np.ndarray, truth: np.ndarray) -> int:
    """SciPy's matching on the whole table of distances."""
    reach = 0.01 * np.hypot(*found.shape)
    near = distance_matrix(np.argwhere(found), np.argwhere(truth)) <= reach
    matched = maximum_bipartite_matching(csr_array(near), perm_type="column")
    return int((matched >= 0).sum())


def lines(seed: int, number: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    return draw.uniform([0, 0, 0, 0], [WIDTH, HEIGHT, WIDTH, HEIGHT], (number, 4))


@pytest.mark.parametrize("seed", range(3))
def test_lines_are_drawn_as_one_by_one(seed: int) -> None:
    """Also those that lead out of the picture: what lies outside is left out."""
    some = lines(seed, 30) * 1.5 - 20
    wanted = np.zeros((HEIGHT, WIDTH), bool)
    for x1, y1, x2, y2 in some:
        points = int(np.ceil(np.hypot(x2 - x1, y2 - y1)))
        for x, y in zip(np.linspace(x1, x2, points), np.linspace(y1, y2, points), strict=True):
            if 0 <= round(x) < WIDTH and 0 <= round(y) < HEIGHT:
                wanted[round(y), round(x)] = True
    assert (heat.drawn(some, WIDTH, HEIGHT) == wanted).all()


def test_points_and_nothing_are_drawn() -> None:
    assert np.argwhere(heat.drawn([[5.4, 2, 5.4, 2]], 12, 9)).tolist() == [[2, 5]]
    assert not heat.drawn([[-5, -5, -1, -1]], 6, 4).any()
    assert not heat.drawn(np.zeros((0, 4)), 6, 4).any()


@pytest.mark.parametrize("seed", range(6))
def test_as_many_pairs_as_scipy_finds(seed: int) -> None:
    """Also where found pixels come in three parts."""
    truth = heat.drawn(lines(seed, 12), WIDTH, HEIGHT)
    near = lines(seed, 12) + np.random.default_rng(seed).normal(0, 2, (12, 4))
    parts = [heat.drawn(some, WIDTH, HEIGHT) for some in (near[:4], near[4:], lines(seed + 99, 9))]
    matching, together = heat.Matching(truth), np.zeros_like(truth)
    for part in parts:
        together |= part
        assert matching.add(part) == most_pairs(together, truth)


def test_pixels_are_matched_one_to_one_and_not_far() -> None:
    truth, found = np.zeros((2, 60, 80), bool)  # up to 1 apart
    truth[10, 10:30] = True
    found[11, 10:30] = True
    found[9, 10:30] = True  # twice as many
    found[40, 10:30] = True  # nothing near
    assert heat.Matching(truth).add(found) == 20
    assert heat.Matching(found).add(truth) == 20
    assert heat.Matching(np.zeros_like(truth)).add(found) == 0
    assert heat.Matching(truth).add(np.zeros_like(truth)) == 0


def test_an_exchange_finds_the_second_pair() -> None:
    """The first true pixel could take either found one; the second one only the first's."""
    truth, found = np.zeros((2, 60, 80), bool)
    truth[10, 10] = truth[10, 12] = True
    found[10, 11] = found[10, 9] = True
    assert heat.Matching(truth).add(found) == 2


def test_counts_and_figures_by_hand() -> None:
    truth = [[10, 10, 49, 10], [10, 50, 49, 50]]
    size = int(heat.drawn(truth, WIDTH, HEIGHT).sum())
    found = [truth[0], [60, 80, 99, 80], truth[1]]
    counts = heat.count(found, [0.9, 0.5, 0.2], truth, WIDTH, HEIGHT, thresholds=(0.1, 0.4, 0.8))
    half = size // 2
    assert counts == [(size, size + half, size), (half, size, size), (half, half, size)]
    found_figures = heat.figures([counts])
    assert found_figures["fh"] == pytest.approx(2 * 2 / 3 / (1 + 2 / 3))
    assert found_figures["aph"] == pytest.approx(1 / 2 + 1 / 2 * 2 / 3)
    nothing = heat.count(np.zeros((0, 4)), [], truth, WIDTH, HEIGHT)
    assert heat.figures([nothing]) == {"fh": 0, "aph": 0}


def test_pictures_sum_their_pixels() -> None:
    pictures = [[heat.Pixels(8, 10, 10)], [heat.Pixels(0, 10, 0)]]
    precision, recall = 8 / 20, 8 / 10
    assert heat.figures(pictures)["fh"] == pytest.approx(
        2 * precision * recall / (precision + recall)
    )
