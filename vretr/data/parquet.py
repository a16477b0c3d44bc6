"""Tables with pictures in parquet files, as the `datasets` library and the model hub write them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vretr.data import sources
from vretr.data.sources import Row
from vretr.errors import MismatchError
from vretr.paths import atomic_write, display

ROWS = 256  # read at a time: pictures are large


def files(source: Path) -> list[Path]:
    """The parquet files that `source` is or holds, in the order of their names."""
    if source.is_file() and source.suffix == ".parquet":
        return [source]
    return sorted(source.glob("*.parquet")) if source.is_dir() else []


def rows(table: Path, *, columns: tuple[str, ...], split: str | None) -> Iterator[tuple[int, Row]]:
    """These columns of a table's rows, with their numbers (from 0).

    Args:
        split: only rows whose `split` equals it. A table without that column is one split, by the
            first part of its name: `test-00000-of-00001.parquet`.

    Raises:
        MismatchError: the file is no parquet file or has no such column.
    """
    from pyarrow import ArrowInvalid
    from pyarrow.parquet import ParquetFile

    try:
        file = ParquetFile(table)
    except ArrowInvalid as error:
        raise MismatchError(f"{display(table)} is no parquet file: {error}.") from error
    with file:
        known = file.schema_arrow.names
        if lacking := [name for name in columns if name not in known]:
            raise MismatchError(
                f"{display(table)} has no column {' or '.join(lacking)}; it has {', '.join(known)}."
            )
        if split is not None and "split" in known:
            columns = (*columns, "split")
        elif split is not None and table.name.partition("-")[0].removesuffix(".parquet") != split:
            return
        number = 0
        for batch in file.iter_batches(batch_size=ROWS, columns=list(columns)):
            for row in batch.to_pylist():
                if row.get("split", split) == split or split is None:
                    yield number, row
                number += 1


def picture(table: Path, number: int, cell: Any) -> Path:
    """The file of the picture in a cell: the one it names, or a copy of its bytes in vretr's cache.

    Raises:
        MismatchError: there is no picture.
    """
    if isinstance(cell, bytes):
        return _copy(table, number, cell)
    if isinstance(cell, dict) and cell.get("bytes") is not None:  # the Image type of `datasets`
        return _copy(table, number, cell["bytes"])
    name = cell.get("path") if isinstance(cell, dict) else cell
    if isinstance(name, str) and (path := table.parent / name).is_file():
        return path
    raise MismatchError(f"{display(table)}, row {number}: the picture {name!r} is not there.")


def _copy(table: Path, number: int, content: bytes) -> Path:
    path = sources.cache_folder(table) / f"{number:08d}"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            file.write(content)
    return path
