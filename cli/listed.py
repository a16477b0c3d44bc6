"""Paths as they are typed, and lists of them on stdin or in a file."""

import os
import sys
from collections.abc import Iterable, Iterator
from glob import glob, has_magic
from pathlib import Path

from vretr.errors import UsageError

STDIN = Path("-")


def chosen(typed: Iterable[Path], from_file: Path | None = None, *, nul: bool) -> Iterator[Path]:
    """What was typed, globs expanded, and what the lists say, in this order.

    Args:
        typed: `-` reads a list from stdin.
        from_file: a further list.
        nul: paths in lists end with NUL, not with a newline.
    """
    for path in typed:
        if path == STDIN:
            yield from _listed(STDIN, nul=nul)
        elif os.path.lexists(path):
            yield path
        elif found := sorted(glob(os.fspath(path), recursive=True), key=os.fsencode):
            yield from map(Path, found)
        else:  # a slip of the keyboard; what is missing from a list is skipped and named
            what = "No file matches" if has_magic(os.fspath(path)) else "There is no"
            raise UsageError(f"{what} {path}.")
    if from_file is not None:
        yield from _listed(from_file, nul=nul)


def _listed(source: Path, *, nul: bool) -> Iterator[Path]:
    """The paths in a list; their bytes are taken as they are."""
    if source == STDIN and sys.stdin.isatty():
        raise UsageError(
            "- reads a list of paths from stdin, which is a terminal here; pipe one in."
        )
    try:
        content = sys.stdin.buffer.read() if source == STDIN else source.read_bytes()
    except OSError as problem:
        raise UsageError(f"The list {source} cannot be read: {problem.strerror}.") from problem
    for entry in content.split(b"\0" if nul else b"\n"):
        if entry:
            yield Path(os.fsdecode(entry))
