"""Recall@K, R-precision and MAP@R from vectors: beside the bare matrix product, and beside PML.

    python benchmarks/metric_evaluation.py [--rounds 5] [--threads 2] [--only sop|pml]

`sop` has the size of Stanford Online Products' test set, 60,502 vectors of 512 numbers in 11,316
classes; the product is multiplied in blocks of 128 MiB of scores, and nothing is done with it.
`pml` is pytorch-metric-learning's AccuracyCalculator (precision@1, R-precision and MAP@R; k =
"max_bin_count", without NMI and AMI) on 20,000 vectors, in classes of 5 and of 100. The figures
must agree to 1e-5, or it stops: scores closer than 1e-6 are level here, and in an order of noise
there. In every round all of them take turns; medians are shown, and of the ratios within a round,
with the least and the largest. Seconds of processor time stand beside: they hang less on what else
the machine does.
"""

import argparse
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from metric.measuring import measure
from vretr import metrics

Vectors = NDArray[np.float32]
Times = tuple[float, float]  # on the clock, of the processors
DIM = 512


def classes_of(items: int, classes: int) -> tuple[Vectors, NDArray[np.int64]]:
    """Unit vectors around a random centre for each class, and their labels; sizes are random."""
    rng = np.random.default_rng(0)
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, items - classes)])
    vectors = 3 * rng.standard_normal((items, DIM), dtype=np.float32)
    vectors += rng.standard_normal((classes, DIM), dtype=np.float32)[labels]
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), labels


def product(vectors: Vectors) -> None:
    """The bare product, block by block."""
    rows = max(1, metrics.MEMORY // (4 * len(vectors)))
    block = np.empty((rows, len(vectors)), dtype=np.float32)
    for start in range(0, len(vectors), rows):
        part = vectors[start : start + rows]
        np.dot(part, vectors.T, out=block[: len(part)])


def theirs(vectors: Vectors, labels: NDArray[np.int64]) -> dict[str, float]:
    """PML's figures by our names."""
    import torch
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    names = {
        "precision_at_1": "recall@1",
        "r_precision": "r_precision",
        "mean_average_precision_at_r": "map@r",
    }
    calculator = AccuracyCalculator(
        include=tuple(names), k="max_bin_count", device=torch.device("cpu")
    )
    found = calculator.get_accuracy(torch.from_numpy(vectors), torch.from_numpy(labels))
    return {names[name]: float(value) for name, value in found.items()}


def timed(work: Callable[[], Any]) -> tuple[Any, Times]:
    clock, processors = time.perf_counter(), time.process_time()
    found = work()
    return found, (time.perf_counter() - clock, time.process_time() - processors)


def compare(title: str, works: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, Any]:
    """Times the works in turn and shows each beside the first; returns what they found."""
    times: dict[str, list[Times]] = {name: [] for name in works}
    found: dict[str, Any] = {}
    for _ in range(rounds):
        for name, work in works.items():
            found[name], took = timed(work)
            times[name].append(took)
    print(f"\n{title}; {rounds} rounds")
    first = next(iter(works))
    for name, took in times.items():
        clock, processors = (statistics.median(column) for column in zip(*took, strict=True))
        line = f"{name:24} {clock:7.2f} s   {processors:7.2f} s of processors"
        if name != first:
            for what, place in (("clock", 0), ("processors", 1)):
                ratios = [b[place] / a[place] for a, b in zip(times[first], took, strict=True)]
                line += (
                    f"   {statistics.median(ratios):.2f} x ({min(ratios):.2f} to "
                    f"{max(ratios):.2f}) by {what}"
                )
        print(line, flush=True)
    return found


def sop(rounds: int) -> None:
    vectors, labels = classes_of(60_502, 11_316)
    found = compare(
        f"60,502 x {DIM}, 11,316 classes: R@1, R@10, R@100, RP, MAP@R",
        {
            "bare product": lambda: product(vectors),
            "measure": lambda: measure(vectors, labels, ks=(1, 10, 100)).figures,
            "measure, also R@1000": lambda: measure(vectors, labels, ks=(1, 10, 100, 1000)).figures,
        },
        rounds,
    )
    print({name: round(value, 4) for name, value in found["measure, also R@1000"].items()})
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # KiB on Linux
    print(f"peak memory of the process {peak:.2f} GiB")


def pml(rounds: int) -> None:
    for classes in (4_000, 200):
        vectors, labels = classes_of(20_000, classes)
        found = compare(
            f"20,000 x {DIM}, {classes:,} classes of up to {np.bincount(labels).max()}",
            {
                "measure": lambda v=vectors, y=labels: measure(v, y, ks=(1,)).figures,
                "bare product": lambda v=vectors: product(v),
                "AccuracyCalculator": lambda v=vectors, y=labels: theirs(v, y),
            },
            rounds,
        )
        apart = max(
            abs(value - found["AccuracyCalculator"][name])
            for name, value in found["measure"].items()
        )
        print(f"figures differ by {apart:.1e} at most")
        if apart > 1e-5:
            raise SystemExit("the figures do not agree")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="not needed here; every benchmark takes it")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=("sop", "pml"))
    options = parser.parse_args()
    with threadpool_limits(options.threads):
        for name, work in (("sop", sop), ("pml", pml)):
            if options.only in (None, name):
                work(options.rounds)


if __name__ == "__main__":
    main()
