"""Measures of lines: against loops, by hand, and on the figures that York's truth must give."""

import math

import numpy as np
import pytest

from lsd import metrics

CORNERS = [10.0, 20.0, 50.0, 60.0]


def drawn_lines(seed: int, found: int = 60, true: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Lines near true ones, turned, shifted and in either order of ends."""
    draw = np.random.default_rng(seed)
    truth = draw.uniform(0, 128, (true, 4))
    lines = truth[draw.integers(0, true, found)] + draw.normal(0, 1.5, (found, 4))
    turned = draw.random(found) < 0.5
    lines[turned] = lines[turned][:, [2, 3, 0, 1]]
    return lines, truth


def naive_structural(found: np.ndarray, truth: np.ndarray, threshold: float) -> list[bool]:
    """As the rule says it, in loops."""
    taken: set[int] = set()
    hits = []
    for line in found:
        apart = []
        for true in truth:
            ways = []
            for first, second in ((line[:2], line[2:]), (line[2:], line[:2])):
                ways.append(math.dist(first, true[:2]) ** 2 + math.dist(second, true[2:]) ** 2)
            apart.append(min(ways))
        nearest = apart.index(min(apart))
        hits.append(apart[nearest] < threshold and nearest not in taken)
        if hits[-1]:
            taken.add(nearest)
    return hits


def naive_match(line: np.ndarray, true: np.ndarray) -> float:
    """LMS of two lines, by angles and projections one at a time."""

    def normal(ends: np.ndarray) -> np.ndarray:
        (x1, y1), (x2, y2) = (ends.reshape(2, 2) - true.reshape(2, 2).mean(axis=0)) / 24
        return np.cross([x1, y1, 1], [x2, y2, 1])

    a, b = normal(line), normal(true)
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    angle = math.degrees(math.acos(max(-1, min(1, cosine))))
    angle = min(angle, 180 - angle)
    along, across = true[2:] - true[:2], line[2:] - line[:2]
    length, found_length = np.linalg.norm(along), np.linalg.norm(across)
    places = sorted(min(max((end - true[:2]) @ along / length, 0), length)
                    for end in (line[:2], line[2:]))  # fmt: skip
    beside = places[1] - places[0]
    in_plane = abs(along @ across) / length / found_length
    shares = beside / length, beside / in_plane / found_length
    if angle >= 10 or min(shares) < 0.5:
        return 0.0
    return (1 - angle / 10) * min(1, sum(shares) / 2)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("threshold", metrics.THRESHOLDS)
def test_structural_hits_as_in_loops(seed: int, threshold: float) -> None:
    found, truth = drawn_lines(seed)
    hits = metrics.structural_hits(found, truth, threshold)
    assert hits.tolist() == naive_structural(found, truth, threshold)
    assert 0 < hits.sum() <= len(truth)


def test_a_threshold_is_squared_and_of_both_ends() -> None:
    truth = [CORNERS]
    for apart, right in ((4.99, True), (5.0, False)):
        moved = [10 + math.sqrt(apart / 2), 20.0, 50.0, 60 - math.sqrt(apart / 2)]
        assert metrics.structural_hits([moved], truth, 5).tolist() == [right], apart


def test_no_second_best_and_no_second_time() -> None:
    truth = [[0, 0, 0, 10], [1, 0, 1, 10]]
    found = [[0, 10, 0, 0], [0.4, 0, 0.4, 10], [0.9, 0, 0.9, 10]]
    assert metrics.structural_hits(found, truth, 5).tolist() == [True, False, True]


@pytest.mark.parametrize("rule", [lambda a, b: metrics.structural_hits(a, b, 10),
                                  metrics.line_matching_hits])  # fmt: skip
def test_nothing_found_and_nothing_true(rule) -> None:
    nothing = np.zeros((0, 4))
    assert rule(nothing, [CORNERS]).shape == (0,)
    assert rule([CORNERS], nothing).tolist() == [False]


def test_the_grid_forgets_the_shape() -> None:
    assert metrics.on_grid([[640, 0, 320, 480]], 640, 480).tolist() == [[128, 0, 64, 128]]
    assert metrics.on_grid([], 640, 480).shape == (0, 4)


@pytest.mark.parametrize("seed", range(3))
def test_line_matching_scores_as_in_loops(seed: int) -> None:
    found, truth = drawn_lines(seed)
    scores = metrics.line_matching_scores(found, truth)
    naive = [[naive_match(line, true) for true in truth] for line in found]
    np.testing.assert_allclose(scores, naive, atol=1e-6)
    assert (scores > 0.5).any() and (scores == 0).any()


def test_line_matching_by_hand() -> None:
    truth = [[0.0, 0.0, 40.0, 0.0]]
    scores = metrics.line_matching_scores(
        [
            [40, 0, 0, 0],  # the same, turned
            [10, 0, 40, 0],  # three quarters of it, and all of itself beside it
            [0, 0, 19, 0],  # less than half
            [20, -10, 20, 10],  # across
            [5, 0, 5, 0],  # a point
        ],
        truth,
    )
    assert scores[:, 0] == pytest.approx([1, 0.875, 0, 0, 0], abs=1e-6)


def test_average_precision_by_hand() -> None:
    """Right, wrong, right, and a third true line that is not found."""
    curve = metrics.curve([np.array([True, False]), np.array([True])], [[0.9, 0.8], [0.7]], 3)
    assert curve.recall == pytest.approx([1 / 3, 1 / 3, 2 / 3])
    assert curve.precision == pytest.approx([1, 1 / 2, 2 / 3])
    assert metrics.average_precision(curve) == pytest.approx(1 / 3 + 2 / 9)
    assert metrics.best_f(curve) == pytest.approx(2 / 3)


@pytest.mark.parametrize("seed", range(3))
def test_average_precision_against_scikit_learns_steps(seed: int) -> None:
    """Where precision only falls, the envelope is the curve itself."""
    from sklearn.metrics import average_precision_score

    draw = np.random.default_rng(seed)
    score = np.sort(draw.random(200))[::-1]
    right = draw.random(200) < np.linspace(1, 0, 200)
    curve = metrics.curve([right], [score], int(right.sum()))
    assert metrics.average_precision(curve) >= average_precision_score(right, score) - 1e-12
    falling = metrics.curve([np.arange(200) < 80], [score], 80)
    assert metrics.average_precision(falling) == pytest.approx(1)


def test_pictures_count_together_and_ties_keep_their_order() -> None:
    one, two = np.array([True]), np.array([False])
    assert metrics.average_precision(metrics.curve([one, two], [[0.5], [0.5]], 1)) == 1
    assert metrics.average_precision(metrics.curve([two, one], [[0.5], [0.5]], 1)) == 0.5


def test_nothing_found_is_zero_and_nothing_true_is_refused() -> None:
    empty = metrics.curve([np.zeros(0, bool)], [[]], 7)
    assert metrics.average_precision(empty) == 0 == metrics.best_f(empty)
    with pytest.raises(ValueError, match="Without a true line"):
        metrics.curve([], [], 0)


@pytest.mark.parametrize("seed", range(3))
def test_measures_do_not_depend_on_the_order_of_ends(seed: int) -> None:
    found, truth = drawn_lines(seed)
    turned = found[:, [2, 3, 0, 1]]
    assert (
        metrics.structural_hits(found, truth, 10) == metrics.structural_hits(turned, truth, 10)
    ).all()
    assert (
        metrics.line_matching_hits(found, truth) == metrics.line_matching_hits(turned, truth)
    ).all()
