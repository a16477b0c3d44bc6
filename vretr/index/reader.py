"""An index, opened for searching."""

import json
import os
import sqlite3
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vretr.encoders.base import Encoder
from vretr.errors import MismatchError, UsageError, VretrError
from vretr.index import search, segments
from vretr.index.database import (
    DATABASE,
    MIGRATIONS,
    REBUILD,
    connect,
    current_encoding,
    in_words,
    index_in,
    meta,
    require,
    segments_of,
    transaction,
    version,
)
from vretr.index.places import root_of
from vretr.index.segments import Segment, Vectors
from vretr.paths import json_fields

Rows = NDArray[np.int64]

_SPARE = 16  # rows fetched beyond k: some have no photo any more, or are left out
_DECIMALS = 6  # of scores: closer ones count as equal
_ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class Hit:
    """A photo that was found: its absolute path, its score, and 1 for the best."""

    path: Path
    score: float
    rank: int
    digest: bytes = b""  # of its content, as in `images.File`
    fit: float | None = None  # how well it fits, where that was asked: `vretr.calibration`


class Index:
    """A folder's vectors, to be searched exactly.

    Opening maps the vectors and reads none. Every search sees the last commit, whoever made it; a
    writer is neither waited for nor held up.

        with Index.open(Path("photos/.vretr")) as index:
            hits = index.search(encoder.encode_texts(["a red car"])[0])
    """

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self.folder = folder
        self._connection = connection
        record = meta(connection, "root")
        self._root = root_of(folder, record)
        encoding = current_encoding(connection)
        assert encoding is not None
        self._encoding = encoding
        self._mapped: dict[Segment, Vectors] = {}
        self._rows = 0
        self._generation = self._version = None
        self._refresh()

    @classmethod
    def open(cls, where: str | os.PathLike[str]) -> Self:
        """Opens an index, given its folder or the folder of its photos.

        Raises:
            MismatchError: there is none, none yet, or one that a newer vretr wrote.
            VretrError: it is damaged.
        """
        folder = index_in(Path(where))
        if folder is None:
            raise MismatchError(
                f"There is no index in {where}; make one with `vretr index FOLDER`."
            )
        with in_words(folder):
            connection = connect(folder)
            try:
                found = version(connection, folder)
                if found < len(MIGRATIONS) or current_encoding(connection) is None:
                    raise MismatchError(
                        f"The index {folder} is not finished or of an older format; "
                        "run `vretr index` on its folder once."
                    )
                return cls(folder, connection)
            except BaseException:
                connection.close()
                raise

    @property
    def root(self) -> Path:
        """The folder that photos' paths are stored relative to."""
        return Path(os.fsdecode(self._root.folder))

    @property
    def encoder(self) -> str:
        """Name of the encoder, as `load_encoder` takes it."""
        return self._encoding.name

    @property
    def identity(self) -> str:
        """Identity of the encoder whose vectors these are."""
        return self._encoding.identity

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return self._encoding.dim

    def require(self, encoder: Encoder) -> None:
        """Raises MismatchError unless queries of this encoder may be asked here."""
        require(self._encoding, encoder, self.folder)

    def __len__(self) -> int:
        """Number of photos that can be found."""
        with in_words(self.folder):
            row = self._connection.execute(
                "SELECT count(*) FROM photo p WHERE EXISTS "
                "(SELECT 1 FROM vector WHERE encoding = ? AND digest = p.digest)",
                (self._encoding.id,),
            ).fetchone()
        return int(row[0])

    def search(
        self,
        query: ArrayLike,
        k: int = 10,
        *,
        keep: Callable[[Path], bool] | None = None,
        min_score: float | None = None,
        without: Collection[bytes] = (),
    ) -> list[Hit]:
        """The `k` photos of largest inner product with one query [dim]; see `search_batch`."""
        queries = np.asarray(query, dtype=np.float32)[None]
        return self.search_batch(queries, k, keep=keep, min_score=min_score, without=without)[0]

    def search_batch(
        self,
        queries: ArrayLike,
        k: int = 10,
        *,
        keep: Callable[[Path], bool] | None = None,
        min_score: float | None = None,
        without: Collection[bytes] = (),
    ) -> list[list[Hit]]:
        """The `k` photos of largest inner product with each query [Q, dim], the best first.

        Exact. Scores are rounded to six decimals; equal ones are ordered by the bytes of their
        paths (as stored), also where more photos than `k` allows share the last place.

        Args:
            keep: photos for which this is false are left out; given the absolute path.
            min_score: photos with a lower score are left out.
            without: contents (digests, as in `images.File`) that are left out.

        Raises:
            MismatchError: the queries are of another length, or the index was built anew with
                another encoder since it was opened.
        """
        queries = np.asarray(queries, dtype=np.float32)
        if queries.ndim != 2 or queries.shape[1] != self.dim:
            raise MismatchError(
                f"The index {self.folder} holds vectors of length {self.dim}; the query has shape "
                f"{queries.shape[1:]}."
            )
        if not np.isfinite(queries).all():
            raise VretrError("A query vector holds values that are not finite numbers.")
        if k < 1:
            raise UsageError(f"The number of hits must be at least 1, not {k}.")
        wanted = _Wanted(k, keep, min_score, frozenset(without))
        for _ in range(_ATTEMPTS):
            self._refresh()
            try:
                return self._search(queries, wanted)
            except _Moved:
                continue
        raise VretrError(f"The index {self.folder} changes faster than it can be searched.")

    def _search(self, queries: Vectors, wanted: "_Wanted") -> list[list[Hit]]:
        fetched = 2 * wanted.k + _SPARE
        vectors = list(self._mapped.values())
        found = []
        for query, best in zip(queries, search.top(vectors, queries, fetched), strict=True):
            hits = self._hits(*best, wanted)
            found.append(self._hits_of_all(query, fetched, wanted) if hits is None else hits)
        return found

    def _hits_of_all(self, query: Vectors, fetched: int, wanted: "_Wanted") -> list[Hit]:
        """Ranks every row and looks at ever more of them, for queries that leave much out."""
        scores = search.scores(list(self._mapped.values()), query)
        order = np.argsort(-scores, kind="stable")
        while True:
            fetched *= 2
            rows = order[:fetched]
            hits = self._hits(rows, scores[rows], wanted)
            if hits is not None:
                return hits

    def _hits(self, rows: Rows, scores: Vectors, wanted: "_Wanted") -> list[Hit] | None:
        """Hits among the best rows; None where rows that are not among them could be hits too."""
        score_at = dict(zip(self._positions(rows), scores.tolist(), strict=True))
        found = []
        for position, stored, digest in self._photos_at(list(score_at)):
            score = _rounded(score_at[position])
            if wanted.takes(score, digest) and (
                wanted.keep is None or wanted.keep(self._root.absolute(stored))
            ):
                found.append((-score, stored, digest))
        found.sort()
        if len(rows) < self._rows:
            reached = _rounded(scores[-1])  # what is not here scores no higher
            enough = len(found) >= wanted.k and -found[wanted.k - 1][0] > reached
            if not enough and (wanted.min_score is None or reached >= wanted.min_score):
                return None
        return [
            Hit(self._root.absolute(stored), -score, rank, digest)
            for rank, (score, stored, digest) in enumerate(found[: wanted.k], start=1)
        ]

    def _positions(self, rows: Rows) -> list[int]:
        """Rows, numbered through the mapped segments, as positions."""
        starts = np.array([segment.start for segment in self._mapped])
        ends = np.cumsum([segment.rows for segment in self._mapped])
        segment = np.searchsorted(ends, rows, side="right")
        offsets = starts - (ends - [segment.rows for segment in self._mapped])
        positions: list[int] = (rows + offsets[segment]).tolist()
        return positions

    def _photos_at(self, positions: list[int]) -> list[tuple[int, bytes, bytes]]:
        """(position, stored path, digest) of the photos that have these vectors."""
        with in_words(self.folder), transaction(self._connection, "DEFERRED"):
            if meta(self._connection, "generation") != self._generation:
                raise _Moved
            return self._connection.execute(
                "SELECT v.position, p.path, p.digest FROM json_each(?) j "
                "JOIN vector v ON v.position = j.value JOIN photo p ON p.digest = v.digest",
                (json.dumps(positions),),
            ).fetchall()

    def _refresh(self) -> None:
        """Maps what the last commit names, if there was one since the last time."""
        with in_words(self.folder):
            for _ in range(_ATTEMPTS):
                version = self._connection.execute("PRAGMA data_version").fetchone()[0]
                if version == self._version:
                    return
                with transaction(self._connection, "DEFERRED"):
                    generation = meta(self._connection, "generation")
                    encoding = current_encoding(self._connection)
                    assert encoding is not None
                    known = segments_of(self._connection, encoding)
                if encoding.identity != self._encoding.identity:
                    raise MismatchError(
                        f"The index {self.folder} was built anew with the encoder {encoding.name} "
                        "while it was open; open it again."
                    )
                try:
                    mapped = {segment: self._map(segment) for segment in known}
                except FileNotFoundError as error:
                    missing = error.filename  # merged since the transaction; look again
                    continue
                self._encoding, self._generation = encoding, generation
                self._mapped, self._version = mapped, version
                self._rows = sum(segment.rows for segment in known)
                return
        raise VretrError(f"The index is damaged: {missing} is not there. {REBUILD}")

    def _map(self, segment: Segment) -> Vectors:
        if segment in self._mapped:
            return self._mapped[segment]
        return segments.load(self.folder / segments.FOLDER, segment, self.dim)

    def vector_of(self, digest: bytes) -> Vectors | None:
        """The vector [dim] of a content, if the index has it."""
        self._refresh()
        with in_words(self.folder):
            row = self._connection.execute(
                "SELECT position FROM vector WHERE encoding = ? AND digest = ?",
                (self._encoding.id, digest),
            ).fetchone()
        for segment, vectors in self._mapped.items():
            if row and segment.start <= row[0] < segment.end:
                return vectors[row[0] - segment.start].copy()
        return None

    def neighbour_scores(self, count: int) -> Vectors:
        """Scores of up to `count` photos, spread over the index, with the nearest other one."""
        self._refresh()
        mapped = list(self._mapped.values())
        if self._rows < 2:
            return np.zeros(0, np.float32)
        starts = np.cumsum([0, *map(len, mapped)])
        rows = np.unique(np.linspace(0, self._rows - 1, count).astype(np.int64))
        segment = np.searchsorted(starts, rows, side="right") - 1
        chosen = np.stack(
            [mapped[s][row - starts[s]] for s, row in zip(segment, rows, strict=True)]
        )
        nearest = search.top(mapped, chosen, 2)
        return np.array([products[1] for _, products in nearest])

    def info(self) -> dict[str, Any]:
        """What `vretr index --info` shows: the last build's counts, and the encoder and size."""
        with in_words(self.folder):
            last = json.loads(meta(self._connection, "last_build") or "{}")
            failures = self._connection.execute(
                "SELECT path, reason FROM failure ORDER BY path"
            ).fetchall()
            files = [*(self.folder / segments.FOLDER).iterdir(), self.folder / DATABASE]
            size = sum(file.stat().st_size for file in files)
        return {
            "photos": len(self),
            **{name: last.get(name, 0) for name in ("new", "moved", "unchanged", "removed")},
            "skipped": [
                {**json_fields(self._root.absolute(path)), "reason": reason}
                for path, reason in failures
            ],
            "seconds": last.get("seconds", 0.0),
            "encoder": self.encoder,
            "identity": self.identity,
            "dim": self.dim,
            "bytes": size,
            "root": os.fspath(self.root),
        }

    def verify(self) -> list[str]:
        """Reads everything and compares checksums: what is damaged, a sentence each."""
        self._refresh()
        with in_words(self.folder):
            check = self._connection.execute("PRAGMA integrity_check").fetchall()
        damaged = [f"{DATABASE}: {line}" for (line,) in check if line != "ok"]
        for segment in self._mapped:
            try:
                for _ in segments.blocks(self.folder / segments.FOLDER, segment, self.dim):
                    pass
            except (VretrError, FileNotFoundError) as error:
                damaged.append(str(error))
        return damaged

    def close(self) -> None:
        """Lets go of the database and the mapped vectors."""
        self._connection.close()
        self._mapped = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _rounded(score: float) -> float:
    return round(float(score), _DECIMALS) + 0.0  # not -0.0


class _Moved(Exception):
    """The writer has given the vectors new positions since they were mapped."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    k: int
    keep: Callable[[Path], bool] | None
    min_score: float | None
    without: frozenset[bytes]

    def takes(self, score: float, digest: bytes) -> bool:
        return (self.min_score is None or score >= self.min_score) and digest not in self.without
