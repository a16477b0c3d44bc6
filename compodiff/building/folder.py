"""Photos with what is known of them: columns of a table, captions, names of their folders."""

import csv
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compodiff.build_config import BuildConfig
from vretr import images
from vretr.data import labelled
from vretr.data.sources import TABLES, Row, folder_of, refuse, refuse_missing, rows, table_of
from vretr.errors import MismatchError
from vretr.images.formats import SUFFIXES
from vretr.paths import display

log = logging.getLogger(__name__)

LABELS = "labels.csv"
_NAMES = ("file_name", "path", "image", "file")  # columns that may hold the photo's name
_CAPTIONS = ("captions", "caption")
_NO_ATTRIBUTE = frozenset((*_NAMES, *_CAPTIONS, "split", "id"))


@dataclass(eq=False)
class Photos:
    """N photos.

    Attributes:
        paths: where they lie.
        rows: what the table says of each: attributes are texts.
        captions: what is said of each; none at all, or one tuple for each photo.
        attributes: the columns that tell photos apart and are shared by several.
        left_out: why rows and photos are not among them, counted.
    """

    paths: list[Path]
    rows: list[dict[str, str]]
    captions: list[tuple[str, ...]]
    attributes: tuple[str, ...] = ()
    left_out: dict[str, int] = field(default_factory=dict)


def read(config: BuildConfig) -> Photos:
    """Reads `labels.jsonl`, `metadata.jsonl`, `labels.csv`, folders of classes, or plain photos.

    Raises:
        MismatchError: there is nothing, rows have missing fields or photos are missing (unless
            they may be).
    """
    folder = folder_of(config.source).resolve()
    if not config.source.is_dir():
        log.warning(
            "The triplets name copies in vretr's cache, %s: unzip it first for files that last",
            display(folder),
        )
    table = table_of(folder, *TABLES, LABELS)
    if table is not None:
        photos = _of_table(table, config)
    elif config.by in ("auto", "attributes") and _has_classes(folder):
        found = labelled.load(folder, split=config.split)
        names = [found.names[label] for label in found.labels.tolist()]
        photos = Photos(found.paths, [{"class": name} for name in names], [], ("class",))
    else:
        paths = list(images.find([folder]))
        photos = Photos(paths, [{} for _ in paths], [])
    if config.limit:
        photos.paths, photos.rows = photos.paths[: config.limit], photos.rows[: config.limit]
        photos.captions = photos.captions[: config.limit]
    if not photos.paths:
        of = f" in the split {config.split!r}" if config.split else ""
        raise MismatchError(f"{display(config.source)} has no photo that can be used{of}.")
    return photos


def _has_classes(folder: Path) -> bool:
    """Whether there are several folders, and no photo beside them."""
    entries = [each for each in folder.iterdir() if not each.name.startswith(".")]
    files = [each for each in entries if each.is_file()]
    return len(entries) - len(files) > 1 and not any(
        each.suffix.lower() in SUFFIXES for each in files
    )


def _of_table(table: Path, config: BuildConfig) -> Photos:
    listed = [
        (number, row)
        for number, row in _numbered(table)
        if config.split is None or row.get("split") == config.split
    ]
    if not listed:
        return Photos([], [], [])
    columns = list(dict.fromkeys(name for _, row in listed for name in row))
    name = next((each for each in _NAMES if each in columns), None)
    if name is None:
        raise MismatchError(
            f"{display(table)} has no column {' or '.join(_NAMES)}; it has {', '.join(columns)}."
        )
    said = next((each for each in (*config.column, *_CAPTIONS) if each in columns), None)
    wants = _wants_captions(config, said)
    attributes = () if wants else _attributes(table, [row for _, row in listed], config)
    needed = (name, *((said,) if wants and said else ()), *attributes, *config.apart)
    kept, wrong = [], []
    for number, row in listed:
        if all(_is_said(row.get(each)) for each in needed):
            kept.append(row)
        else:
            wrong.append(f"line {number}")
    left_out = _leave_out(table, wrong, f"lines without {', '.join(needed)}", config)
    missing = [row for row in kept if not (table.parent / row[name]).is_file()]
    if missing and config.allow_missing:
        gone = {row[name] for row in missing}
        kept = [row for row in kept if row[name] not in gone]
        log.warning("%d photos that %s names are missing and left out", len(gone), display(table))
        left_out["photo is missing"] = len(gone)
    refuse_missing(table, [table.parent / row[name] for row in kept])
    return Photos(
        [Path(os.path.normpath(table.parent / row[name])) for row in kept],
        [{each: str(row[each]) for each in {*attributes, *config.apart}} for row in kept],
        [_sentences(row[said]) for row in kept] if wants and said else [],
        attributes,
        left_out,
    )


def _wants_captions(config: BuildConfig, said: str | None) -> bool:
    if config.by == "captions" or (config.by == "auto" and said and not config.change):
        if said is None:
            raise MismatchError(
                f"{display(config.source)} has no captions: name their column by --column."
            )
        return True
    return False


def _numbered(table: Path) -> list[tuple[int, Row]]:
    if table.suffix != ".csv":
        return list(rows(table))
    with table.open(encoding="utf-8", newline="") as file:
        return list(enumerate(csv.DictReader(file), start=2))


def _attributes(table: Path, found: Sequence[Row], config: BuildConfig) -> tuple[str, ...]:
    """The columns that may change or must stay: those that are named, or those that can do both."""
    if config.by == "zero-shot":
        return ()
    columns = list(dict.fromkeys(name for row in found for name in row))
    named = (*config.change, *config.same)
    if unknown := [name for name in (*named, *config.apart) if name not in columns]:
        raise MismatchError(
            f"{display(table)} has no column {' or '.join(unknown)}; it has {', '.join(columns)}."
        )
    if config.change and config.same:
        return tuple(dict.fromkeys(named))
    shared: list[str] = []
    alone: list[str] = []
    for name in columns:
        if name in _NO_ATTRIBUTE or name in config.apart:
            continue
        values = {str(row[name]) for row in found if _is_said(row.get(name))}
        simple = all(isinstance(row.get(name), str | int | type(None)) for row in found)
        fits = simple and 1 < len(values) <= len(found) / 2
        (shared if fits or name in named else alone).append(name)
    if alone:
        log.warning(
            "Columns that are not taken for attributes, as they say the same of every photo or "
            "another thing of nearly every one: %s",
            ", ".join(alone),
        )
    return tuple(shared)


def _is_said(value: Any) -> bool:
    if isinstance(value, list):
        return bool(_sentences(value))
    return isinstance(value, int) or (isinstance(value, str) and bool(value.strip()))


def _sentences(value: Any) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    return tuple(" ".join(text.split()) for text in texts if isinstance(text, str) and text.strip())


def _leave_out(table: Path, wrong: list[str], what: str, config: BuildConfig) -> dict[str, int]:
    if not config.allow_missing:
        refuse(table, wrong, what=what)
    elif wrong:
        log.warning("%d %s in %s are left out", len(wrong), what, display(table))
    return {"missing fields": len(wrong)} if wrong else {}


def relative(photo: Path, out: Path) -> str:
    """The photo, whose folder is resolved, as seen from a file in the folder `out`."""
    return os.path.relpath(photo, out.resolve())
