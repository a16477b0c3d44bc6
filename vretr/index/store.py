"""The index as its writer sees it: what SQLite knows and the segments beside it change together.

The format is described in docs/index-format.md. SQLite's transactions are the only commit protocol:
a segment counts from the commit on that names it, and a file that no commit names is swept.
"""

import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vretr.encoders.base import Encoder
from vretr.errors import VretrError
from vretr.index import segments
from vretr.index.database import (
    DATABASE,
    MIGRATIONS,
    Encoding,
    connect,
    current_encoding,
    exists,
    in_words,
    meta,
    migrate,
    require,
    segments_of,
    set_meta,
    transaction,
    version,
)
from vretr.index.lock import only_writer
from vretr.index.places import Root, recorded, root_of
from vretr.index.segments import FOLDER, Segment, Vectors
from vretr.paths import sync_folder

_log = logging.getLogger(__name__)

_FAN_IN = 8  # small segments of about one size are merged when there are so many
_DEAD = 0.25  # share of rows without a photo from which on the segments are written anew


@dataclass(slots=True)
class Changes:
    """What the next commit writes. Paths as stored; `mtime_ns` None: not to be relied on."""

    photos: list[tuple[bytes, int, int | None, bytes]] = field(default_factory=list)  # …, digest
    failures: list[tuple[bytes, int, int | None, str]] = field(default_factory=list)  # …, reason
    contents: list[tuple[bytes, int]] = field(default_factory=list)  # digest, size
    vectors: list[Vectors] = field(default_factory=list)  # of `contents`, in their order

    def __bool__(self) -> bool:
        return bool(self.photos or self.failures)

    def clear(self) -> None:
        for column in (self.photos, self.failures, self.contents, self.vectors):
            column.clear()


@contextmanager
def writing(folder: Path, encoder: Encoder, *, root: Path, rebuild: bool) -> Iterator["Store"]:
    """Opens an index to write to it, alone; makes it where there is none.

    Args:
        root: the folder of the photos, where the index is new.
        rebuild: write a second encoding beside the one that is searched, until `Store.switch`; what
            an interrupted rebuild with this encoder has left is gone on with.

    Raises:
        VretrError: somebody else writes, or it cannot be written.
        MismatchError: it was built with another encoder, or by a newer vretr.
    """
    with ExitStack() as stack:
        with in_words(folder):
            _make(folder)
            stack.enter_context(only_writer(folder))
            os.close(os.open(folder / DATABASE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            connection = stack.enter_context(closing(connect(folder)))
            migrate(connection, folder)
            with transaction(connection):
                encoding = _choose(connection, encoder, folder=folder, root=root, rebuild=rebuild)
            store = Store(folder, connection, encoding)
            store.sweep()
        yield store


@contextmanager
def trying(folder: Path, encoder: Encoder, *, root: Path, rebuild: bool) -> Iterator["Store"]:
    """A store to look at what would be done: nothing is written, no lock is needed."""
    with in_words(folder):
        connection = _connect_to_look(folder)
    with closing(connection):
        encoding = current_encoding(connection)
        if encoding is None:
            encoding = _choose(connection, encoder, folder=folder, root=root, rebuild=False)
        elif rebuild:  # nothing has a vector yet
            encoding = Encoding(-1, encoder.name, encoder.identity, encoder.dim)
        else:
            require(encoding, encoder, folder)
        yield Store(folder, connection, encoding)


def _connect_to_look(folder: Path) -> sqlite3.Connection:
    """The database, or an empty one in memory where there is none yet."""
    if exists(folder):
        connection = connect(folder)
        if version(connection, folder) == len(MIGRATIONS):
            return connection
        connection.close()
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, folder)
    return connection


def _make(folder: Path) -> None:
    """The folders of an index, for its owner alone: vectors tell what the photos show."""
    if not folder.exists():
        folder.mkdir(mode=0o700, parents=True)
        sync_folder(folder.parent)
    strange = {entry.name for entry in folder.iterdir()} - {DATABASE, FOLDER, "lock"}
    if strange and not exists(folder):
        raise VretrError(
            f"{folder} is no index, and holds other things (such as {min(strange)}); "
            "name a new or an empty folder with --index."
        )
    (folder / FOLDER).mkdir(mode=0o700, exist_ok=True)


def _choose(
    connection: sqlite3.Connection, encoder: Encoder, *, folder: Path, root: Path, rebuild: bool
) -> Encoding:
    """The encoding to write, made if need be; others that are not searched are dropped."""
    current = current_encoding(connection)
    if current is None:
        current = _add_encoding(connection, encoder)
        set_meta(connection, "root", recorded(root, folder))
        set_meta(connection, "encoding", current.id)
    if not rebuild:
        require(current, encoder, folder)
        _keep(connection, current.id)
        return current
    row = connection.execute(
        "SELECT id FROM encoding WHERE identity = ? AND id != ?", (encoder.identity, current.id)
    ).fetchone()
    if row:
        chosen = Encoding(row[0], encoder.name, encoder.identity, encoder.dim)
    else:
        chosen = _add_encoding(connection, encoder)
    _keep(connection, current.id, chosen.id)
    return chosen


def _add_encoding(connection: sqlite3.Connection, encoder: Encoder) -> Encoding:
    cursor = connection.execute(
        "INSERT INTO encoding (name, identity, dim) VALUES (?, ?, ?)",
        (os.fsencode(encoder.name), encoder.identity, encoder.dim),
    )
    assert cursor.lastrowid is not None
    return Encoding(cursor.lastrowid, encoder.name, encoder.identity, encoder.dim)


def _keep(connection: sqlite3.Connection, *encodings: int) -> None:
    """Drops all encodings but these, with their vectors; their files are then swept."""
    marks = ", ".join("?" * len(encodings))
    for table, column in (("vector", "encoding"), ("segment", "encoding"), ("encoding", "id")):
        connection.execute(f"DELETE FROM {table} WHERE {column} NOT IN ({marks})", encodings)


class Store:
    """An index as its one writer sees it: every method leaves it whole, whenever it is killed.

    `encoding` is the one that is written; in a rebuild it is not yet the one that is searched.
    """

    def __init__(self, folder: Path, connection: sqlite3.Connection, encoding: Encoding) -> None:
        self.folder = folder
        self.connection = connection
        self.encoding = encoding
        self.root: Root = root_of(Path(os.path.realpath(folder)), meta(connection, "root"))

    @property
    def _segments(self) -> Path:
        return self.folder / FOLDER

    def commit(self, changes: Changes) -> None:
        """Writes vectors, photos and failures, and empties `changes`.

        May be repeated with the same changes: what is known already is not written twice.
        """
        with in_words(self.folder):
            contents, vectors = self._unknown(changes)
            start = meta(self.connection, "next_position") or 0
            segment = None
            if contents:
                segment = segments.write(
                    self._segments,
                    start=start,
                    rows=len(contents),
                    dim=self.encoding.dim,
                    blocks=vectors,
                )
            with transaction(self.connection):
                if segment:
                    self._add_segment(segment)
                self.connection.executemany(
                    "INSERT INTO vector VALUES (?, ?, ?, ?)",
                    (
                        (start + row, digest, size, self.encoding.id)
                        for row, (digest, size) in enumerate(contents)
                    ),
                )
                run = self.connection.executemany
                run("DELETE FROM failure WHERE path = ?", ((row[0],) for row in changes.photos))
                run("INSERT OR REPLACE INTO photo VALUES (?, ?, ?, ?)", changes.photos)
                run("DELETE FROM photo WHERE path = ?", self._lost(changes))
                run("INSERT OR REPLACE INTO failure VALUES (?, ?, ?, ?)", changes.failures)
        changes.clear()
        self._merge(_FAN_IN)

    def _lost(self, changes: Changes) -> list[tuple[bytes]]:
        """Photos that have lost their content, since they cannot be decoded any more.

        One that cannot even be looked at (size -1) may be as it was; and until the end of a rebuild
        everything is searched as before.
        """
        if meta(self.connection, "encoding") != self.encoding.id:
            return []
        return [(path,) for path, size, *_ in changes.failures if size >= 0]

    def _unknown(self, changes: Changes) -> tuple[list[tuple[bytes, int]], list[Vectors]]:
        """The contents of `changes` that have no vector yet, each once."""
        new: dict[bytes, tuple[int, Vectors]] = {}
        for (digest, size), vector in zip(changes.contents, changes.vectors, strict=True):
            if not self.knows(digest):
                new.setdefault(digest, (size, vector[None]))
        return [(digest, size) for digest, (size, _) in new.items()], [v for _, v in new.values()]

    def knows(self, digest: bytes) -> bool:
        """Whether a content has its vector."""
        query = "SELECT 1 FROM vector WHERE encoding = ? AND digest = ?"
        return bool(self.connection.execute(query, (self.encoding.id, digest)).fetchone())

    def _add_segment(self, segment: Segment) -> None:
        self.connection.execute(
            "INSERT INTO segment VALUES (?, ?, ?, ?)",
            (segment.start, segment.rows, segment.crc32, self.encoding.id),
        )
        set_meta(self.connection, "next_position", segment.end)

    def tidy(self) -> None:
        """Leaves few segments, and none in which many rows belong to no photo."""
        with in_words(self.folder):
            known = segments_of(self.connection, self.encoding)
            rows = sum(segment.rows for segment in known)
            alive = self.connection.execute(
                "SELECT count(*) FROM vector v WHERE encoding = ? "
                "AND EXISTS (SELECT 1 FROM photo WHERE digest = v.digest)",
                (self.encoding.id,),
            ).fetchone()[0]
        if rows - alive > _DEAD * rows:
            self._compact(known, alive)
        else:
            self._merge(2)

    def _merge(self, fan_in: int) -> None:
        """Merges the newest segments, as soon as `fan_in` of about one size have come together.

        Sizes then fall geometrically, so that there are few segments and each vector is rewritten
        few times. Positions stay as they are, so readers of the old files need not know.
        """
        known = segments_of(self.connection, self.encoding)
        run: list[Segment] = []
        rows = 0
        for segment in reversed(known):
            adjoins = not run or segment.end == run[-1].start
            if run and (not adjoins or segment.rows > 2 * rows):
                break
            run.append(segment)
            rows += segment.rows
        if len(run) < fan_in:
            return
        run.reverse()
        with in_words(self.folder):
            merged = segments.write(
                self._segments,
                start=run[0].start,
                rows=rows,
                dim=self.encoding.dim,
                blocks=(block for s in run for _, block in self._blocks(s)),
            )
            with transaction(self.connection):
                self._forget_segments(run)
                self._add_segment(merged)
            self._unlink(run)

    def _compact(self, known: Sequence[Segment], alive: int) -> None:
        """Writes the vectors that have a photo anew; the others are gone for good."""
        run = self.connection.execute
        with in_words(self.folder):
            start: int = meta(self.connection, "next_position")
            run("DROP TABLE IF EXISTS temp.alive")
            run("CREATE TEMP TABLE alive (place INTEGER PRIMARY KEY, position INTEGER UNIQUE)")
            run(
                "INSERT INTO temp.alive (position) SELECT position FROM vector v WHERE "
                "encoding = ? AND EXISTS (SELECT 1 FROM photo WHERE digest = v.digest) "
                "ORDER BY position",
                (self.encoding.id,),
            )
            compacted = None
            if alive:
                compacted = segments.write(
                    self._segments,
                    start=start,
                    rows=alive,
                    dim=self.encoding.dim,
                    blocks=self._alive(known),
                )
            with transaction(self.connection):
                self._forget_segments(known)
                run(
                    "DELETE FROM vector WHERE encoding = ? "
                    "AND position NOT IN (SELECT position FROM temp.alive)",
                    (self.encoding.id,),
                )
                run(
                    "UPDATE vector SET position = ? - 1 + (SELECT place FROM temp.alive a "
                    "WHERE a.position = vector.position) WHERE encoding = ?",
                    (start, self.encoding.id),
                )
                if compacted:
                    self._add_segment(compacted)
                self._new_generation()
            self._unlink(known)

    def _alive(self, known: Sequence[Segment]) -> Iterator[Vectors]:
        for segment in known:
            for first, block in self._blocks(segment):
                rows = self.connection.execute(
                    "SELECT position FROM temp.alive WHERE position >= ? AND position < ?",
                    (first, first + len(block)),
                ).fetchall()
                yield block[np.array(rows, dtype=np.int64).reshape(-1) - first]

    def _blocks(self, segment: Segment) -> Iterator[tuple[int, Vectors]]:
        return segments.blocks(self._segments, segment, self.encoding.dim)

    def _forget_segments(self, known: Iterable[Segment]) -> None:
        self.connection.executemany(
            "DELETE FROM segment WHERE start = ?", ((segment.start,) for segment in known)
        )

    def _unlink(self, known: Iterable[Segment]) -> None:
        for segment in known:  # a reader that has one mapped keeps it until it lets go
            (self._segments / segment.name).unlink(missing_ok=True)

    def _new_generation(self) -> None:
        """Tells readers that the positions they know mean nothing any more."""
        set_meta(self.connection, "generation", (meta(self.connection, "generation") or 0) + 1)

    def switch(self) -> None:
        """Makes `encoding` the one that is searched and drops the other: the end of a rebuild."""
        if not segments_of(self.connection, self.encoding):
            raise VretrError("No photo could be encoded, so the index stays as it was.")
        with in_words(self.folder):
            with transaction(self.connection):
                _keep(self.connection, self.encoding.id)
                self.connection.execute(
                    "DELETE FROM photo WHERE NOT EXISTS "
                    "(SELECT 1 FROM vector WHERE digest = photo.digest)"
                )
                set_meta(self.connection, "encoding", self.encoding.id)
                self._new_generation()
            self.sweep()

    def sweep(self) -> None:
        """Removes files of segments that no commit names."""
        known = {
            Segment(*row).name
            for row in self.connection.execute("SELECT start, rows, crc32 FROM segment")
        }
        for path in self._segments.iterdir():
            if path.name not in known and segments.is_segment(path.name):
                _log.info("removed %s, which an interrupted run has left", path)
                path.unlink()
