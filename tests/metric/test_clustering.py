import numpy as np
import pytest
from sklearn.metrics import normalized_mutual_info_score

from metric.clustering import clusters, nmi

LABELS = [0, 0, 1, 0, 1, 1, 2, 2, 3]
FOUND = [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_golden_values() -> None:
    assert nmi(LABELS, FOUND) == pytest.approx(0.5597000403, abs=1e-10)
    assert nmi(LABELS, FOUND, average="geometric") == pytest.approx(0.5618828580, abs=1e-10)
    assert nmi(LABELS, FOUND, average="max") == pytest.approx(0.5144018201, abs=1e-10)
    assert nmi(LABELS, [7 - label for label in LABELS]) == pytest.approx(1)
    assert nmi(LABELS, [0] * 9) == 0 == nmi([0] * 9, FOUND)
    assert nmi([1, 1], ["a", "a"]) == 1
    with pytest.raises(ValueError, match="9 labels do not fit 2 clusters"):
        nmi(LABELS, [0, 1])


@pytest.mark.parametrize("seed", range(5))
def test_equals_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, found = rng.integers(0, 7, 200), rng.integers(0, 5, 200)
    for average in ("arithmetic", "geometric", "max"):
        theirs = normalized_mutual_info_score(labels, found, average_method=average)
        assert nmi(labels, found, average=average) == pytest.approx(theirs, abs=1e-12)  # type: ignore[arg-type]


def test_clusters_that_lie_apart_are_found_again() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 30)
    vectors = (10 * np.eye(4)[labels] + rng.standard_normal((120, 4))).astype(np.float32)
    scores = [nmi(labels, clusters(vectors, 4, seed=seed)) for seed in range(3)]
    assert max(scores) == pytest.approx(1)
    assert clusters(vectors, 4, seed=1).tolist() == clusters(vectors, 4, seed=1).tolist()
