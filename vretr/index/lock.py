"""One writer at a time: a lock that dies with its process."""

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vretr.errors import VretrError

_REFUSED = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Holds the writer's lock of an index.

    The system drops a `flock` when its process ends, however it ends, so there is never a stale
    lock to remove. What the file says is only for the message.

    Raises:
        VretrError: another process writes to this index, or the file system has no locks.
    """
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise VretrError(
                f"Another process is writing to the index {folder} ({_owner(file.read())}); "
                "wait until it has finished. Searching is possible meanwhile."
            ) from None
        except OSError as error:
            if error.errno not in _REFUSED:
                raise
            raise VretrError(
                f"The file system of {folder} has no file locks, so a second writer could not be "
                "kept out; keep the index on another one with --index DIR."
            ) from error
        me = {"pid": os.getpid(), "host": socket.gethostname(), "start": _now()}
        file.truncate(0)
        file.write(json.dumps(me).encode())
        file.flush()
        yield


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


def _owner(text: bytes) -> str:
    try:
        owner = json.loads(text)
        return f"process {owner['pid']} on {owner['host']}, since {owner['start']}"
    except (ValueError, KeyError, TypeError):  # it has the lock, but has not said yet who it is
        return "it has just started"
