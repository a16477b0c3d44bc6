import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.vretr.images import tasks
from vretr.errors import VretrError
from vretr.images import Unreadable
from vretr.images.worker import Worker


@pytest.fixture
def worker():
    """Makes workers and ends them."""
    crew = []

    def make(task, **options):
        crew.append(Worker(task, **options))
        return crew[-1]

    yield make
    for one in crew:
        one.stop()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def ended(pid: int) -> bool:
    for _ in range(600):
        if not alive(pid):
            return True
        time.sleep(0.1)
    return False


def test_one_child_answers_again_and_again(worker):
    call = worker(tasks.process)
    pid = call(Path("a"))
    assert pid != os.getpid()
    assert call(Path("b")) == pid
    call.stop()
    assert not alive(pid)


def test_any_name_goes_there_and_back(worker):
    call = worker(tasks.name)
    for name in ("two\nlines.jpg", os.fsdecode(b"caf\xe9.jpg"), "사진.jpg", " "):
        assert call(Path(name)) == name


def test_a_child_imports_no_torch(worker):
    assert not worker(tasks.imported)(Path()) & {"torch", "torchvision", "pytest", "typer", "rich"}


def test_a_crash_costs_one_file_and_says_which_signal(worker, tmp_path):
    call = worker(tasks.fragile)
    (tmp_path / "abort").write_bytes(b"1234")
    status = (tmp_path / "abort").stat()
    assert call(tmp_path / "abort") == Unreadable(
        tmp_path / "abort", "crashed the decoder (SIGABRT)", 4, status.st_mtime_ns
    )
    assert call(tmp_path / "fine") == "fine"
    assert call(tmp_path / "exit").reason == "crashed the decoder (exit status 3)"
    assert call(tmp_path / "fine") == "fine"


def test_a_single_crash_is_tried_again(worker, tmp_path):
    assert worker(tasks.crashes_once)(tmp_path / "x") == "the second time"


@pytest.mark.parametrize("name", ["sleep", "spin"])
def test_a_hang_costs_one_file_and_its_time(worker, name):
    call = worker(tasks.fragile, timeout=0.3)  # and 3 s of wall time
    assert call(Path(name)).reason == "took longer than 0.3 s to decode"
    assert call(Path("fine")) == "fine"


def test_being_idle_is_not_hanging(worker, monkeypatch):
    monkeypatch.setattr("vretr.images.worker._STALLED", 1.0)
    call = worker(tasks.process, timeout=1.0)
    pid = call(Path("fine"))
    time.sleep(1.5)
    assert call(Path("fine")) == pid


def test_a_bug_is_raised_with_the_place_it_comes_from(worker):
    call = worker(tasks.fragile)
    with pytest.raises(RuntimeError, match="a bug of ours") as caught:
        call(Path("raise"))
    assert "in fragile" in caught.value.__notes__[0]
    assert call(Path("fine")) == "fine"


def test_what_libraries_print_is_not_seen(worker, capfd):
    assert worker(tasks.fragile)(Path("complain")) == "complain"
    assert capfd.readouterr() == ("", "")


def test_a_child_that_cannot_start_is_not_the_files_fault(worker, monkeypatch, capfd):
    monkeypatch.setattr("vretr.images.worker._COMMAND", "raise SystemExit(7)")
    with pytest.raises(VretrError, match=r"did not start \(exit status 7\)"):
        worker(tasks.name)(Path("x"))


def test_a_stopped_worker_starts_nothing_more(worker):
    call = worker(tasks.name)
    call.stop()
    with pytest.raises(VretrError, match="stopped"):
        call(Path("x"))


ALONE = """
import sys
from pathlib import Path
from tests.vretr.images import tasks
from vretr.images.worker import Worker
worker = Worker(tasks.process)
print(worker(Path("x")), flush=True)
worker._task = tasks.slow
sys.stdin.read()
"""


def test_children_end_with_their_parent_even_if_it_is_killed():
    parent = subprocess.Popen(
        [sys.executable, "-c", ALONE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with parent:
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.send_signal(signal.SIGKILL)
        assert ended(pid)
