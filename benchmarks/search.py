"""Exact search beside its floor and its rivals: `python benchmarks/search.py`.

One query and many over random unit vectors in a real index on disk (mapped, warm pages), against

- reading the stored bytes once (the floor for one query),
- NumPy's plain product of the whole matrix with argpartition,
- `faiss.IndexFlatIP` with its defaults.

The rows are timed in turn, round after round, so that a disturbance meets all alike; medians are
printed. Set OMP_NUM_THREADS to compare at another number of threads (all rows obey it).
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from vretr.index import Index, segments
from vretr.index.store import writing

THREADS = int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))


class Unit:
    """Stands for an encoder; nothing is encoded."""

    name = identity = "random unit vectors"

    def __init__(self, dim: int) -> None:
        self.dim = dim


def unit(random: np.random.Generator, rows: int, dim: int) -> NDArray[np.float32]:
    vectors = random.standard_normal((rows, dim), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def make_index(folder: Path, rows: int, dim: int) -> None:
    """An index of `rows` photos that do not exist, in one segment."""
    random = np.random.default_rng(0)

    def blocks() -> Iterator[NDArray[np.float32]]:
        for first in range(0, rows, 50_000):
            yield unit(random, min(50_000, rows - first), dim)

    with writing(folder, Unit(dim), root=folder, rebuild=False) as store:  # type: ignore[arg-type]
        segment = segments.write(
            folder / segments.FOLDER, start=0, rows=rows, dim=dim, blocks=blocks()
        )
        run = store.connection.executemany
        store.connection.execute("BEGIN")
        store.connection.execute(
            "INSERT INTO segment VALUES (0, ?, ?, ?)", (rows, segment.crc32, store.encoding.id)
        )
        digests = [(i, i.to_bytes(16, "big")) for i in range(rows)]
        run("INSERT INTO vector VALUES (?, ?, 1, 1)", digests)
        run("INSERT INTO photo VALUES (?, 1, 1, ?)", ((b"%08d.jpg" % i, d) for i, d in digests))
        store.connection.execute("COMMIT")


def read_once(vectors: NDArray[np.float32], pool: ThreadPoolExecutor) -> None:
    parts = np.array_split(vectors.reshape(-1).view(np.uint64), THREADS)
    list(pool.map(np.bitwise_or.reduce, parts))


def plain(vectors: NDArray[np.float32], queries: NDArray[np.float32], k: int) -> None:
    scores = vectors @ queries.T
    for column in scores.T:
        best = np.argpartition(column, -k)[-k:]
        best[np.argsort(column[best])]


def measure(
    rows: dict[str, Callable[[], object]], rounds: int
) -> dict[str, tuple[float, list[float]]]:
    """Seconds of each row: of the first call, and of `rounds` further ones in turn."""
    found: dict[str, tuple[float, list[float]]] = {}
    for number in range(rounds + 1):
        for name, call in rows.items():
            start = time.perf_counter()
            call()
            seconds = time.perf_counter() - start
            if number == 0:
                found[name] = (seconds, [])
            else:
                found[name][1].append(seconds)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="not needed here; every benchmark takes it")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--queries", type=int, default=64)
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where the temporary data goes")
    parser.add_argument("--no-faiss", action="store_true")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        folder = Path(temporary) / "index"
        make_index(folder, options.rows, options.dim)
        start = time.perf_counter()
        index = Index.open(folder)
        opened = time.perf_counter() - start
        vectors = segments.load(folder / segments.FOLDER, next(iter(index._mapped)), options.dim)
        queries = unit(np.random.default_rng(1), options.queries, options.dim)
        one, k, many = queries[:1], options.k, f"{options.queries} queries"
        pool = ThreadPoolExecutor(THREADS)
        single: dict[str, Callable[[], object]] = {
            "reading the bytes once": lambda: read_once(vectors, pool),
            "vretr": lambda: index.search(one[0], k),
            "NumPy, whole product": lambda: plain(vectors, one, k),
        }
        batch: dict[str, Callable[[], object]] = {
            "vretr": lambda: index.search_batch(queries, k),
            "NumPy, whole product": lambda: plain(vectors, queries, k),
        }
        if not options.no_faiss:
            import faiss

            faiss.omp_set_num_threads(THREADS)
            flat = faiss.IndexFlatIP(options.dim)
            flat.add(vectors)
            single["faiss.IndexFlatIP"] = lambda: flat.search(one, k)
            batch["faiss.IndexFlatIP"] = lambda: flat.search(queries, k)

        table = Table(
            title=f"{options.rows:,} x {options.dim} float32, top {k}, {THREADS} threads, "
            f"median of {options.rounds}; opening the index: {opened * 1e3:.1f} ms"
        )
        for heading in ("", "", "first ms", "median ms", "of vretr's", "of reading once"):
            table.add_column(heading, justify="left" if not heading else "right")
        floor = 0.0
        for what, rows in (("1 query", single), (many, batch)):
            found = measure(rows, options.rounds)
            medians = {name: statistics.median(times) for name, (_, times) in found.items()}
            floor = floor or medians["reading the bytes once"]
            for name, seconds in medians.items():
                table.add_row(
                    what,
                    name,
                    f"{found[name][0] * 1e3:.0f}",
                    f"{seconds * 1e3:.1f}",
                    f"{seconds / medians['vretr']:.2f}",
                    f"{seconds / floor:.2f}",
                )
        index.close()
        Console(width=100).print(table)


if __name__ == "__main__":
    main()
