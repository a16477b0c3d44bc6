"""How photos' paths are stored: as bytes, relative to the index's root where they lie below it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

Range = tuple[
    bytes, bytes | None
]  # from … to, compared as bytes; the end is left out; None: no end


@dataclass(frozen=True, slots=True)
class Root:
    """The folder that stored paths are relative to; absolute, as bytes.

    A photo outside it is stored with its absolute path, which `os.path.join` leaves alone.
    """

    folder: bytes

    def stored(self, path: bytes) -> bytes:
        """An absolute path as it is stored."""
        if self.folder != b"/" and not path.startswith(self.folder + b"/"):
            return path
        return path[len(self.folder.rstrip(b"/")) + 1 :]

    def absolute(self, stored: bytes) -> Path:
        """A stored path as an absolute one."""
        return Path(os.fsdecode(os.path.join(self.folder, stored)))

    def below(self, folder: bytes) -> Sequence[Range]:
        """Ranges of stored paths that together hold all photos below an absolute folder."""
        prefix = folder.rstrip(b"/") + b"/"
        if self.folder == folder or self.folder.startswith(prefix):  # all relative paths
            return [(b"", b"/"), (b"0", None), _starting(prefix)]
        stored = self.stored(folder)
        return [_starting(stored.rstrip(b"/") + b"/")]


def _starting(prefix: bytes) -> Range:
    return prefix, prefix[:-1] + b"0"  # "0" is the byte after "/"


def recorded(root: Path, index: Path) -> bytes:
    """What an index writes down as its root.

    Relative to the index's folder where that lies within the root, so that both can be moved
    together; else absolute.
    """
    root, index = Path(os.path.realpath(root)), Path(os.path.realpath(index))
    return os.fsencode(os.path.relpath(root, index) if index.is_relative_to(root) else root)


def root_of(index: Path, record: bytes) -> Root:
    """The root of an index in this folder, in the spelling by which the index was asked for."""
    folder = os.path.realpath(index) if os.path.islink(index) else os.path.abspath(index)
    return Root(os.path.normpath(os.path.join(os.fsencode(folder), record)))
