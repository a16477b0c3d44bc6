"""Composed queries out of attributes: "the same thing, but in blue".

For each picture and each other value of one attribute that occurs among pictures which agree in
all other given attributes, one triplet: the picture, the words, and every such picture.
"""

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from vretr.data import triplets
from vretr.data.sources import TABLES, Row, folder_of, refuse, refuse_missing, rows, table_of
from vretr.errors import MismatchError
from vretr.methods import ARGUMENT
from vretr.paths import atomic_write, display, json_fields


@dataclass(frozen=True, kw_only=True)
class AttributeTripletsConfig:
    """Derive composed queries from labelled pictures: the same thing, another colour."""

    source: Annotated[
        Path,
        "Folder or zip whose metadata.jsonl has a column for each attribute. From a zip, the "
        "triplets name copies in vretr's cache: unzip it first for a file that lasts.",
        ARGUMENT,
    ]
    out: Annotated[Path, "File of triplets to write; its gallery is written beside it (.txt)."]
    split: Annotated[str | None, "Only rows of this split.", ("train", "test")] = None
    change: Annotated[str, "The attribute that changes."] = "colour"
    same: Annotated[tuple[str, ...], "Attributes that stay, repeatable."] = (
        "article_type",
        "gender",
        "usage",
    )
    text: Annotated[str, "The words; {} is the new value in lower case."] = "is {}"

    def __post_init__(self) -> None:
        """Raises ValueError for words without a place for the value."""
        if self.text.count("{}") != 1:
            raise ValueError(f"text is {self.text!r}, but must hold {{}} once")
        if self.change in self.same:
            raise ValueError(f"{self.change} cannot both change and stay the same")


def derive(config: AttributeTripletsConfig) -> list[Row]:
    """Writes the triplets and their gallery (all pictures of the split).

    Returns:
        One row, which the command prints: where they were written, and the counts `triplets`,
        `references` (pictures that have one), `targets` (over all triplets) and `gallery`.
    """
    folder = folder_of(config.source)
    table = table_of(folder, *TABLES)
    if table is None:
        raise MismatchError(f"{display(folder)} has no {' or '.join(TABLES)}.")
    pictures = _pictures(table, config)
    gallery = config.out.with_suffix(".txt")
    if gallery == config.out:
        raise MismatchError(f"{display(config.out)} is where the gallery goes; call it .jsonl.")
    relative = {row["file_name"]: _name(folder / row["file_name"], config.out) for row in pictures}
    found = [
        {
            "reference": relative[reference],
            "text": config.text.format(value.lower()),
            "targets": [relative[target] for target in targets],
            "gallery": gallery.name,
        }
        for reference, value, targets in changes(pictures, change=config.change, same=config.same)
    ]
    if not found:
        raise MismatchError(f"No picture of {display(config.source)} has a like of another value.")
    config.out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(gallery) as file:
        file.writelines(os.fsencode(name) + b"\n" for name in relative.values())
    triplets.save(config.out, found)
    return [
        {
            **json_fields(config.out),
            "triplets": len(found),
            "references": len({row["reference"] for row in found}),
            "targets": sum(len(row["targets"]) for row in found),
            "gallery": len(relative),
        }
    ]


def changes(
    pictures: list[Row], *, change: str, same: tuple[str, ...]
) -> Iterator[tuple[str, str, list[str]]]:
    """Yields (reference, other value, targets) in the order of the pictures, values sorted."""
    groups: dict[tuple[str, ...], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in pictures:
        groups[tuple(row[name] for name in same)][row[change]].append(row["file_name"])
    for row in pictures:
        group = groups[tuple(row[name] for name in same)]
        for value in sorted(group):
            if value != row[change]:
                yield row["file_name"], value, group[value]


def _pictures(table: Path, config: AttributeTripletsConfig) -> list[Row]:
    needed = ("file_name", config.change, *config.same)
    found, wrong = [], []
    for number, row in rows(table):
        if config.split is not None and row.get("split") != config.split:
            continue
        if all(isinstance(row.get(name), str) and row[name] for name in needed):
            found.append(row)
        else:
            wrong.append(f"line {number}")
    refuse(table, wrong, what=f"lines without {', '.join(needed)}")
    refuse_missing(table, [table.parent / row["file_name"] for row in found])
    return found


def _name(picture: Path, out: Path) -> str:
    """The picture as seen from the file that names it."""
    return os.path.relpath(picture.resolve(), out.parent.resolve())
