"""A file's bytes, read safely: regular files only, never waiting for a pipe, errors as values."""

import errno
import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class File:
    """A file as it was when it was read.

    Attributes:
        size: in bytes.
        mtime_ns: time of the last change.
        digest: 16 bytes of BLAKE2b over the whole content.
    """

    path: Path
    size: int
    mtime_ns: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file or folder that could not be read, and why in a few words for the user.

    `size` and `mtime_ns` are -1 where not even those could be learned.
    """

    path: Path
    reason: str
    size: int = -1
    mtime_ns: int = -1


@dataclass(frozen=True, slots=True)
class Opened:
    """A regular file that is open for reading; close `stream`."""

    path: Path
    stream: BinaryIO
    size: int
    mtime_ns: int

    def unreadable(self, reason: str) -> Unreadable:
        return Unreadable(self.path, reason, self.size, self.mtime_ns)

    def hashed(self) -> bytes:
        """Digest of the content; the stream is at its beginning afterwards."""
        state = hashlib.blake2b(digest_size=16)
        self.stream.seek(0)
        while chunk := self.stream.read(_CHUNK):
            state.update(chunk)
        self.stream.seek(0)
        return state.digest()

    def changed(self) -> bool:
        """Whether somebody has written to the file since it was opened."""
        now = os.fstat(self.stream.fileno())
        return (now.st_size, now.st_mtime_ns) != (self.size, self.mtime_ns)


def open_regular(path: Path) -> Opened | Unreadable:
    """Opens a file for reading if it is a regular one (or a link to one).

    O_NONBLOCK, so that a pipe named `x.jpg` does not hold up the run; the check is made on the
    open file, so that nothing can be put in its place in between.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        return Unreadable(path, why(error))
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        return Unreadable(
            path, "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        )
    stream = os.fdopen(descriptor, "rb")
    return Opened(path, stream, status.st_size, status.st_mtime_ns)


def digest(path: Path) -> File | Unreadable:
    """Size, time and content hash of a file, without decoding it."""
    opened = open_regular(path)
    if isinstance(opened, Unreadable):
        return opened
    with opened.stream:
        try:
            content = opened.hashed()
            if opened.changed():
                return opened.unreadable("changed while it was read")
        except OSError as error:
            return opened.unreadable(why(error))
    return File(path, opened.size, opened.mtime_ns, content)


def unreadable(path: Path, reason: str) -> Unreadable:
    """`Unreadable` with the size and time that the file has now."""
    try:
        status = os.stat(path)
    except OSError:
        return Unreadable(path, reason)
    return Unreadable(path, reason, status.st_size, status.st_mtime_ns)


def why(error: Exception) -> str:
    """A system error in a few words, without the path that it may carry."""
    if isinstance(error, OSError) and error.errno is not None:
        known = {
            errno.ENOENT: "no such file",
            errno.EACCES: "permission denied",
            errno.EPERM: "permission denied",
            errno.ENXIO: "not a regular file",
            errno.ELOOP: "a link that leads in a circle",
        }
        return known.get(error.errno) or os.strerror(error.errno).lower()
    if isinstance(error, MemoryError):
        return "not enough memory"
    return str(error) or type(error).__name__
