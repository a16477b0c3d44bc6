"""What the child processes of test_worker and test_stream are given to do.

A module of its own, which a child imports without pytest.
"""

import os
import signal
import sys
import time
from pathlib import Path


def name(path: Path) -> str:
    return path.name


def process(path: Path) -> int:
    return os.getpid()


def imported(path: Path) -> set[str]:
    return set(sys.modules)


def fragile(path: Path) -> str:
    """Does what the file's name says."""
    if path.name.startswith("abort"):
        os.abort()
    if path.name.startswith("exit"):
        os._exit(3)
    if path.name.startswith("sleep"):
        time.sleep(1000)
    if path.name.startswith("spin"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        while True:
            pass
    if path.name.startswith("raise"):
        raise RuntimeError("a bug of ours")
    if path.name.startswith("complain"):
        os.write(2, b"a C library complains\n")
        os.write(1, b"and prints\n")
    return path.name


def crashes_once(path: Path) -> str:
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return "the second time"
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def slow(path: Path) -> str:
    time.sleep(0.02)
    return path.name
