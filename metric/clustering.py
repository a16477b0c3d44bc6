"""How well k-means finds the classes again: NMI."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Average = Literal["arithmetic", "geometric", "max"]

ROUNDS = 25  # of k-means; faiss's own number


def clusters(vectors: NDArray[np.float32], count: int, *, seed: int = 0) -> NDArray[np.int64]:
    """The cluster of each vector by faiss's k-means, int64 [N].

    All vectors are used (faiss by itself takes 256 a centre), centres are means, not unit vectors.
    Other seeds and other versions of k-means give other clusters, and another NMI.

    Args:
        vectors: float32 [N, dim], finite, N >= count.
        count: number of clusters.
        seed: of the first centres.
    """
    import faiss

    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    found = faiss.Kmeans(
        vectors.shape[1],
        count,
        niter=ROUNDS,
        seed=seed,
        spherical=False,
        min_points_per_centroid=1,
        max_points_per_centroid=len(vectors),
    )
    found.train(vectors)
    return found.index.search(vectors, 1)[1][:, 0]


def nmi(labels: ArrayLike, found: ArrayLike, *, average: Average = "arithmetic") -> float:
    """Normalised mutual information I(Y; C) / mean(H(Y), H(C)) of two labellings, in [0, 1].

    Both of one class: 1; only one of them: 0, as scikit-learn has it. Older papers divide by the
    geometric mean.

    Args:
        labels, found: [N] each.
        average: of the two entropies.
    """
    _, own = np.unique(np.asarray(labels), return_inverse=True)
    _, other = np.unique(np.asarray(found), return_inverse=True)
    if own.shape != other.shape:
        raise ValueError(f"{len(own)} labels do not fit {len(other)} clusters.")
    pairs = np.unique(own * (other.max(initial=0) + 1) + other, return_counts=True)[1]
    of_own, of_other = _entropy(np.bincount(own)), _entropy(np.bincount(other))
    if of_own == 0 and of_other == 0:
        return 1.0
    mean = {
        "arithmetic": (of_own + of_other) / 2,
        "geometric": float(np.sqrt(of_own * of_other)),
        "max": max(of_own, of_other),
    }[average]
    return max(0.0, of_own + of_other - _entropy(pairs)) / mean if mean else 0.0


def _entropy(counts: NDArray[np.int64]) -> float:
    """In nats."""
    share = counts / counts.sum()
    return float(-(share * np.log(share)).sum()) if len(counts) > 1 else 0.0
