"""Files of triplets: one for each split, each there whole or not at all."""

import json
import os
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol, Self

from compodiff.building.rows import targets_of
from compodiff.building.splitting import TRAIN
from vretr.data.sources import Row
from vretr.paths import atomic_write

PICTURES, WORDS = "triplets", "text-triplets"
_BATCH = 4096  # rows that parquet writes at a time


class Writer(Protocol):
    """Takes rows, one after another, and makes files of them when it is closed without an error."""

    files: dict[str, Path]  # by split

    def put(self, row: Row) -> None:
        """One more row; its `split` is set."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: Any) -> None: ...


def file_of(folder: Path, name: str, split: str, suffix: str) -> Path:
    """NAME.jsonl for training, NAME-val.jsonl and NAME-test.jsonl beside it."""
    return folder / f"{name}{'' if split == TRAIN else f'-{split}'}{suffix}"


class Jsonl:
    """An object a line, as `vretr.data.triplets` reads them."""

    suffix = ".jsonl"

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.files: dict[str, Path] = {}
        self._streams: dict[str, IO[bytes]] = {}
        self._open = ExitStack()

    def put(self, row: Row) -> None:
        """Writes the row to the file of its split."""
        text = json.dumps(row, ensure_ascii=False)
        # A name that is not UTF-8 holds surrogates; their escapes are JSON as well.
        self._stream(row["split"]).write(text.encode("utf-8", "backslashreplace") + b"\n")

    def _stream(self, split: str) -> IO[bytes]:
        if split not in self._streams:
            self.files[split] = file_of(self.folder, self.name, split, self.suffix)
            self._streams[split] = self._open.enter_context(atomic_write(self.files[split]))
        return self._streams[split]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.__exit__(kind, error, trace)


class Parquet(Jsonl):
    """The same fields as columns; `targets` is always a list, and what is nested is JSON."""

    suffix = ".parquet"

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder, name)
        self._tables: dict[str, Any] = {}
        self._rows: dict[str, list[Row]] = {}

    def put(self, row: Row) -> None:
        """Keeps the row until there are enough to write."""
        flat = {name: value for name, value in row.items() if name not in ("target", "targets")}
        flat["targets"] = targets_of(row)
        flat |= {name: json.dumps(row[name]) for name in ("edit", "scores")}
        waiting = self._rows.setdefault(row["split"], [])
        waiting.append(flat)
        if len(waiting) == _BATCH:
            self._write(row["split"])

    def _write(self, split: str) -> None:
        import pyarrow
        from pyarrow.parquet import ParquetWriter

        text, whole = pyarrow.string(), pyarrow.int64()
        kinds = {"seed": whole, "targets": pyarrow.list_(text)}
        schema = pyarrow.schema([(name, kinds.get(name, text)) for name in self._rows[split][0]])
        if split not in self._tables:
            self._tables[split] = ParquetWriter(self._stream(split), schema)
        self._tables[split].write_table(pyarrow.Table.from_pylist(self._rows[split], schema))
        self._rows[split] = []

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                for split, rows in self._rows.items():
                    if rows:
                        self._write(split)
            for table in self._tables.values():
                table.close()
        except BaseException as problem:
            self._open.__exit__(type(problem), problem, problem.__traceback__)
            raise
        self._open.__exit__(kind, error, trace)


class Count:
    """What the report says of the rows: counts, balance, shared targets."""

    def __init__(self) -> None:
        self.splits: Counter[str] = Counter()
        self.changes: Counter[tuple[str, str, str]] = Counter()
        self.references: set[str] = set()
        self.targets: Counter[str] = Counter()
        self.texts: set[int] = set()

    def put(self, row: Row) -> None:
        """One more row."""
        self.splits[row["split"]] += 1
        edits = row["edit"] if isinstance(row["edit"], list) else [row["edit"]]
        for edit in edits:
            self.changes[edit["kind"], edit["from"], edit["to"]] += 1
        self.texts.add(hash(row["text"]))
        if row["reference"] is not None:
            self.references.add(row["reference"])
            self.targets.update(targets_of(row))

    def to_dict(self, most: int = 20) -> dict[str, Any]:
        """Plain values for the report."""
        kinds: Counter[str] = Counter()
        for (kind, _, _), count in self.changes.items():
            kinds[kind] += count
        return {
            "triplets": sum(self.splits.values()),
            "splits": dict(sorted(self.splits.items())),
            "instructions": len(self.texts),
            "references": len(self.references),
            "targets": len(self.targets),
            "targets of several triplets": sum(count > 1 for count in self.targets.values()),
            "kinds": dict(kinds.most_common()),
            "pairs": len(self.changes),
            "most frequent": [
                {"kind": kind, "from": a, "to": b, "count": count}
                for (kind, a, b), count in self.changes.most_common(most)
            ],
        }


def require_folder(out: Path) -> None:
    """Makes the folder, before any work is done.

    Raises:
        OSError: it cannot be written to.
    """
    out.mkdir(parents=True, exist_ok=True)
    if not os.access(out, os.W_OK):
        raise PermissionError(13, "Permission denied", os.fspath(out))
