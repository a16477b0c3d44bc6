"""Run by test_crash.py: kills a build at each of many steps and checks what is left.

    python crashing.py SCENARIO FOLDER STRIDE

A step is a call by which a build touches the disk. The build runs in a forked child that kills
itself (SIGKILL) at step n; then everything that had been committed must be there, and the next
build must bring the index to its end. Prints the number of kills.
"""

import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from conftest import TinyEncoder  # type: ignore[import-not-found]

from vretr.index import Index, store
from vretr.index import build as building
from vretr.index.build import build

PHOTOS = 12


class Steps:
    """Counts the calls that change the disk, and kills the process at one of them."""

    def __init__(self, deadly: int) -> None:
        self.count, self.deadly = 0, deadly

    def step(self) -> None:
        self.count += 1
        if self.count == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)

    def wrap(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def stepping(*arguments: Any, **options: Any) -> Any:
            self.step()
            return call(*arguments, **options)

        return stepping

    def install(self) -> None:
        for name in ("fsync", "replace", "unlink", "mkdir"):
            setattr(os, name, self.wrap(getattr(os, name)))
        steps = self

        class Connection(sqlite3.Connection):
            def execute(self, *arguments: Any) -> sqlite3.Cursor:
                steps.step()
                return super().execute(*arguments)

        connect = sqlite3.connect
        sqlite3.connect = lambda *a, **o: connect(*a, **o, factory=Connection)  # type: ignore[assignment]


def in_child(work: Callable[[Callable[[bytes], None]], None]) -> tuple[int, bytes]:
    """Runs `work` in a forked process; its exit status, and what it sent before its end."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(readable)
        work(lambda data: os.write(writable, data) and None)
        os._exit(0)
    os.close(writable)
    with os.fdopen(readable, "rb") as pipe:
        sent = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), sent


def paint_all(folder: Path) -> None:
    import numpy as np
    from PIL import Image

    for number in range(PHOTOS):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        os.utime(folder / f"{number}.png", (1e9, 1e9))


def main(scenario: str, base: Path, stride: int) -> None:
    building._COMMIT_SECONDS = 0.0
    old, new = TinyEncoder(0), TinyEncoder(1)
    start = base / "start"
    start.mkdir(parents=True)
    paint_all(start)
    options: dict[str, Any] = {"workers": 0, "batch_size": 1}
    encoder, expected = old, PHOTOS
    if scenario != "first":
        build([start], old, **options)
    if scenario == "prune":
        for number in range(1, 8):
            (start / f"{number}.png").unlink()
        (start / "0.png").rename(start / "00.png")
        options["prune"], expected = True, PHOTOS - 7
    if scenario == "rebuild":
        options["rebuild"], encoder = True, new

    def building_in(folder: Path, deadly: int) -> tuple[int, bytes]:
        def work(send: Callable[[bytes], None]) -> None:
            steps = Steps(deadly)
            steps.install()
            commit = store.Store.commit

            def telling(self: store.Store, changes: store.Changes) -> None:
                count = len(changes.contents)
                commit(self, changes)
                send(b"." * count)

            store.Store.commit = telling  # type: ignore[method-assign]
            build([folder], encoder, **options)
            send(b" %d" % steps.count)

        return in_child(work)

    status, sent = building_in(base / shutil.copytree(start, base / "whole"), 0)
    assert status == 0, status
    total = int(sent.split()[-1])
    kills = 0
    for deadly in range(1, total + 1, stride):
        folder = base / f"{deadly}"
        shutil.copytree(start, folder)
        status, sent = building_in(folder, deadly)
        assert status == -signal.SIGKILL, (deadly, status)
        kills += 1
        committed = sent.count(b".")
        index = folder / ".vretr"
        kept = check(folder, index, old, new, scenario, committed) if index.exists() else 0
        before = encoder.encoded
        report = build([folder], encoder, **options)
        assert report.photos == expected, (deadly, report)
        assert encoder.encoded - before <= expected - kept, (deadly, kept, report)
        with Index.open(index) as opened:
            assert opened.verify() == [] and opened.identity == encoder.identity
            assert len(found(opened, folder, encoder)) == expected, deadly
        shutil.rmtree(folder)
    print(kills)


def check(
    folder: Path, index: Path, old: TinyEncoder, new: TinyEncoder, scenario: str, committed: int
) -> int:
    """What was committed is there, and found; the number of photos that need no encoding."""
    if not (index / "index.sqlite").exists() or (not committed and scenario == "first"):
        return 0
    with Index.open(index) as opened:
        assert opened.verify() == []
        encoder = old if opened.identity == old.identity else new
        names = found(opened, folder, encoder)
    if scenario == "first":
        assert len(names) >= committed
        return len(names)
    if scenario == "rebuild":
        assert len(names) == PHOTOS
        return committed if encoder is old else 0  # rebuilt already: the next one begins anew
    assert len(names) >= PHOTOS - 8
    return PHOTOS - 7


def found(index: Index, folder: Path, encoder: TinyEncoder) -> set[str]:
    """Names of all photos that are there and are the best hit of their own picture."""
    import numpy as np
    from PIL import Image

    names = set()
    for hit in index.search(np.ones(index.dim), 1000):
        if hit.path.exists():
            pixels = np.asarray(Image.open(hit.path)).transpose(2, 0, 1)[None]
            counted = encoder.encoded
            vector = encoder.encode_images(pixels)[0]
            encoder.encoded = counted
            best = index.search(vector, 3)
            assert hit.path in [b.path for b in best if b.score > 0.999], hit
            names.add(hit.path.name)
    return names


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
