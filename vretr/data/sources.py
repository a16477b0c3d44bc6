"""Where a data set lies: a folder, a zip, a folder inside a zip; and its table of rows."""

import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import BadZipFile, ZipFile, ZipInfo

from vretr.errors import MismatchError, VretrError
from vretr.images import Unreadable
from vretr.paths import display, home

Row = dict[str, Any]

TABLES = ("labels.jsonl", "metadata.jsonl")

SHOWN = 5  # so many of what is wrong are named; the rest is counted


def folder_of(source: Path) -> Path:
    """The folder that holds the data: `source` itself, or what a zip was unpacked to.

    `data.zip` and `data.zip/inner/folder` are unpacked to `unpacked/` in vretr's cache, once for
    each state of the zip (path, size, time of change); the copies may be deleted at any time.

    Raises:
        MismatchError: there is no such folder or zip, or no such folder inside the zip.
        VretrError: the zip is damaged, does not fit on the disk or has names that lead out of it.
    """
    source = Path(source)
    if source.is_dir():
        return source
    for place in (source, *source.parents):
        if place.is_file() and place.suffix.lower() == ".zip":
            inner = unpacked(place) / source.relative_to(place)
            if inner.is_dir():
                return inner
            raise MismatchError(f"{display(place)} holds no folder {display(inner.name)}.")
    raise MismatchError(f"There is no folder and no zip {display(source)}.")


def cache_folder(file: Path) -> Path:
    """The place in vretr's cache for what is unpacked from this state of this file."""
    status = file.stat()
    state = f"{file.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"
    digest = hashlib.blake2b(os.fsencode(state), digest_size=8).hexdigest()
    return home() / "unpacked" / f"{file.stem}-{digest}"


def unpacked(archive: Path) -> Path:
    """The folder with the zip's files; unpacks it where that was not done before."""
    folder = cache_folder(archive)
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with ZipFile(archive) as file:
            members = [member for member in file.infolist() if not member.is_dir()]
            _check(archive, members, free=shutil.disk_usage(folder.parent).free)
            with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=folder.parent) as part:
                whole = Path(part) / "whole"
                whole.mkdir()
                for member in members:
                    file.extract(member, whole)
                _take_place(whole, folder)
    except BadZipFile as error:
        raise VretrError(f"{display(archive)} is damaged or no zip: {error}.") from error
    return folder


def _check(archive: Path, members: list[ZipInfo], *, free: int) -> None:
    for member in members:
        path = PurePosixPath(member.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
            raise VretrError(
                f"{display(archive)} is refused: its file {display(member.filename)} "
                "would be written outside the folder it is unpacked to."
            )
        if stat.S_ISLNK(member.external_attr >> 16):
            raise VretrError(
                f"{display(archive)} is refused: {display(member.filename)} is a link."
            )
    if (needed := sum(member.file_size for member in members)) > free:
        raise VretrError(
            f"{display(archive)} takes {needed / 1e6:,.0f} MB unpacked, and {free / 1e6:,.0f} MB "
            f"are free in {display(home())}; set VRETR_HOME to a place with more room."
        )


def _take_place(whole: Path, folder: Path) -> None:
    """Gives the finished folder its name; another process may have been faster, with the same."""
    try:
        whole.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


def table_of(folder: Path, *names: str) -> Path | None:
    """The first of these files that the folder holds."""
    return next((folder / name for name in names if (folder / name).is_file()), None)


def rows(file: Path) -> Iterator[tuple[int, Row]]:
    """The objects of a JSON-lines file with their line numbers (from 1); empty lines do not count.

    Raises:
        MismatchError: lines that are no JSON object, all of them counted and the first named.
    """
    wrong: list[str] = []
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:  # also where it is not UTF-8
                wrong.append(f"line {number}: {error}")
                continue
            if isinstance(row, dict):
                yield number, row
            else:
                wrong.append(f"line {number}: not an object")
    refuse(file, wrong, what="malformed")


def refuse(file: Path, wrong: list[str], *, what: str) -> None:
    """Raises a MismatchError that counts what is wrong in `file` and names the first few."""
    if wrong:
        first = "; ".join(wrong[:SHOWN])
        more = f"; and {len(wrong) - SHOWN:,} more" if len(wrong) > SHOWN else ""
        raise MismatchError(f"{display(file)} has {len(wrong):,} {what}: {first}{more}.")


def refuse_missing(file: Path, paths: list[Path]) -> None:
    """Raises a MismatchError if any of these pictures, which `file` names, is not there."""
    missing = [path for path in dict.fromkeys(paths) if not path.is_file()]
    refuse(file, [display(path) for path in missing], what="pictures missing")


def refuse_unreadable(unreadable: Sequence[Unreadable]) -> None:
    """Raises a MismatchError that counts these pictures and names the first, if there are any."""
    if unreadable:
        first = "; ".join(f"{display(one.path)} ({one.reason})" for one in unreadable[:SHOWN])
        more = f"; and {len(unreadable) - SHOWN:,} more" if len(unreadable) > SHOWN else ""
        raise MismatchError(f"{len(unreadable):,} pictures cannot be read: {first}{more}.")
