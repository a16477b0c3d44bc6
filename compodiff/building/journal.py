"""What a long work has done, line by line, so that an interrupted one goes on where it was."""

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vretr.errors import MismatchError
from vretr.paths import display


class Journal:
    """A file whose first line is what the work depends on, and each other a piece that is done.

    Raises:
        MismatchError: the file is there and of another work.
    """

    def __init__(self, file: Path, about: dict[str, Any]) -> None:
        self.file = file
        self.done: dict[str, dict[str, Any]] = {}
        whole = self._read(about)
        self._stream = file.open("r+b" if whole else "wb")
        self._stream.truncate(whole)  # a line that was being written when it was killed
        self._stream.seek(whole)
        if not whole:
            self._write(about)

    def _read(self, about: dict[str, Any]) -> int:
        """Reads what is done; returns the length of its whole lines."""
        if not self.file.exists():
            return 0
        content = self.file.read_bytes()
        whole = content.rfind(b"\n") + 1
        first, *lines = content[:whole].splitlines() or [b""]
        if not first:
            return 0
        known = json.loads(first)
        plain = json.loads(json.dumps(about, default=str))
        if known != plain and not lines:
            return 0
        if known != plain:
            other = sorted(name for name in {*known, *plain} if known.get(name) != plain.get(name))
            raise MismatchError(
                f"{display(self.file.parent)} holds work with another {', '.join(other)}: give "
                "another --out, or the same options to go on."
            )
        for line in lines:
            entry = json.loads(line)
            self.done[entry["id"]] = entry
        return whole

    def add(self, name: str, piece: dict[str, Any]) -> None:
        """One more piece that is done; on disk when this returns."""
        entry = {"id": name, **piece}
        self._write(entry)
        self.done[name] = entry

    def _write(self, entry: dict[str, Any]) -> None:
        self._stream.write(json.dumps(entry, default=str).encode("ascii") + b"\n")
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.close()
