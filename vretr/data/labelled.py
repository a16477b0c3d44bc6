"""Photos with class labels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vretr import images
from vretr.data.sources import TABLES, Row, folder_of, refuse, refuse_missing, rows, table_of
from vretr.errors import MismatchError
from vretr.paths import display

FIELDS = ("class_name", "label")


@dataclass(frozen=True)
class Labelled:
    """Photos of classes.

    Attributes:
        paths: N photos.
        labels: int64 [N], places in `names`.
        names: the classes that occur, sorted; classes of one name are one class.
    """

    paths: list[Path]
    labels: NDArray[np.int64]
    names: list[str]


def load(source: Path, *, split: str | None = None, field: str | None = None) -> Labelled:
    """Reads labelled photos in the order of the table, or class by class.

    Args:
        source: a folder or zip (or a folder inside one) with `labels.jsonl` or `metadata.jsonl`:
            `file_name` and the label; without a table, a folder with a folder of photos for each
            class, whose name is the class's (`_` is read as a space).
        split: only rows whose `split` equals it; of a folder of class folders, the folder `split`.
        field: the column with the label, a text or a whole number; `class_name`, else `label`. Of
            several, joined with `+`, the values are joined with a space.

    Raises:
        MismatchError: there is no data, a row is malformed, a picture is missing, or nothing is
            left.
    """
    folder = folder_of(source)
    table = table_of(folder, *TABLES)
    if table is not None:
        pairs = _from_table(table, split=split, field=field)
    elif field is not None:
        raise MismatchError(f"{display(folder)} has no {' or '.join(TABLES)} with a {field!r}.")
    else:
        pairs = _from_folders(folder / split if split else folder)
    if not pairs:
        of = f" in the split {split!r}" if split else ""
        raise MismatchError(f"{display(source)} has no labelled photo{of}.")
    names, labels = np.unique([name for _, name in pairs], return_inverse=True)
    return Labelled([path for path, _ in pairs], labels.astype(np.int64), names.tolist())


def _from_table(table: Path, *, split: str | None, field: str | None) -> list[tuple[Path, str]]:
    pairs, wrong = [], []
    for number, row in rows(table):
        if split is not None and row.get("split") != split:
            continue
        label = _label(row, field)
        file_name = row.get("file_name")
        if not isinstance(file_name, str) or not isinstance(label, str | int):
            wrong.append(f"line {number}")
            continue
        pairs.append((table.parent / file_name, str(label)))
    what = f"lines without file_name or {' or '.join((field,) if field else FIELDS)}"
    if wrong and len(pairs) == 0:
        what += f" (they have {', '.join(next(row for _, row in rows(table)))})"
    refuse(table, wrong, what=what)
    refuse_missing(table, [path for path, _ in pairs])
    return pairs


def _label(row: Row, field: str | None) -> object:
    if field is None:
        return next((row[name] for name in FIELDS if row.get(name) is not None), None)
    values = [row.get(field)] if field in row else [row.get(name) for name in field.split("+")]
    if len(values) == 1 or not all(isinstance(value, str | int) for value in values):
        return values[0] if len(values) == 1 else None
    return " ".join(map(str, values))


def _from_folders(folder: Path) -> list[tuple[Path, str]]:
    if not folder.is_dir():
        raise MismatchError(f"There is no folder {display(folder)}.")
    classes = sorted(entry for entry in folder.iterdir() if entry.is_dir())
    return [
        (path, entry.name.replace("_", " "))
        for entry in classes
        if not entry.name.startswith(".")
        for path in images.find([entry])
    ]
