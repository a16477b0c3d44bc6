"""Brings an index up to date with the folders it is of.

Steps, each of which leaves the index whole: look at every file, give known contents the vectors
that they have, forget what is gone, encode the rest. What was seen is kept in a temporary table
of SQLite and not in memory, however many files there are.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from vretr import images
from vretr.encoders.base import Encoder, PreparesTexts
from vretr.errors import UsageError, VretrError
from vretr.images import File, Unreadable
from vretr.index import store
from vretr.index.database import DEFAULT, exists, in_words, set_meta, transaction
from vretr.index.report import BuildReport, Progress
from vretr.index.store import Changes, Store

_COMMIT_SECONDS = 3.0  # at most so much work is lost in a crash
_COMMIT_ROWS = 8192
_PAGE = 1000
# A file can change again within one tick of its file system's clock (2 s on FAT) without a trace
# in its times. So a time that is so young when the files are looked at is not relied on.
_TICK_NS = 2_000_000_000


def build(
    paths: Sequence[str | Path],
    encoder: Encoder,
    *,
    index: Path | None = None,
    exclude: Sequence[str] = (),
    prune: bool = False,
    rebuild: bool = False,
    dry_run: bool = False,
    retry_failed: bool = False,
    batch_size: int = 32,
    workers: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> BuildReport:
    """Makes or updates the index of some folders and files.

    Only new and changed photos are encoded. Finished work is committed every few seconds: a build
    that ends early, however it ends, goes on where it was when it is called again.

    Args:
        paths: folders and files. Elsewhere, the index stays as it is.
        index: its folder; None: `.vretr` in the one folder that was given.
        exclude, batch_size, workers: as in `images.find` and `images.batches`.
        prune: forget what is gone even if that is more than half.
        rebuild: encode everything anew, and with any encoder; what was there is searched until the
            end. The index then holds `paths` alone.
        dry_run: write nothing.
        retry_failed: try again what could not be read before, although it has not changed.

    Raises:
        UsageError: nothing of `paths` exists, or it does not say where the index goes.
        MismatchError: the index has vectors of another encoder.
        VretrError: no photo was found, more than half have gone, somebody else writes to the index,
            or it cannot be written.
        KeyboardInterrupt: after what was finished has been committed.
    """
    start = time.monotonic()
    given = [Path(path) for path in paths]
    where = _place(given, index)
    roots = _roots(given, rebuild=rebuild)
    if not exists(where):
        _require_photos(roots, exclude)
    opened = store.trying if dry_run else store.writing
    with opened(where, encoder, root=_common(roots), rebuild=rebuild) as target:
        run = _Run(target, roots, dry_run=dry_run, progress=progress or (lambda _: None))
        run.scan(exclude)
        run.compare(retry_failed=retry_failed or rebuild)
        run.reuse()
        run.forget(prune=prune)
        run.encode(encoder, batch_size=batch_size, workers=workers)
        report = run.finish(start, rebuild=rebuild)
    if isinstance(encoder, PreparesTexts) and not dry_run:
        encoder.prepare_texts()
    return report


def _place(paths: Sequence[Path], index: Path | None) -> Path:
    if index is not None:
        return index
    if len(paths) != 1 or paths[0].is_file():
        raise UsageError("Say where the index goes with --index DIR, unless it is of one folder.")
    return paths[0] / DEFAULT


def _roots(paths: Sequence[Path], *, rebuild: bool) -> list[Path]:
    """Real paths, each once, and none inside another."""
    missing = [os.fspath(path) for path in paths if not path.exists()]
    # One of several may be a drive that is not connected; a rebuild would lose its photos.
    if len(missing) == len(paths) or (missing and rebuild):
        raise UsageError(f"There is no {' and no '.join(missing)}.")
    roots = dict.fromkeys(Path(os.path.realpath(path)) for path in paths)
    return [root for root in roots if not any(parent in roots for parent in root.parents)]


def _common(roots: Sequence[Path]) -> Path:
    """The folder that paths are stored relative to in a new index."""
    return Path(os.path.commonpath([r.parent if r.is_file() else r for r in roots]))


def _require_photos(roots: Sequence[Path], exclude: Sequence[str]) -> None:
    """An index of nothing is not begun."""
    problems: list[Unreadable] = []
    if next(images.find(roots, exclude=exclude, on_problem=problems.append), None) is None:
        why = "".join(f"; {os.fspath(p.path)}: {p.reason}" for p in problems[:3])
        raise VretrError(f"There is no photo in {', '.join(map(os.fspath, roots))}{why}.")


@dataclass
class _Run:
    """One build. In the table `seen`, `fate` says what becomes of a file; NULL: it is encoded."""

    store: Store
    roots: list[Path]
    dry_run: bool
    progress: Callable[[Progress], None]
    skipped: list[Unreadable] = field(default_factory=list)
    changes: Changes = field(default_factory=Changes)
    new: int = 0
    removed: int = 0

    def __post_init__(self) -> None:
        self.execute = self.store.connection.execute
        self.encoding = self.store.encoding.id
        self.young = time.time_ns() - _TICK_NS
        self.committed = time.monotonic()
        self.execute(
            "CREATE TEMP TABLE seen (id INTEGER PRIMARY KEY, path BLOB UNIQUE, size INTEGER, "
            "mtime_ns INTEGER, digest BLOB, fate TEXT)"
        )

    def scan(self, exclude: Sequence[str]) -> None:
        """Fills `seen` with the photos below the roots; what could not be looked at is skipped."""
        found = images.find(self.roots, exclude=exclude, on_problem=self.skipped.append)
        done = 0
        while page := list(islice(found, _PAGE)):
            rows = [row for path in page if (row := self._row(path))]
            with self._written():
                self.store.connection.executemany(
                    "INSERT OR IGNORE INTO seen (path, size, mtime_ns) VALUES (?, ?, ?)", rows
                )
            done += len(page)
            self.progress(Progress(done, None, None))

    def _row(self, path: Path) -> tuple[bytes, int, int] | None:
        try:
            status = path.stat()
        except FileNotFoundError:  # gone since it was found
            return None
        except OSError as error:
            self.skipped.append(Unreadable(path, error.strerror or str(error)))
            return None
        return self.store.root.stored(os.fsencode(path)), status.st_size, status.st_mtime_ns

    def compare(self, *, retry_failed: bool) -> None:
        """Recognises what is as it was, by size and time."""
        with self._written():
            self.execute(
                "UPDATE seen SET fate = 'unchanged', digest = photo.digest FROM photo "
                "JOIN vector v ON v.encoding = ? AND v.digest = photo.digest "
                "WHERE photo.path = seen.path AND photo.size = seen.size "
                "AND photo.mtime_ns = seen.mtime_ns",
                (self.encoding,),
            )
            if not retry_failed:
                self.execute(
                    "UPDATE seen SET fate = 'failed' FROM failure f WHERE fate IS NULL "
                    "AND f.path = seen.path AND f.size = seen.size AND f.mtime_ns = seen.mtime_ns"
                )
        self.skipped += (
            Unreadable(self.store.root.absolute(path), reason, size, mtime_ns)
            for path, size, mtime_ns, reason in self.execute(
                "SELECT f.* FROM seen JOIN failure f USING (path) WHERE fate = 'failed'"
            )
        )

    def reuse(self) -> None:
        """Recognises by their hashes contents that have a vector: touched, moved, copied files."""
        candidates = self._pages(
            "fate IS NULL AND EXISTS "
            f"(SELECT 1 FROM vector WHERE encoding = {self.encoding} AND size = seen.size)"
        )
        for number, path in candidates:
            file = images.digest(path)
            if isinstance(file, Unreadable) or not self.store.knows(file.digest):
                continue  # it is encoded, or fails, like any other
            stored = self.store.root.stored(os.fsencode(path))
            before = self.execute("SELECT digest FROM photo WHERE path = ?", (stored,)).fetchone()
            fate = "unchanged" if before == (file.digest,) else "moved"
            with self._written():
                self.execute(
                    "UPDATE seen SET fate = ?, digest = ? WHERE id = ?", (fate, file.digest, number)
                )
            self.changes.photos.append(self._photo(file))
            self._commit_when_due()
        self._commit()

    def forget(self, *, prune: bool) -> None:
        """Drops photos below the roots that are not there any more."""
        with self._written():
            known = self._list_gone()
        self.removed = self._count(
            "gone WHERE digest IS NOT NULL "
            "AND digest NOT IN (SELECT digest FROM seen WHERE fate = 'moved')"
        )
        if 2 * self.removed > known and not prune:
            raise VretrError(
                f"{self.removed} of {known} photos are not there any more. If that is right, and "
                "not a drive that is not connected, say so with --prune; they are kept until then."
            )
        if not self.dry_run:
            with self._written("IMMEDIATE"):
                self.execute("DELETE FROM photo WHERE path IN (SELECT path FROM gone)")
                self.execute(
                    "DELETE FROM failure WHERE path IN (SELECT path FROM gone) "
                    "OR path IN (SELECT path FROM seen WHERE fate = 'unchanged')"
                )

    def _list_gone(self) -> int:
        """Fills the table `gone`; returns how many photos were known below the roots."""
        self.execute("CREATE TEMP TABLE gone (path BLOB PRIMARY KEY, digest BLOB)")
        known = 0
        for root in self.roots:
            for condition, bounds in self._below(root):
                known += self._count(f"photo WHERE {condition}", bounds)
                for source in ("path, digest FROM photo", "path, NULL FROM failure"):
                    self.execute(
                        f"INSERT OR IGNORE INTO gone SELECT {source} WHERE {condition} "
                        "AND path NOT IN (SELECT path FROM seen)",
                        bounds,
                    )
        for problem in self.skipped:  # what could not be looked at may well be there
            for condition, bounds in [
                ("path = ?", [self.store.root.stored(os.fsencode(problem.path))]),
                *self._below(problem.path),
            ]:
                self.execute(f"DELETE FROM gone WHERE {condition}", bounds)
        return known

    def _below(self, folder: Path) -> Iterator[tuple[str, list[bytes]]]:
        """Conditions that together select the stored paths below a folder."""
        for first, end in self.store.root.below(os.fsencode(folder)):
            if end is None:
                yield "path >= ?", [first]
            else:
                yield "path >= ? AND path < ?", [first, end]

    def encode(self, encoder: Encoder, *, batch_size: int, workers: int | None) -> None:
        """Encodes the rest."""
        total = self._count("seen WHERE fate IS NULL")
        if self.dry_run or not total:
            self.new = total
            return
        start, done = time.monotonic(), 0
        paths = (path for _, path in self._pages("fate IS NULL"))
        stream = images.batches(
            paths, encoder.preprocessing, batch_size=batch_size, workers=workers
        )
        with closing(stream):
            try:
                for batch in stream:
                    self._take(batch, encoder)
                    self._commit_when_due()
                    done += len(batch.files) + len(batch.unreadable)
                    self.progress(Progress(done, total, done / (time.monotonic() - start)))
            finally:  # whatever ends it, Ctrl-C too
                self._commit()

    def _take(self, batch: images.Batch, encoder: Encoder) -> None:
        """Encodes a batch and puts the result into the changes, all of it or nothing."""
        photos, failures, contents, vectors = [], [*batch.unreadable], [], []
        if batch.files:
            encoded = np.asarray(encoder.encode_images(batch.pixels), dtype=np.float32)
            expected = (len(batch.files), self.store.encoding.dim)
            if encoded.shape != expected:
                raise VretrError(
                    f"The encoder {encoder.name} gave vectors {list(encoded.shape)} where "
                    f"{list(expected)} were expected."
                )
            for file, vector in zip(batch.files, encoded, strict=True):
                if np.isfinite(vector).all():
                    photos.append(self._photo(file))
                    contents.append((file.digest, file.size))
                    vectors.append(vector)
                else:
                    reason = f"the encoder {encoder.name} gave a vector that is not finite"
                    failures.append(Unreadable(file.path, reason, file.size, file.mtime_ns))
        self.changes.photos += photos
        self.changes.failures += map(self._failure, failures)
        self.changes.contents += contents
        self.changes.vectors += vectors
        self.new += len(photos)
        self.skipped += failures

    def finish(self, start: float, *, rebuild: bool) -> BuildReport:
        """Leaves the index tidy, and says what was done."""
        if not self.dry_run:
            if rebuild:
                self.store.switch()
            self.store.tidy()
        fates = dict(self.execute("SELECT fate, count(*) FROM seen GROUP BY fate"))
        report = BuildReport(
            photos=self._count_photos(),
            new=self.new,
            moved=fates.get("moved", 0),
            unchanged=fates.get("unchanged", 0),
            removed=self.removed,
            skipped=self.skipped,
            seconds=time.monotonic() - start,
        )
        if not self.dry_run:
            with self._written("IMMEDIATE"):
                summary = {k: v for k, v in report.to_dict().items() if k != "skipped"}
                set_meta(self.store.connection, "last_build", json.dumps(summary))
        return report

    def _count_photos(self) -> int:
        if not self.dry_run:
            return self._count("photo")
        others = self._count("photo WHERE path NOT IN (SELECT path FROM seen)")
        gone = self._count("gone WHERE digest IS NOT NULL")
        return others - gone + self._count("seen WHERE fate IS NOT 'failed'")

    def _photo(self, file: File) -> tuple[bytes, int, int | None, bytes]:
        path = self.store.root.stored(os.fsencode(file.path))
        return path, file.size, self._reliable(file.mtime_ns), file.digest

    def _failure(self, failure: Unreadable) -> tuple[bytes, int, int | None, str]:
        path = self.store.root.stored(os.fsencode(failure.path))
        # A reason may quote a name that is not UTF-8.
        reason = failure.reason.encode("utf-8", "backslashreplace").decode()
        return path, failure.size, self._reliable(failure.mtime_ns), reason

    def _reliable(self, mtime_ns: int) -> int | None:
        return mtime_ns if mtime_ns < self.young else None

    def _pages(self, condition: str) -> Iterator[tuple[int, Path]]:
        """Number and path of the files in `seen`, in the order in which they were found.

        Read page by page, so that no statement is open while the table is written to.
        """
        last = 0
        while True:
            page = self.execute(
                f"SELECT id, path FROM seen WHERE id > ? AND {condition} ORDER BY id LIMIT ?",
                (last, _PAGE),
            ).fetchall()
            if not page:
                return
            for number, path in page:
                yield number, self.store.root.absolute(path)
            last = page[-1][0]

    def _count(self, condition: str, values: Sequence[bytes] = ()) -> int:
        count: int = self.execute(f"SELECT count(*) FROM {condition}", values).fetchone()[0]
        return count

    @contextmanager
    def _written(self, kind: str = "DEFERRED") -> Iterator[None]:
        """A transaction; DEFERRED for one that writes to temporary tables alone."""
        with in_words(self.store.folder), transaction(self.store.connection, kind):
            yield

    def _commit_when_due(self) -> None:
        late = time.monotonic() - self.committed > _COMMIT_SECONDS
        if late or len(self.changes.photos) >= _COMMIT_ROWS:
            self._commit()

    def _commit(self) -> None:
        if self.changes and not self.dry_run:
            self.store.commit(self.changes)
        self.committed = time.monotonic()
