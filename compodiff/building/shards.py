"""Triplets with their pictures as shards: .tar files that webdataset streams."""

import io
import json
import tarfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from compodiff.building.rows import targets_of
from compodiff.building.writing import file_of
from vretr.data.sources import Row
from vretr.errors import MismatchError
from vretr.paths import atomic_write, display

SHARD = 2000  # rows: some hundred MB of photos


class WebDataset:
    """NAME-000000.tar and so on for training, NAME-val-000000.tar beside them.

    Of each row: its fields as .json, and its pictures as they are, .reference.jpg and .target.jpg;
    of several targets the first one counts. Each shard is there whole or not at all.
    """

    def __init__(self, folder: Path, name: str) -> None:
        """
        Raises:
            MismatchError: there are shards already, which would be read as one set with these.
        """
        if any(folder.glob(f"{name}*-[0-9][0-9][0-9][0-9][0-9][0-9].tar")):
            raise MismatchError(
                f"{display(folder)} has shards of an earlier run: take another --out, or remove "
                "them."
            )
        self.folder, self.name = folder, name
        self.files: dict[str, Path] = {}
        self._counts: dict[str, int] = {}
        self._shards: dict[str, tarfile.TarFile] = {}
        self._open: dict[str, ExitStack] = {}

    def put(self, row: Row) -> None:
        """Writes the row to the shard that its split has come to.

        Raises:
            MismatchError: one of its pictures cannot be read.
        """
        number = self._counts.get(row["split"], 0)
        if number % SHARD == 0:
            self._next(row["split"], number // SHARD)
        self._counts[row["split"]] = number + 1
        shard, key = self._shards[row["split"]], f"{number:09d}"
        fields = json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace")
        _add(shard, f"{key}.json", fields)
        if row["reference"] is not None:
            for part, path in (("reference", row["reference"]), ("target", targets_of(row)[0])):
                _add(shard, f"{key}.{part}{Path(path).suffix.lower()}", self._picture(path))

    def _picture(self, path: str) -> bytes:
        try:
            return (self.folder / path).read_bytes()
        except OSError as problem:
            raise MismatchError(f"{display(path)} cannot be read: {problem.strerror}.") from problem

    def _next(self, split: str, number: int) -> None:
        if split in self._open:
            self._open[split].close()
        stack = self._open[split] = ExitStack()
        file = file_of(self.folder, self.name, split, f"-{number:06d}.tar")
        self.files.setdefault(split, file)
        stream = stack.enter_context(atomic_write(file))
        shard = tarfile.TarFile(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT)
        self._shards[split] = stack.enter_context(shard)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        every = ExitStack()
        for stack in self._open.values():
            every.push(stack)
        every.__exit__(kind, error, trace)


def _add(shard: tarfile.TarFile, name: str, content: bytes) -> None:
    """Adds a file without time and owner: equal triplets give equal shards."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    shard.addfile(member, io.BytesIO(content))
