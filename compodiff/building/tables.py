"""Rows of a table, whatever it is: text, JSON lines, CSV, parquet, shards in a .tar; also .gz.

A file is recognised by its first bytes, then by its name. Nothing is read whole.
"""

import csv
import gzip
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from vretr.data.sources import Row
from vretr.errors import MismatchError
from vretr.paths import display

TEXT = "text"  # the column of a file without columns
_ROWS = 256  # of parquet, read at a time: they may hold pictures
_SUFFIXES = {".csv": ",", ".tsv": "\t"}


def rows(file: Path) -> Iterator[tuple[int, Row]]:
    """The rows with their numbers, from 1. A file of lines has the one column `text`.

    In a .tar, files that share their name up to the first dot are one row: the columns are the
    endings ("0.jpg" and "0.json" of shards as webdataset writes them), a picture is bytes, and what
    .json holds is a column each.

    Raises:
        MismatchError: there is no such file, it is damaged, or a line is malformed.
    """
    if not file.is_file():
        raise MismatchError(f"There is no file {display(file)}.")
    with file.open("rb") as stream:
        head = stream.read(512)
    try:
        if head[:4] == b"PAR1":
            yield from _parquet(file)
        elif head[257:262] == b"ustar":
            yield from _tar(file)
        else:
            packed = head[:2] == b"\x1f\x8b"
            with file.open("rb") as lines:
                unpacked = gzip.GzipFile(fileobj=lines) if packed else lines
                yield from _lines(file, cast("IO[bytes]", unpacked))
    except (OSError, EOFError, tarfile.TarError, UnicodeDecodeError, csv.Error) as problem:
        raise MismatchError(f"{display(file)} cannot be read: {problem}.") from problem


def _lines(file: Path, stream: IO[bytes]) -> Iterator[tuple[int, Row]]:
    name = file.name.lower().removesuffix(".gz")
    with io.TextIOWrapper(stream, encoding="utf-8", newline="") as text:
        if Path(name).suffix in _SUFFIXES:
            table = csv.DictReader(text, delimiter=_SUFFIXES[Path(name).suffix])
            yield from enumerate(table, start=1)
            return
        objects = Path(name).suffix in (".jsonl", ".json", ".ndjson")
        for number, line in enumerate(text, start=1):
            if line := line.strip():
                yield number, _object(file, number, line) if objects else {TEXT: line}


def _object(file: Path, number: int, line: str) -> Row:
    try:
        row = json.loads(line)
    except ValueError as problem:
        reason = f"is malformed in line {number}: {problem}"
        raise MismatchError(f"{display(file)} {reason}.") from problem
    if not isinstance(row, dict):
        raise MismatchError(f"{display(file)} is malformed in line {number}: not an object.")
    return row


def _parquet(file: Path) -> Iterator[tuple[int, Row]]:
    from pyarrow import ArrowInvalid
    from pyarrow.parquet import ParquetFile

    number = 0
    try:
        with ParquetFile(file) as table:
            for batch in table.iter_batches(batch_size=_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except ArrowInvalid as problem:
        raise MismatchError(f"{display(file)} is no parquet file: {problem}.") from problem


def _tar(file: Path) -> Iterator[tuple[int, Row]]:
    number, key = 0, ""
    row: Row = {}
    with tarfile.open(file, "r|*") as archive:  # as a stream: shards are large
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content is None:
                continue
            folder, _, name = member.name.rpartition("/")
            first, _, ending = name.partition(".")
            if row and key != f"{folder}/{first}":
                number += 1
                yield number, row
                row = {}
            key = f"{folder}/{first}"
            row |= _member(file, member.name, ending.lower(), content.read())
    if row:
        yield number + 1, row


def _member(file: Path, name: str, ending: str, content: bytes) -> dict[str, Any]:
    if ending.endswith("json"):
        try:
            found = json.loads(content)
        except ValueError as problem:
            raise MismatchError(f"{display(file)}: {display(name)} is no JSON.") from problem
        return found if isinstance(found, dict) else {ending: found}
    if ending.endswith(("txt", "text", "caption")):
        return {ending: content.decode("utf-8").strip()}
    return {ending: content}
