"""Where the sentences come from: files and hub data sets, one after another, as a stream.

The training shuffles all of them, so that several corpora are mixed by their sizes.
"""

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from vretr.errors import MismatchError, UsageError, VretrError
from vretr.methods import near
from vretr.paths import display, offline

log = logging.getLogger(__name__)

GCC = "dangne/gcc_caption_only"
DIFFUSION = "FredZhang7/stable-diffusion-prompts-2.47M"
MIDJOURNEY = "Geonmo/midjourney-prompts-only"
PRESETS = {
    "paper": (GCC, DIFFUSION),  # 5.5 million
    "repository": (GCC, DIFFUSION, MIDJOURNEY),  # as the authors' code trains, slightly better
}

# Ending -> builder of `datasets` and its settings. `.gz` may follow each.
_BUILDERS: dict[str, tuple[str, dict[str, Any]]] = {
    ".txt": ("text", {}),
    ".jsonl": ("json", {}),
    ".json": ("json", {}),
    ".csv": ("csv", {}),
    ".tsv": ("csv", {"sep": "\t"}),
    ".parquet": ("parquet", {}),
}
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
_ROWS = 4096  # read at a time


@dataclass(frozen=True)
class Part:
    """A file, or a data set of the hub at a revision."""

    file: Path | None = None
    hub: str = ""
    revision: str | None = None

    @property
    def state(self) -> str:
        """What tells it from another, and a file from itself after a change.

        A hub data set counts as unchanging, so that a machine without network may train from
        tokens that were made before; ORG/NAME@REVISION pins one.
        """
        if self.file is None:
            return f"hub:{self.hub}@{self.revision or ''}"
        status = self.file.stat()
        return f"file:{self.file.resolve()}:{status.st_size}:{status.st_mtime_ns}"

    def __str__(self) -> str:
        return display(self.file) if self.file else f"{self.hub} on the hub"


@dataclass(frozen=True)
class Corpus:
    """Sentences as they were written, with nothing left out.

    Args:
        columns: the first of these that a table has is read.
    """

    parts: tuple[Part, ...]
    columns: tuple[str, ...]

    @classmethod
    def of(cls, names: Sequence[str], columns: Sequence[str]) -> "Corpus":
        """The corpus of these files, hub data sets and presets.

        Raises:
            UsageError: a name that is none of them.
            MismatchError: a file that is of no known kind.
        """
        parts = [part for name in names for part in _parts(name)]
        return cls(tuple(parts), tuple(columns))

    @property
    def state(self) -> str:
        """Equal states, equal sentences."""
        return "\n".join([*(part.state for part in self.parts), *self.columns])

    def __str__(self) -> str:
        return ", ".join(map(str, self.parts))

    def blocks(self, size: int) -> Iterator[list[str]]:
        """The sentences, `size` at a time; the last block may be shorter.

        Raises:
            UsageError: a hub data set is asked for and the network is off.
            MismatchError: a table has none of the columns.
            VretrError: a part cannot be read.
        """
        sentences = (text for part in self.parts for text in _sentences(part, self.columns))
        while block := list(islice(sentences, size)):
            yield block


def cleaned(sentence: str) -> str:
    """As the authors' code cleans a caption: CC12M's <PERSON>, lower case, no `$`, no margins."""
    return sentence.replace("<PERSON>", "person").lower().replace("$", "").strip()


def _parts(name: str) -> Iterator[Part]:
    path = Path(name).expanduser()
    if name in PRESETS:
        yield from (Part(hub=hub) for hub in PRESETS[name])
    elif path.is_file():
        _builder(path)
        yield Part(file=path)
    elif _HUB_NAME.fullmatch(name) and not (path.parent.is_dir() or _is_named_as_a_file(path)):
        hub, _, revision = name.partition("@")
        yield Part(hub=hub, revision=revision or None)
    else:
        raise UsageError(
            f"There is no file {display(name)}, and it is no data set ORG/NAME of the hub and no "
            f"preset; {near(name, PRESETS)}"
        )


def _ending(path: Path) -> str:
    """`.jsonl` or `.jsonl.gz`, in lower case."""
    name = path.name.lower()
    packed = ".gz" if name.endswith(".gz") else ""
    return Path(name.removesuffix(packed)).suffix + packed


def _is_named_as_a_file(path: Path) -> bool:
    return _ending(path).removesuffix(".gz") in _BUILDERS


def _builder(file: Path) -> tuple[str, dict[str, Any]]:
    if not _is_named_as_a_file(file):
        raise MismatchError(
            f"{display(file)} is none of {', '.join(_BUILDERS)}: rename it by what it holds."
        )
    return _BUILDERS[_ending(file).removesuffix(".gz")]


def _sentences(part: Part, columns: Sequence[str]) -> Iterator[str]:
    """Every sentence of a part; a cell may hold one, a list of them, or none."""
    column, batches = None, _batches(part)
    while True:
        try:
            batch = next(batches, None)
        except VretrError:
            raise
        except Exception as problem:
            reason = str(problem).strip().splitlines() or [type(problem).__name__]
            raise VretrError(f"{part} cannot be read: {reason[0].rstrip('.')}.") from problem
        if batch is None:
            return
        column = column or _column(part, batch, columns)
        for cell in batch[column]:
            yield from _texts(cell)


def _batches(part: Part) -> Iterator[dict[str, list[Any]]]:
    import datasets

    if part.file is not None:
        if not part.file.stat().st_size:
            return  # the builders stumble over it
        builder, settings = _builder(part.file)
        with TemporaryDirectory() as folder:
            # Under a name of ours: `datasets` takes it for a pattern, or for an address.
            link = Path(folder, f"corpus{_ending(part.file)}")
            link.symlink_to(part.file.absolute())
            table = datasets.load_dataset(
                builder, data_files=str(link), split="train", streaming=True, **settings
            )
            yield from table.iter(batch_size=_ROWS)
        return
    if offline():
        raise UsageError(
            f"{part} cannot be fetched, as the network is off: give --corpus FILE, or prepare the "
            "tokens where there is one."
        )
    log.warning("Reading %s; its own terms hold for what is learned from it.", part)
    table = datasets.load_dataset(part.hub, split="train", streaming=True, revision=part.revision)
    yield from table.iter(batch_size=_ROWS)


def _column(part: Part, batch: dict[str, list[Any]], columns: Sequence[str]) -> str:
    for name in columns:
        if name in batch:
            return name
    raise MismatchError(
        f"{part} has no column {' or '.join(columns)}; it has {', '.join(batch)}: name the one "
        "with the sentences by --column."
    )


def _texts(cell: Any) -> Iterator[str]:
    if isinstance(cell, list):
        for one in cell:
            yield from _texts(one)
    else:
        yield "" if cell is None else str(cell)
