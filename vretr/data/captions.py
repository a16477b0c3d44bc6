"""Photos with captions."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vretr.data import parquet
from vretr.data.sources import folder_of, refuse, refuse_missing, rows, table_of
from vretr.errors import MismatchError
from vretr.paths import display

TABLE = "metadata.jsonl"


@dataclass(frozen=True, slots=True)
class Captioned:
    """A photo and what is said of it."""

    path: Path
    captions: tuple[str, ...]


def load(
    source: Path,
    *,
    split: str | None = None,
    field: str = "captions",
    image_field: str | None = None,
) -> list[Captioned]:
    """Reads the photos that have at least one caption, in the order of the table.

    Args:
        source: a folder or zip (or a folder inside one, `data.zip/dev`) whose `metadata.jsonl` has
            the photos' names, relative to the table, and the captions; or a parquet file, or a
            folder of them, whose photos are inside the table or named.
        split: only rows whose `split` equals it; all of them if not given.
        field: the column with the captions, a list or a single text. Rows without any do not
            count: not every photo is captioned in every language.
        image_field: the column with the photos; `file_name`, and `image` in parquet, by default.

    Raises:
        MismatchError: there is no data, a row is malformed, a photo is missing, or nothing is left.
    """
    if tables := parquet.files(source):
        found = [
            photo
            for table in tables
            for photo in _from_parquet(table, split, field, image_field or "image")
        ]
    else:
        table = table_of(folder := folder_of(source), TABLE)
        if table is None:
            raise MismatchError(f"{display(folder)} has no {TABLE} and no parquet file.")
        found = list(_from_jsonl(table, split, field, image_field or "file_name"))
        refuse_missing(table, [photo.path for photo in found])
    if not found:
        of = f" in the split {split!r}" if split else ""
        raise MismatchError(f"{display(source)} has no photo with a caption in {field!r}{of}.")
    return found


def _from_jsonl(table: Path, split: str | None, field: str, image: str) -> Iterator[Captioned]:
    wrong = []
    for number, row in rows(table):
        if split is not None and row.get("split") != split:
            continue
        name, captions = row.get(image), _sentences(row.get(field))
        if not isinstance(name, str) or captions is None:
            wrong.append(f"line {number}")
        elif captions:
            yield Captioned(table.parent / name, captions)
    refuse(table, wrong, what=f"lines without {image}, or whose {field} are no texts")


def _from_parquet(table: Path, split: str | None, field: str, image: str) -> Iterator[Captioned]:
    for number, row in parquet.rows(table, columns=(image, field), split=split):
        captions = _sentences(row[field])
        if captions is None:
            raise MismatchError(f"{display(table)}, row {number}: the {field} are no texts.")
        if captions:
            yield Captioned(parquet.picture(table, number, row[image]), captions)


def _sentences(value: object) -> tuple[str, ...] | None:
    """The captions in a cell: a list of texts, a text, or nothing; None if it is something else."""
    if value is None:
        return ()
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        return None
    return tuple(text for text in texts if text.strip())
