"""The index's SQLite database: schema, migrations, transactions, and its errors as sentences."""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vretr.encoders.base import Encoder
from vretr.errors import MismatchError, VretrError
from vretr.index.segments import Segment

DEFAULT = ".vretr"  # the index of a folder, in it
DATABASE = "index.sqlite"

# One script a version: MIGRATIONS[n] makes version n + 1 of version n.
MIGRATIONS = (
    """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
    CREATE TABLE encoding (id INTEGER PRIMARY KEY AUTOINCREMENT, name BLOB NOT NULL,
                           identity TEXT NOT NULL, dim INTEGER NOT NULL);
    CREATE TABLE segment (start INTEGER PRIMARY KEY, rows INTEGER NOT NULL,
                          crc32 INTEGER NOT NULL, encoding INTEGER NOT NULL);
    CREATE TABLE vector (position INTEGER PRIMARY KEY, digest BLOB NOT NULL, size INTEGER NOT NULL,
                         encoding INTEGER NOT NULL, UNIQUE (encoding, digest));
    CREATE INDEX vector_size ON vector (encoding, size);
    CREATE TABLE photo (path BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER,
                        digest BLOB NOT NULL) WITHOUT ROWID;
    CREATE INDEX photo_digest ON photo (digest);
    CREATE TABLE failure (path BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER,
                          reason TEXT NOT NULL) WITHOUT ROWID;
    """,
)

REBUILD = "Build it anew with `vretr index FOLDER --rebuild`."


@dataclass(frozen=True, slots=True)
class Encoding:
    """An encoder's vectors within an index; `identity` is the encoder's."""

    id: int
    name: str
    identity: str
    dim: int


@contextmanager
def in_words(folder: Path) -> Iterator[None]:
    """Turns what the system or SQLite says about an index's files into a sentence."""
    try:
        yield
    except OSError as error:
        raise VretrError(_sentence(folder, error.errno, error.strerror or str(error))) from error
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        raise VretrError(_sentence(folder, _ERRNO.get(code), str(error))) from error


_ERRNO = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_BUSY: errno.EBUSY,
    sqlite3.SQLITE_CORRUPT: errno.EILSEQ,
    sqlite3.SQLITE_NOTADB: errno.EILSEQ,
}


def _sentence(folder: Path, code: int | None, text: str) -> str:
    kept = "What was finished before is kept."
    match code:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return f"There is no room left for the index in {folder} ({text}). {kept}"
        case errno.EROFS | errno.EACCES | errno.EPERM:
            return (
                f"The index in {folder} cannot be written there ({text}). "
                "Keep it elsewhere with --index DIR."
            )
        case errno.EBUSY:
            return f"Another program keeps the index in {folder} busy ({text}). {kept} Try again."
        case errno.EILSEQ:
            return (
                f"The index is damaged: {folder / DATABASE} ({text}). "
                f"Remove {folder} and build it anew."
            )
    return f"The index in {folder} could not be used ({text}). {kept}"


def exists(folder: Path) -> bool:
    """Whether a folder is an index."""
    return (folder / DATABASE).is_file()


def index_in(folder: Path) -> Path | None:
    """The index that a folder is, or holds as the index of its photos."""
    return next((place for place in (folder, folder / DEFAULT) if exists(place)), None)


def connect(folder: Path) -> sqlite3.Connection:
    """Opens an index's database as it is; for writing only where the file may be written.

    The journal is SQLite's default one (a rollback journal). A write-ahead log would let readers
    through even in the moment of a commit, but it needs shared memory, which a read-only folder
    does not give, and network file systems, where photos often lie, give wrongly. Commits are kept
    short instead: everything slow happens before, and without `cache_spill` SQLite takes its
    exclusive lock for writing the pages out and no earlier.
    """
    path = quote(os.fsencode(os.path.abspath(folder / DATABASE)))
    connection = sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=60, isolation_level=None)
    connection.execute("PRAGMA cache_spill = OFF")
    return connection


def version(connection: sqlite3.Connection, folder: Path) -> int:
    """The schema's version; 0 where nothing was written yet.

    Raises:
        MismatchError: a newer vretr has written this index.
    """
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if found > len(MIGRATIONS):
        raise MismatchError(
            f"The index {folder} has format {found}, written by a newer vretr; this one reads "
            f"formats up to {len(MIGRATIONS)}. Update vretr."
        )
    return found


@contextmanager
def transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """All of it or nothing. `kind` DEFERRED for a view of one moment."""
    try:
        connection.execute(f"BEGIN {kind}")
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def migrate(connection: sqlite3.Connection, folder: Path) -> None:
    """Brings the schema up to date, each step whole or not at all."""
    for step in range(version(connection, folder), len(MIGRATIONS)):
        with transaction(connection):
            for statement in MIGRATIONS[step].split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {step + 1}")


def current_encoding(connection: sqlite3.Connection) -> Encoding | None:
    """The encoding that is searched; None in an index that has none yet."""
    row = connection.execute(
        "SELECT id, name, identity, dim FROM encoding "
        "WHERE id = (SELECT value FROM meta WHERE name = 'encoding')"
    ).fetchone()
    return Encoding(row[0], os.fsdecode(row[1]), row[2], row[3]) if row else None


def segments_of(connection: sqlite3.Connection, encoding: Encoding) -> list[Segment]:
    """An encoding's segments by position."""
    rows = connection.execute(
        "SELECT start, rows, crc32 FROM segment WHERE encoding = ? ORDER BY start", (encoding.id,)
    )
    return [Segment(*row) for row in rows]


def meta(connection: sqlite3.Connection, name: str) -> Any:
    """A value of the table `meta`; None where there is none."""
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return row[0] if row else None


def set_meta(connection: sqlite3.Connection, name: str, value: Any) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))


def require(encoding: Encoding, encoder: Encoder, folder: Path) -> None:
    """Raises MismatchError where an encoder's vectors are not those of the index."""
    if encoding.identity != encoder.identity:
        raise MismatchError(
            f"The index {folder} was built with the encoder {encoding.name} "
            f"({encoding.identity[:12]}), not with {encoder.name} ({encoder.identity[:12]}). "
            f"Use --encoder {encoding.name}, or build it anew with "
            f"`vretr index … --encoder {encoder.name} --rebuild`."
        )
