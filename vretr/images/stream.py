"""Batches of decoded pictures, made beside the model that consumes them."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from queue import LifoQueue
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vretr.images.decode import decode
from vretr.images.files import File, Unreadable, open_regular, why
from vretr.images.masked import Masked, blanked
from vretr.images.preprocessing import Preprocessing
from vretr.images.region import Region
from vretr.images.worker import TIMEOUT, Worker

Result = TypeVar("Result")
Loaded = tuple[File, NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive paths, read.

    Attributes:
        files: B files that could be decoded.
        pixels: uint8 [B, 3, S, S], row i of `files[i]`; a view of [B, S, S, 3] (channels last).
        unreadable: the paths between them that could not.
    """

    files: list[File]
    pixels: NDArray[np.uint8]
    unreadable: list[Unreadable]


def batches(
    paths: Iterable[Path | Region | Masked],
    preprocessing: Preprocessing,
    *,
    batch_size: int = 32,
    workers: int | None = None,
) -> Generator[Batch, None, None]:
    """Reads pictures ahead of their consumer, in the order of `paths`.

    Each file is opened once: hashed, decoded, preprocessed; one that changes meanwhile is
    unreadable.
    A batch holds the next `batch_size` paths, readable or not. At most two batches are read ahead,
    so memory does not grow with the folder. A file that crashes its decoder, or keeps it busy for a
    minute (of processor time), is unreadable and nothing more.

    The iterator owns child processes: exhaust it or close it (`contextlib.closing`).

    Args:
        workers: decoding processes; None: one for each processor that this process may use; 0:
            decode in this process when a batch is asked for, without protection from crashes.
    """
    load = partial(load_pixels, preprocessing=preprocessing)
    size = preprocessing.size
    with closing(read_ahead(paths, load, workers=workers, ahead=2 * batch_size)) as results:
        while chunk := list(islice(results, batch_size)):
            loaded = [result for result in chunk if not isinstance(result, Unreadable)]
            pixels = np.empty((len(loaded), size, size, 3), dtype=np.uint8)
            for row, (_, picture) in enumerate(loaded):
                pixels[row] = picture
            yield Batch(
                files=[file for file, _ in loaded],
                pixels=pixels.transpose(0, 3, 1, 2),
                unreadable=[result for result in chunk if isinstance(result, Unreadable)],
            )


def load_pixels(path: Path | Region | Masked, preprocessing: Preprocessing) -> Loaded | Unreadable:
    """One file or a part of it -> what is known of the file, and the pixels, uint8 [S, S, 3]."""
    opened = open_regular(Path(path))
    if isinstance(opened, Unreadable):
        return opened
    with opened.stream:
        try:
            # Twice over the content, the second time from the system's cache: this way a file of
            # any size costs no memory.
            digest = opened.hashed()
            part = path if isinstance(path, Region) else None
            # A part is measured in pixels of the full size.
            image = decode(opened, target=None if part else preprocessing.target)
            if opened.changed():
                return opened.unreadable("changed while it was read")
            if isinstance(image, Unreadable):
                return image
            pixels = preprocessing.pixels(part.cut(image) if part else image)
            if isinstance(path, Masked):
                pixels = blanked(pixels, path.mask(preprocessing.size), preprocessing)
        except (OSError, MemoryError) as error:
            return opened.unreadable(why(error))
    return File(opened.path, opened.size, opened.mtime_ns, digest), pixels


def read_ahead(
    paths: Iterable[os.PathLike[str]],
    load: Callable[[Any], Result],
    *,
    workers: int | None = None,
    ahead: int = 64,
    timeout: float = TIMEOUT,
) -> Generator[Result | Unreadable, None, None]:
    """`map(load, paths)` in child processes, in order, at most `ahead` results early.

    Args:
        load: a picklable function of one of `paths`; its child processes are protected as `Worker`
            says.
        workers, timeout: see `batches` and `Worker`.
    """
    count = processors() if workers is None else workers
    if count == 0:
        yield from map(load, paths)
        return
    crew: list[Worker[Result]] = [Worker(load, timeout=timeout) for _ in range(count)]
    # Last in, first out: few files start few processes.
    idle: LifoQueue[Worker[Result]] = LifoQueue()
    for worker in crew:
        idle.put(worker)

    def in_worker(path: os.PathLike[str]) -> Result | Unreadable:
        worker = idle.get()
        try:
            return worker(path)
        finally:
            idle.put(worker)

    threads = ThreadPoolExecutor(count, thread_name_prefix="vretr-decode")
    try:
        remaining = iter(paths)
        pending: deque[Future[Result | Unreadable]] = deque(
            threads.submit(in_worker, path) for path in islice(remaining, ahead)
        )
        while pending:
            result = pending.popleft().result()
            pending.extend(threads.submit(in_worker, path) for path in islice(remaining, 1))
            yield result
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        for worker in crew:
            worker.stop()
        threads.shutdown(wait=True)


def processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
