"""Forms that files of triplets may have, by name; two are laid out as benchmarks are."""

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from compodiff.building import drawing
from compodiff.building.phrasings import Edit, phrase
from compodiff.building.rows import targets_of
from compodiff.building.shards import WebDataset
from compodiff.building.writing import PICTURES, Jsonl, Parquet, Writer
from vretr.data.sources import Row
from vretr.errors import MismatchError
from vretr.paths import atomic_write

MEMBERS = 6  # of a set of CIRR, the reference and the target among them


def writer_of(form: str, folder: Path, name: str, *, seed: int) -> Writer:
    """A writer of that form.

    Raises:
        MismatchError: benchmarks' annotations of triplets without pictures; shards of an earlier
            run in the folder.
    """
    if form in ("fashioniq", "cirr") and name != PICTURES:
        raise MismatchError(f"Triplets of words alone have no pictures, and --format {form} has.")
    if form == "fashioniq":
        return FashionIQ(folder, seed)
    if form == "cirr":
        return Cirr(folder, seed)
    if form == "webdataset":
        return WebDataset(folder, name)
    return Parquet(folder, name) if form == "parquet" else Jsonl(folder, name)


class Annotations:
    """Rows with one target each, kept until all are there: such a file is one list."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed = folder, seed
        self.files: dict[str, Path] = {}
        self.rows: dict[str, list[Row]] = {}

    def put(self, row: Row) -> None:
        """Keeps the row; of several targets the first one counts."""
        self.rows.setdefault(row["split"], []).append(row)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            for split, rows in self.rows.items():
                self.files[split] = self.write(split, rows)

    def write(self, split: str, rows: list[Row]) -> Path:
        """Writes the files of a split; returns the one with the triplets."""
        raise NotImplementedError

    def names(self, rows: list[Row]) -> dict[str, str]:
        """A name without folder and ending for each picture, none twice."""
        pictures = dict.fromkeys(
            path for row in rows for path in (row["reference"], targets_of(row)[0])
        )
        taken: dict[str, str] = {}
        for path in pictures:
            stem = Path(path).stem
            name = stem if stem not in taken else f"{stem}-{drawing.number(0, path):x}"
            taken[name] = path
        return {path: name for name, path in taken.items()}

    def save(self, place: str, content: Any) -> Path:
        """Writes a JSON file."""
        file = self.folder / place
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as out:
            out.write(json.dumps(content, indent=1).encode("ascii") + b"\n")
        return file


class FashionIQ(Annotations):
    """`captions/cap.triplets.SPLIT.json`, `image_splits/split.triplets.SPLIT.json`, and links to
    the pictures in `images`. The second caption is the change in other words."""

    def write(self, split: str, rows: list[Row]) -> Path:
        """See `Annotations.write`."""
        names = self.names(rows)
        (self.folder / "images").mkdir(exist_ok=True)
        for path, name in names.items():
            link = self.folder / "images" / f"{name}{Path(path).suffix}"
            if not link.is_symlink():
                link.symlink_to(os.path.join("..", path))
        self.save(f"image_splits/split.{PICTURES}.{split}.json", sorted(names.values()))
        entries = [
            {
                "candidate": names[row["reference"]],
                "target": names[targets_of(row)[0]],
                "captions": [row["text"], self._again(row)],
            }
            for row in rows
        ]
        return self.save(f"captions/cap.{PICTURES}.{split}.json", entries)

    def _again(self, row: Row) -> str:
        told = row["edit"] if isinstance(row["edit"], list) else [row["edit"]]
        edits = tuple(
            Edit(each["kind"], each["attribute"] or "", each["from"], each["to"]) for each in told
        )
        return phrase(edits, self.seed, "again", row["id"]) if edits else row["text"]


class Cirr(Annotations):
    """`cirr/captions/cap.rc2.SPLIT.json` and `cirr/image_splits/split.rc2.SPLIT.json`. The other
    members of a set are drawn from the split's pictures: nobody has chosen them for being alike."""

    def write(self, split: str, rows: list[Row]) -> Path:
        """See `Annotations.write`."""
        names = self.names(rows)
        if len(names) < MEMBERS:
            raise MismatchError(
                f"The split {split} has {len(names)} pictures, and a set of CIRR has {MEMBERS}."
            )
        every = list(names.values())
        self.save(
            f"cirr/image_splits/split.rc2.{split}.json",
            {name: os.path.normpath(path) for path, name in names.items()},
        )
        entries = []
        for number, row in enumerate(rows):
            pair = [names[row["reference"]], names[targets_of(row)[0]]]
            drawn = drawing.some(every, MEMBERS, self.seed, "members", row["id"])
            members = [*pair, *(name for name in drawn if name not in pair)][:MEMBERS]
            entries.append(
                {
                    "pairid": number,
                    "reference": pair[0],
                    "target_hard": pair[1],
                    "target_soft": {pair[1]: 1.0},
                    "caption": row["text"],
                    "img_set": {"id": number, "members": members},
                }
            )
        return self.save(f"cirr/captions/cap.rc2.{split}.json", entries)
