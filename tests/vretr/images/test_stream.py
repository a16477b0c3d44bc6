import hashlib
import os
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from tests.vretr.images import tasks
from vretr import images
from vretr.images import Preprocessing, Unreadable, stream
from vretr.images.stream import read_ahead

SMALL = Preprocessing(32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.fixture
def processes(monkeypatch):
    """All child processes that are started."""
    started = []

    class Recorded(subprocess.Popen):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    return started


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_batches_keep_the_order_and_align_rows_with_files(photos, workers):
    (photos / "blue_broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    (photos / "red_empty.jpg").touch()
    paths = [*images.find([photos]), photos / "gone.jpg"]
    assert len(paths) == 15
    batches = list(images.batches(paths, SMALL, batch_size=4, workers=workers))
    assert [len(batch.files) + len(batch.unreadable) for batch in batches] == [4, 4, 4, 3]
    for number, batch in enumerate(batches):
        together = [*batch.files, *batch.unreadable]
        assert sorted(entry.path for entry in together) == sorted(
            paths[4 * number : 4 * number + 4]
        )
        assert [file.path for file in batch.files] == sorted(file.path for file in batch.files)
        assert batch.pixels.shape == (len(batch.files), 3, 32, 32)
        assert batch.pixels.dtype == np.uint8
        for file, pixels in zip(batch.files, batch.pixels, strict=True):
            content = file.path.read_bytes()
            status = file.path.stat()
            assert file.digest == hashlib.blake2b(content, digest_size=16).digest()
            assert (file.size, file.mtime_ns) == (len(content), status.st_mtime_ns)
            alone = SMALL.pixels(images.open(file.path, target=SMALL.target))
            assert np.array_equal(pixels, alone.transpose(2, 0, 1))
    reasons = {entry.path.name: entry.reason for batch in batches for entry in batch.unreadable}
    assert reasons["red_empty.jpg"] == "empty file"
    assert reasons["gone.jpg"] == "no such file"
    assert set(reasons) == {"blue_broken.jpg", "red_empty.jpg", "gone.jpg"}


def test_pixels_are_channels_last_in_memory(photos):
    (batch,) = images.batches(images.find([photos]), SMALL, workers=0)
    assert batch.pixels.transpose(0, 2, 3, 1).flags.c_contiguous


def test_no_paths_no_batches_no_processes(processes):
    assert list(images.batches([], SMALL)) == []
    assert processes == []


def test_a_batch_of_unreadable_files_only(tmp_path):
    (batch,) = images.batches([tmp_path / "a", tmp_path / "b"], SMALL, workers=1)
    assert batch.files == [] and len(batch.unreadable) == 2
    assert batch.pixels.shape == (0, 3, 32, 32)


def test_few_files_start_few_processes(photos, processes):
    list(images.batches([photos / "red_line.jpg"], SMALL, workers=8))
    assert len(processes) == 1


def test_paths_are_taken_as_they_are_needed():
    taken = []
    endless = (taken.append(number) or Path(str(number)) for number in count())
    results = read_ahead(endless, tasks.name, workers=2, ahead=10)
    assert [next(results) for _ in range(30)] == [str(number) for number in range(30)]
    results.close()
    assert len(taken) == 40


def test_the_order_holds_although_files_differ_in_time():
    names = [("a" if number % 3 else "slow") + str(number) for number in range(50)]
    assert list(read_ahead(map(Path, names), tasks.slow, workers=3)) == names


def test_crashes_and_hangs_cost_only_their_files():
    names = ["a", "abort1", "b", "spin", "c", "exit", "abort2", "d", "e"]
    results = list(read_ahead(map(Path, names), tasks.fragile, workers=2, timeout=1.0))
    assert [r.path.name if isinstance(r, Unreadable) else r for r in results] == names
    assert [r for r in results if not isinstance(r, Unreadable)] == ["a", "b", "c", "d", "e"]


def test_nothing_is_left_behind(processes, photos):
    paths = list(images.find([photos])) * 10
    for _ in images.batches(paths, SMALL, batch_size=8, workers=2):
        break  # the iterator is dropped here, and with it what it owns
    busy = read_ahead(map(Path, ["a", "sleep1", "sleep2"]), tasks.fragile, workers=2)
    assert next(busy) == "a"
    start = time.monotonic()
    busy.close()
    assert time.monotonic() - start < 60
    with pytest.raises(RuntimeError):
        list(read_ahead(map(Path, ["a", "raise", "sleep"]), tasks.fragile, workers=2))
    assert len(processes) == 6
    assert all(process.returncode is not None for process in processes)


def test_a_file_that_changes_while_it_is_read(photos, monkeypatch):
    path = photos / "red_line.jpg"
    decode = stream.decode

    def slowly(opened, **options):
        picture = decode(opened, **options)
        path.write_bytes(path.read_bytes() + b"more")
        return picture

    monkeypatch.setattr(stream, "decode", slowly)
    (batch,) = images.batches([path], SMALL, workers=0)
    assert [entry.reason for entry in batch.unreadable] == ["changed while it was read"]


def test_odd_names_on_their_way_to_a_process_and_back(photos):
    content = (photos / "red_line.jpg").read_bytes()
    names = [b"two\nlines.jpg", b"caf\xe9.jpg", "é".encode(), b"l" * 251 + b".jpg"]
    paths = []
    for name in names:
        path = Path(os.fsdecode(os.path.join(os.fsencode(photos), name)))
        try:
            path.write_bytes(content)
        except OSError:
            continue
        paths.append(path)
    (batch,) = images.batches(paths, SMALL, workers=1)
    assert [file.path for file in batch.files] == paths


# Read from stdin: there is no main module that a child could import, and no `if __name__` guard.
FOREVER = """
import sys
from itertools import repeat
from pathlib import Path
from tests.vretr.images import tasks
from vretr.images.stream import read_ahead
for number, result in enumerate(read_ahead(repeat(Path("x")), tasks.process, workers=2)):
    if number % 50 == 0:
        print(result, flush=True)
"""
LEFT_OPEN = """
from itertools import repeat
from pathlib import Path
from tests.vretr.images import tasks
from vretr.images.stream import read_ahead
results = read_ahead(repeat(Path("x")), tasks.process, workers=2)
print(next(results))
"""
HERE = {"PYTHONPATH": os.pathsep.join(sys.path)}


def ended(pid: int) -> bool:
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_ctrl_c_ends_the_children_and_says_nothing_of_them(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(FOREVER)
    with (
        script.open() as stdin,
        subprocess.Popen(
            [sys.executable, "-"],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=os.environ | HERE,
            text=True,
        ) as parent,
    ):
        children = {int(parent.stdout.readline()) for _ in range(20)}
        os.killpg(parent.pid, signal.SIGINT)
        _, errors = parent.communicate(timeout=60)
    assert parent.returncode == -signal.SIGINT
    assert errors.count("Traceback") == 1 and errors.rstrip().endswith("KeyboardInterrupt")
    assert all(ended(child) for child in children)


def test_an_iterator_that_is_never_closed_does_not_hold_up_the_exit():
    done = subprocess.run(
        [sys.executable, "-"],
        input=LEFT_OPEN,
        capture_output=True,
        env=os.environ | HERE,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert ended(int(done.stdout))
