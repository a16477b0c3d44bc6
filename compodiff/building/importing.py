"""Triplets of somebody else: a table whose columns are named by who imports it.

SynthTriplets18M and sets like it come as parquet, JSON lines or shards in a .tar, and no two of
them call their columns alike.
"""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from compodiff.build_config import BuildConfig
from compodiff.building import tables
from compodiff.building.folder import relative
from compodiff.building.rows import Made, row
from vretr import images
from vretr.data.sources import Row, refuse
from vretr.encoders.base import Encoder
from vretr.errors import MismatchError, UsageError
from vretr.images.files import Unreadable
from vretr.methods import near
from vretr.paths import atomic_write, display

WANTED = ("reference", "target", "text")
MORE = ("reference_caption", "target_caption", "split", "id")
PICTURES = "pictures"
_NAME = re.compile(r"[\w-]+")
_SUFFIXES = {b"\xff\xd8": ".jpg", b"\x89PNG": ".png", b"RIFF": ".webp"}  # by the first bytes


def of_table(config: BuildConfig, encoder: Encoder | None) -> Made:
    """The rows of `config.source`; pictures inside the table are written to --out/pictures.

    Raises:
        UsageError: the mapping of columns is malformed, or names none that is known.
        MismatchError: a column is not there, or rows lack what they must have.
    """
    columns = parsed(config.columns)
    if "split" in columns and (config.val or config.test):
        raise UsageError("The table says the splits: leave out --val and --test, or split=... .")
    numbered = islice(tables.rows(config.source), config.limit or None)
    first = next(numbered, None)
    if first is None:
        raise MismatchError(f"{display(config.source)} has no row.")
    if lacking := sorted({*columns.values()} - {*first[1]}):
        raise MismatchError(
            f"{display(config.source)} has no column {' or '.join(lacking)}; it has "
            f"{', '.join(first[1])}: name those that it has by --columns."
        )
    rejected: Counter[str] = Counter()
    steps = {"rows": 0}

    def rows() -> Iterator[Row]:
        wrong: list[str] = []
        for number, found in chain([first], numbered):
            steps["rows"] += 1
            try:
                yield _row(number, found, columns, config)
            except ValueError as problem:
                if config.allow_missing:
                    rejected[str(problem).partition(":")[0]] += 1
                else:
                    wrong.append(f"row {number}: {problem}")
        refuse(config.source, wrong, what="rows that cannot be used")

    return Made(rows(), steps, rejected)


def parsed(text: str) -> dict[str, str]:
    """`reference=a,target=b,text=c` as a mapping; what is not named is called as ours.

    Raises:
        UsageError: it is malformed or names something unknown.
    """
    columns = {name: name for name in WANTED}
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, equals, column = (each.strip() for each in part.partition("="))
        if not equals or not column:
            raise UsageError(f"--columns is NAME=COLUMN,NAME=COLUMN; {part!r} is not.")
        if name not in (*WANTED, *MORE):
            raise UsageError(f"--columns knows no {name!r}; {near(name, [*WANTED, *MORE])}")
        columns[name] = column
    return columns


def _row(number: int, found: Row, columns: dict[str, str], config: BuildConfig) -> Row:
    """Raises ValueError with what the row lacks."""
    values = {name: found.get(column) for name, column in columns.items()}
    text = values["text"]
    if not isinstance(text, str) or not text.strip():
        raise ValueError("no text")
    sides = [_picture(values[side], side, number, config) for side in ("reference", "target")]
    split = values.get("split")
    if "split" in columns and not (isinstance(split, str) and _NAME.fullmatch(split)):
        raise ValueError("no split")
    return row(
        reference=sides[0],
        targets=[sides[1]],
        text=" ".join(text.split()),
        captions=(_said(values.get("reference_caption")), _said(values.get("target_caption"))),
        source="import",
        seed=config.seed,
        name="" if values.get("id") is None else str(values["id"]),
        split=split,
    )


def _said(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _picture(value: Any, side: str, number: int, config: BuildConfig) -> str:
    """The name of a picture, seen from --out; one that the table holds is written there."""
    content = value.get("bytes") if isinstance(value, dict) else value
    if isinstance(content, bytes):
        return _written(content, f"{number:08d}-{side}", config.out)
    name = value.get("path") if isinstance(value, dict) else value
    if not isinstance(name, str) or not name:
        raise ValueError(f"no {side}")
    path = (config.root or config.source.parent).resolve() / name
    if not path.is_file():
        raise ValueError(f"picture is missing: {display(name)}")
    return relative(path, config.out)


def _written(content: bytes, name: str, out: Path) -> str:
    suffix = next((_SUFFIXES[head] for head in _SUFFIXES if content.startswith(head)), "")
    file = out / PICTURES / f"{name}{suffix}"
    file.parent.mkdir(exist_ok=True)
    with atomic_write(file) as stream:
        stream.write(content)
    if isinstance(found := images.open(file), Unreadable):
        raise ValueError(f"picture cannot be read: {found.reason}")
    return f"{PICTURES}/{file.name}"
