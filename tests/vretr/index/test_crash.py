"""Killed, out of room, shut out, disturbed: the index keeps its last good state."""

import errno
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vretr.errors import VretrError
from vretr.index import Index
from vretr.index.build import build
from vretr.index.lock import only_writer

HERE = Path(__file__).parent
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

# A build by another process: folder, seconds that each batch takes, further lines.
SLOW_BUILD = """
import sys, time
sys.path.insert(0, {here!r})
from pathlib import Path
from conftest import TinyEncoder
from vretr.index import build as building
building._COMMIT_SECONDS = 0
class Slow(TinyEncoder):
    def encode_images(self, images):
        time.sleep({seconds})
        return super().encode_images(images)
{more}
print("start", flush=True)
report = building.build([Path({folder!r})], Slow(), batch_size=1, workers={workers})
print(report.photos)
"""


def other_process(
    folder: Path, *, seconds: float = 0.05, workers: int = 0, more: str = ""
) -> subprocess.Popen[str]:
    program = SLOW_BUILD.format(
        here=str(HERE), folder=str(folder), seconds=seconds, workers=workers, more=more
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ONE_THREAD,
    )
    assert process.stdout is not None and process.stdout.readline() == "start\n"
    return process


def end(process: subprocess.Popen[str]) -> tuple[str, str]:
    output, errors = process.communicate(timeout=60)
    return output, errors


@pytest.mark.parametrize("scenario", ["first", "prune", "rebuild"])
def test_killed_at_many_steps(scenario: str, tmp_path: Path) -> None:
    crash(scenario, tmp_path, stride=11)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["first", "prune", "rebuild"])
def test_killed_at_every_step(scenario: str, tmp_path: Path) -> None:
    crash(scenario, tmp_path, stride=1)


def crash(scenario: str, tmp_path: Path, *, stride: int) -> None:
    program = [sys.executable, HERE / "crashing.py", scenario, tmp_path / "work", str(stride)]
    done = subprocess.run(program, capture_output=True, text=True, env=ONE_THREAD, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 5


def test_killed_at_any_time(folder: Path, encoder: Any) -> None:
    """kill -9 from outside, with decoding processes; each time it goes on where it was."""
    kept = 0
    for seed in range(3):
        process = other_process(folder, workers=2)
        time.sleep(0.3 + random.Random(seed).random() * 0.5)
        process.kill()
        end(process)
        if (folder / ".vretr/index.sqlite").exists():
            build_is_possible = build([folder], encoder, workers=0, dry_run=True)
            assert build_is_possible.unchanged >= kept
            kept = build_is_possible.unchanged
    assert build([folder], encoder, workers=0).photos == 10
    assert encoder.encoded == 10 - kept
    with Index.open(folder / ".vretr") as index:
        assert index.verify() == [] and len(index) == 10


def wait_for_photos(index: Path, count: int) -> None:
    for _ in range(600):
        try:
            with Index.open(index) as opened:
                if len(opened) >= count:
                    return
        except VretrError:
            pass
        time.sleep(0.02)
    raise AssertionError("nothing was committed")


def test_ctrl_c_keeps_what_was_finished(folder: Path, encoder: Any) -> None:
    process = other_process(folder, seconds=0.2)
    wait_for_photos(folder / ".vretr", 2)
    process.send_signal(signal.SIGINT)
    _, errors = end(process)
    assert "KeyboardInterrupt" in errors
    report = build([folder], encoder, workers=0)
    assert report.unchanged >= 2 and report.photos == 10


def test_second_writer_is_told_who_the_first_is(folder: Path, encoder: Any) -> None:
    process = other_process(folder, seconds=1)
    wait_for_photos(folder / ".vretr", 1)
    with pytest.raises(VretrError, match=f"process {process.pid} on .*, since 20") as error:
        build([folder], encoder, workers=0)
    assert error.value.exit_code == 1
    process.kill()  # its lock dies with it
    end(process)
    assert build([folder], encoder, workers=0).photos == 10


def test_readers_are_not_disturbed(folder: Path, encoder: Any, paint: Any) -> None:
    """Searches go on through commits, merges and a compaction; each sees a whole state."""
    for number in range(10, 40):
        paint(folder / f"{number}.png", number)
    build([folder], encoder, workers=0)
    query = encoder.encode_images(pixels(folder / "5.png"))[0]
    for number in range(20, 40):
        (folder / f"{number}.png").unlink()
    for number in range(40, 60):
        paint(folder / f"{number}.png", number)
    more = "real = building.build; building.build = lambda *a, **o: real(*a, **o, prune=True)"
    process = other_process(folder, seconds=0.01, more=more)
    slowest, searches, sizes = 0.0, 0, set()
    with Index.open(folder / ".vretr") as reader:
        while process.poll() is None:
            start = time.perf_counter()
            hits = reader.search(query, 100)
            slowest = max(slowest, time.perf_counter() - start)
            searches += 1
            sizes.add(len(hits))
            assert (hits[0].path.name, hits[0].score) == ("5.png", 1.0)
        assert len(reader.search(query, 100)) == 40
    assert end(process)[0] == "40\n"
    assert searches > 20 and len(sizes) > 3 and slowest < 5


def pixels(path: Path) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(path)).transpose(2, 0, 1)[None]


def test_writer_is_not_held_up_by_an_open_reader(folder: Path, encoder: Any, paint: Any) -> None:
    build([folder], encoder, workers=0)
    with Index.open(folder / ".vretr") as reader:
        reader.search(np.ones(16))
        paint(folder / "x.png", 77)
        start = time.perf_counter()
        build([folder], encoder, workers=0)
        assert time.perf_counter() - start < 5
        assert len(reader.search(np.ones(16), 20)) == 11


def check_whole(folder: Path, encoder: Any) -> None:
    with Index.open(folder / ".vretr") as index:
        assert index.verify() == []
        hits = index.search(encoder.encode_images(pixels(folder / "5.png"))[0], 20)
        assert len(hits) == 10 and hits[0].path.name == "5.png"
    assert not [p for p in (folder / ".vretr/segments").iterdir() if p.suffix == ".tmp"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_no_room(
    call: str, code: int, folder: Path, encoder: Any, paint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    build([folder], encoder, workers=0)
    paint(folder / "x.png", 99)

    def full(*arguments: Any, **options: Any) -> Any:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, full)
    with pytest.raises(VretrError, match="There is no room left for the index in") as error:
        build([folder], encoder, workers=0)
    assert error.value.exit_code == 1
    monkeypatch.undo()
    check_whole(folder, encoder)
    assert build([folder], encoder, workers=0).photos == 11


def test_limit_of_file_size(folder: Path, encoder: Any, paint: Any, tmp_path: Path) -> None:
    """A real refusal by the system, in the middle of a write."""
    build([folder], encoder, workers=0)
    for number in range(10, 200):
        paint(folder / f"{number}.png", number)
    database = (folder / ".vretr/index.sqlite").stat().st_size
    more = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({database}, {database}))"
    )
    process = other_process(folder, seconds=0, more=more)
    _, errors = end(process)
    assert process.returncode == 1 and "VretrError" in errors
    assert "What was finished before is kept." in errors.splitlines()[-1]
    shutil.rmtree(folder / "new", ignore_errors=True)
    with Index.open(folder / ".vretr") as index:
        assert index.verify() == [] and len(index) >= 10
    assert build([folder], encoder, workers=0).photos == 200


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own of 400 KB, where this process may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=400k,mode=700", "tmpfs", place]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no file system may be mounted here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_full_disk(folder: Path, encoder: Any, paint: Any, small_disk: Path) -> None:
    index = small_disk / "index"
    build([folder], encoder, index=index, workers=0)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(b"x" * 4096)
    for number in range(10, 300):
        paint(folder / f"{number}.png", number)
    with pytest.raises(VretrError, match="no room left"):
        build([folder], encoder, index=index, workers=0)
    with Index.open(index) as opened:
        assert opened.verify() == [] and len(opened) == 10
    filler.unlink()
    assert build([folder], encoder, index=index, workers=0).photos == 300


def test_read_only_disk(folder: Path, encoder: Any, paint: Any, small_disk: Path) -> None:
    inside = small_disk / "photos"
    shutil.copytree(folder, inside)
    new = small_disk / "new"
    shutil.copytree(folder, new)
    build([inside], encoder, workers=0)
    paint(inside / "x.png", 50)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with Index.open(inside / ".vretr") as index:
        assert len(index.search(np.ones(16), 20)) == 10 and index.verify() == []
    for place in (inside, new):
        with pytest.raises(VretrError, match=r"cannot be written.*--index DIR") as error:
            build([place], encoder, workers=0)
        assert "\n" not in str(error.value)
    assert build([inside], encoder, workers=0, dry_run=True).new == 1


def test_read_only_folder(folder: Path, encoder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for an ordinary user; root may write everywhere, so the system's answer is played."""
    real = os.open

    def denied(path: Any, flags: int, *rest: Any, **options: Any) -> int:
        if flags & os.O_CREAT and ".vretr" in os.fspath(path):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path, flags, *rest, **options)

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(VretrError, match=r"cannot be written.*Permission denied.*--index DIR"):
        build([folder], encoder, workers=0)


def test_file_system_without_locks(
    folder: Path, encoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(VretrError, match=r"has no file locks.*--index DIR"):
        build([folder], encoder, workers=0)


def test_owner_that_has_not_said_who_it_is(tmp_path: Path) -> None:
    with only_writer(tmp_path):
        (tmp_path / "lock").write_bytes(b"")
        with (
            pytest.raises(VretrError, match="it has just started"),
            only_writer(tmp_path),
        ):
            pass
    with only_writer(tmp_path):
        pass


def test_database_kept_busy_by_another_program(
    folder: Path, encoder: Any, paint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    build([folder], encoder, workers=0)
    paint(folder / "x.png", 60)
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **o: connect(*a, **{**o, "timeout": 0.1}))
    other = connect(folder / ".vretr/index.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(VretrError, match="busy"):
        build([folder], encoder, workers=0)
    other.close()
    check_whole(folder, encoder)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_memory_is_flat(tmp_path: Path) -> None:
    """Four times as many photos need about the same memory (peak of the whole process)."""
    peaks = []
    for count in (500, 2000):
        program = MANY_PHOTOS.format(here=str(HERE), folder=str(tmp_path / str(count)), count=count)
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            env=ONE_THREAD,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout))
    assert peaks[1] < peaks[0] + 8 * 1024, peaks  # KiB; the vectors alone are 8 MB more


MANY_PHOTOS = """
import sys
sys.path.insert(0, {here!r})
from pathlib import Path
import numpy as np
from conftest import TinyEncoder
from vretr.index import build as building
building._COMMIT_ROWS = 100
folder = Path({folder!r}); folder.mkdir()
for number in range({count}):
    text = b"P6 2 2 255 " + np.random.default_rng(number).bytes(12)
    (folder / f"{{number}}.ppm").write_bytes(text)
report = building.build([folder], TinyEncoder(dim=1024), workers=0)
assert report.photos == {count}, report
# Not ru_maxrss, which a child inherits from the process that started it.
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""
