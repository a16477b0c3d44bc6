"""A child process that does one thing with one file after another.

A decoder written in C may crash or never return; in a child that costs its file, not the run. The
child is started as a fresh interpreter (not by `multiprocessing`, which would import the caller's
main module again), imports no torch, and dies with its parent: its connection ends.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from threading import Lock
from traceback import format_exc
from typing import Any, Generic, TypeVar

from vretr.errors import VretrError
from vretr.images.files import Unreadable, unreadable

Result = TypeVar("Result")

TIMEOUT = 60.0  # seconds of processor time for one file
_STALLED = 10.0  # times as much of wall time, which a busy machine or a slow disk may well need
_READY = "ready"
_COMMAND = "import sys; from vretr.images.worker import serve; serve(int(sys.argv[1]))"


class Worker(Generic[Result]):
    """Calls `task(path)` in a child process, which is started when first needed.

    One thread at a time may call it; `stop` may come from any thread.

    Args:
        task: a picklable function (of a module that the child can import).
        timeout: seconds of processor time for one file after which the child ends itself; of wall
            time it has ten times as much.
    """

    def __init__(self, task: Callable[[Any], Result], *, timeout: float = TIMEOUT) -> None:
        self._task = task
        self._timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._stopped = False
        self._starting = Lock()

    def __call__(self, path: os.PathLike[str]) -> Result | Unreadable:
        """`task(path)`, or that the file crashed the decoder twice or took too long.

        What `task` raises is raised here.
        """
        reason = ""
        for _ in range(2):  # the first crash may be somebody else's doing (a kill, full memory)
            connection = self._connected()
            try:
                connection.send(path)
                result = connection.recv()
                if isinstance(result, Exception):
                    raise result
                return result
            except (EOFError, ConnectionError):
                status = self._end()
            if status in (-signal.SIGPROF, -signal.SIGALRM):
                return unreadable(Path(path), f"took longer than {self._timeout:g} s to decode")
            reason = f"crashed the decoder ({_ending(status)})"
        return unreadable(Path(path), reason)

    def stop(self) -> None:
        """Ends the child at once; a call that waits for it fails."""
        with self._starting:
            self._stopped = True
            if self._process is not None:
                self._process.kill()
                self._process.wait()

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._start()
            self._connection.send((self._task, self._timeout, self._timeout * _STALLED))
            try:
                self._connection.recv()
            except (EOFError, ConnectionError):
                raise VretrError(
                    f"a decoding process did not start ({_ending(self._end())})."
                ) from None
        return self._connection

    def _start(self) -> Connection:
        ours, theirs = Pipe()
        with theirs, self._starting:
            if self._stopped:
                raise VretrError("decoding was stopped.")
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _COMMAND, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                process_group=0,  # Ctrl-C is the parent's business
                env=os.environ
                | {"PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path)}
                | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
            )
        return ours

    def _end(self) -> int:
        """Clears away a child whose connection has ended -> its exit status."""
        assert self._process is not None and self._connection is not None
        self._connection.close()
        self._connection = None
        return self._process.wait()


def serve(descriptor: int) -> None:
    """What the child does: answers one path after another until the connection ends."""
    with Connection(descriptor) as connection, suppress(EOFError, ConnectionError):
        task, processor_time, wall_time = connection.recv()
        connection.send(_READY)
        _be_quiet_and_alone()
        while True:
            path = connection.recv()
            # The default action of both alarms ends the process even inside a C call, and even when
            # the parent is gone.
            signal.setitimer(signal.ITIMER_PROF, processor_time)
            signal.setitimer(signal.ITIMER_REAL, wall_time)
            try:
                result = task(path)
            except Exception as error:  # noqa: BLE001 - the parent raises it
                error.add_note(f"In a decoding process:\n{format_exc()}")
                result = error
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
            connection.send(result)


def _be_quiet_and_alone() -> None:
    from PIL import AvifImagePlugin

    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    nowhere = os.open(os.devnull, os.O_WRONLY)  # C libraries complain on stderr
    os.dup2(nowhere, 2)


def _ending(status: int) -> str:
    with suppress(ValueError):
        return signal.Signals(-status).name
    return f"exit status {status}"
