"""Recall@1/10/100, R-precision and MAP@R of a set against itself, beside the bare matrix product.

    python benchmarks/metrics.py [--items 60502] [--dim 512] [--classes 11316]

The default is the size of the test set of Stanford Online Products. The product is multiplied in
blocks of the same size into one buffer and nothing is done with it.
"""

import argparse
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vretr import metrics

NAMES = ("recall@1", "recall@10", "recall@100", "r_precision", "map@r")


def classes_of(items: int, dim: int, classes: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Unit vectors around a random centre for each class, and their labels."""
    rng = np.random.default_rng(0)
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, items - classes)])
    vectors = 3 * rng.standard_normal((items, dim), dtype=np.float32)
    vectors += rng.standard_normal((classes, dim), dtype=np.float32)[labels]
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), labels


def product(vectors: NDArray[np.float32]) -> None:
    """The bare product, block by block."""
    rows = max(1, metrics.MEMORY // (4 * len(vectors)))
    block = np.empty((rows, len(vectors)), dtype=np.float32)
    for start in range(0, len(vectors), rows):
        part = vectors[start : start + rows]
        np.matmul(part, vectors.T, out=block[: len(part)])


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="not needed here; every benchmark takes it")
    parser.add_argument("--items", type=int, default=60_502)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--classes", type=int, default=11_316)
    options = parser.parse_args()
    vectors, labels = classes_of(options.items, options.dim, options.classes)

    bare = seconds(lambda: product(vectors))
    start = time.perf_counter()
    found = metrics.figures(metrics.ranks_from_labels(vectors, labels), *NAMES)
    whole = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # KiB on Linux

    print(f"{options.items:,} x {options.items:,}, {options.dim} dimensions")
    print(f"bare product  {bare:8.1f} s")
    print(f"measures      {whole:8.1f} s  ({whole / bare:.2f} x the product)")
    print(f"peak memory   {peak:8.2f} GiB")
    print("  ".join(f"{name} {value:.4f}" for name, value in found.items()))


if __name__ == "__main__":
    main()
