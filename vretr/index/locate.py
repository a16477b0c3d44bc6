"""Which index is meant where none is named."""

import os
import shlex
from pathlib import Path

from vretr.errors import MismatchError
from vretr.index.database import DEFAULT, exists, index_in


def locate(
    index: Path | None = None, folder: Path | None = None, *, start: Path | None = None
) -> Path:
    """The folder of the index that is meant.

    In this order: `index` itself (`--index`), the index of `folder` (`--in`; it may also lie in a
    folder above), VRETR_INDEX, the nearest index from `start` upwards, the one index of a folder
    directly below `start`.

    Args:
        start: the current folder.

    Raises:
        MismatchError: there is none, or several are possible; the sentence says what to type.
    """
    if index is not None:
        return _given(index, "--index")
    if folder is not None:
        return _upwards(folder) or _none(f"There is no index of {folder}", folder)
    if value := os.environ.get("VRETR_INDEX"):
        return _given(Path(value).expanduser(), "VRETR_INDEX")
    start = start or Path.cwd()
    return _upwards(start) or _below(start)


def _given(index: Path, name: str) -> Path:
    if place := index_in(index):
        return place
    return _none(f"There is no index in {index} ({name})", index)


def _upwards(folder: Path) -> Path | None:
    folder = Path(os.path.abspath(folder))
    return next((f / DEFAULT for f in (folder, *folder.parents) if exists(f / DEFAULT)), None)


def _below(start: Path) -> Path:
    with os.scandir(start) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir())
    found = [start / name for name in names if exists(start / name / DEFAULT)]
    if not found:
        return _none(f"There is no index in {start}, above it or directly below it", None)
    if len(found) > 1:
        choices = "\n".join(f"  --in {shlex.quote(folder.name)}" for folder in found)
        raise MismatchError(f"Several folders here have an index; say which one:\n{choices}")
    return found[0] / DEFAULT


def _none(sentence: str, folder: Path | None) -> Path:
    what = "FOLDER" if folder is None else shlex.quote(os.fspath(folder))
    raise MismatchError(f"{sentence}; make one with `vretr index {what}`.")
