"""Which files of a folder are pictures worth opening."""

import logging
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import translate
from pathlib import Path

from vretr.images.files import Unreadable, open_regular, why
from vretr.images.formats import HEAD, SUFFIXES, looks_like_picture

_log = logging.getLogger(__name__)

# Folders of programs and systems (compared without case): recycle bins, previews, packages.
_SKIPPED = frozenset(
    (
        b"node_modules",
        b"@eadir",
        b"#recycle",
        b"@recycle",
        b"$recycle.bin",
        b"recycler",
        b"system volume information",
        b"lost+found",
        b"__macosx",
    )
)
# https://bford.info/cachedir/ : programs mark folders that need no backup with this first line.
_CACHE_SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55"


def _log_problem(problem: Unreadable) -> None:
    _log.warning("%r left out: %s", os.fspath(problem.path), problem.reason)


def find(
    roots: Iterable[Path],
    *,
    exclude: Sequence[str] = (),
    on_problem: Callable[[Unreadable], None] = _log_problem,
) -> Iterator[Path]:
    """Yields the pictures in `roots`, lazily and in a stable order.

    Order: root by root; in a folder first its files, then its subfolders with all they hold, both
    sorted by the bytes of their names. Only the names of the folders on the way are in memory.

    A root that is a file is taken as it is, hidden or of unknown suffix. In folders these are
    taken: files with the suffix of a format that is read (`formats.SUFFIXES`, any case), and files
    whose name has no dot and whose first bytes are those of a picture. Left out without a word:
    hidden files and folders (so `._x.jpg`, `.git` and `.vretr` too), `node_modules`, `@eaDir`,
    recycle bins and the like, folders that hold `.nomedia` or a `CACHEDIR.TAG` (unless they are a
    root), pipes, sockets and devices.

    Links to files are followed. Links to folders too, after everything else, so that a folder
    reached both ways keeps its real path; each real folder is visited once, and a link to a folder
    above its root is not followed.

    Args:
        roots: files and folders.
        exclude: globs (`*` also matches `/`; case matters). One without a slash is compared with
            the name of every file and folder, one with a slash with the path relative to its root
            (for a root that is a file: with the path as given). An excluded folder is not entered.
        on_problem: told of what could not be listed: missing roots, folders without permission,
            links to nothing. The walk goes on. By default they are logged as warnings.
    """
    return _Walk(_Globs(exclude), on_problem).run(roots)


class _Globs:
    def __init__(self, patterns: Sequence[str]) -> None:
        patterns = [pattern.rstrip("/").removeprefix("./") for pattern in patterns]
        self._names = [re.compile(translate(p)) for p in patterns if "/" not in p]
        self._paths = [re.compile(translate(p)) for p in patterns if "/" in p]

    def match(self, name: str, relative: str) -> bool:
        return any(p.match(name) for p in self._names) or any(
            p.match(relative) for p in self._paths
        )


_Identity = tuple[int, int]  # device and inode: what a folder is, whatever leads to it


class _Walk:
    """One call of `find`. Paths are bytes in here: that is what names are and are sorted by."""

    def __init__(self, exclude: _Globs, on_problem: Callable[[Unreadable], None]) -> None:
        self.exclude = exclude
        self.on_problem = on_problem
        self.visited: set[_Identity] = set()
        self.links: deque[tuple[bytes, bytes, set[_Identity]]] = deque()

    def run(self, roots: Iterable[Path]) -> Iterator[Path]:
        for root in roots:
            given = os.fsencode(root)
            if os.path.isdir(given):
                yield from self.tree(given, given, _ancestors(given))
            elif not os.path.exists(given):
                self.problem(given, "no such file or folder")
            elif not self.exclude.match(os.path.basename(os.fsdecode(given)), os.fsdecode(given)):
                yield Path(root)
        while self.links:
            folder, root_of_link, above = self.links.popleft()
            if _identity(folder) not in above:
                yield from self.tree(folder, root_of_link, above)

    def tree(self, top: bytes, root: bytes, above: set[_Identity]) -> Iterator[Path]:
        """Everything below `top`; paths for `exclude` are relative to `root`."""
        stack = [top]
        while stack:
            folder = stack.pop()
            identity = _identity(folder)
            if identity in self.visited:
                continue
            if identity is not None:
                self.visited.add(identity)
            try:
                files, folders, links = self.listing(folder, root)
            except OSError as error:
                self.problem(folder, why(error))
                continue
            if folder != root and _is_marked(folder):
                _log.debug("%r is marked as a cache or as no media", folder)
                continue
            yield from (Path(os.fsdecode(os.path.join(folder, name))) for name in files)
            stack.extend(os.path.join(folder, name) for name in reversed(folders))
            self.links.extend((os.path.join(folder, name), root, above) for name in links)

    def listing(self, folder: bytes, root: bytes) -> tuple[list[bytes], list[bytes], list[bytes]]:
        """Sorted names of the pictures, the subfolders and the links to folders in `folder`."""
        files: list[bytes] = []
        folders: list[bytes] = []
        links: list[bytes] = []
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(b".") or self.excluded(entry, root):
                    continue
                if _is_folder(entry):
                    if entry.name.lower() not in _SKIPPED:
                        (links if entry.is_symlink() else folders).append(entry.name)
                elif self.is_candidate(entry):
                    files.append(entry.name)
        return sorted(files), sorted(folders), sorted(links)

    def excluded(self, entry: os.DirEntry[bytes], root: bytes) -> bool:
        relative = os.fsdecode(entry.path)[len(os.fsdecode(root)) :].lstrip("/")
        return self.exclude.match(os.fsdecode(entry.name), relative)

    def is_candidate(self, entry: os.DirEntry[bytes]) -> bool:
        suffix = os.path.splitext(entry.name)[1].lower().decode("ascii", "replace")
        if suffix not in SUFFIXES and b"." in entry.name:
            return False
        if _is_file(entry):
            return suffix in SUFFIXES or _begins_like_picture(Path(os.fsdecode(entry.path)))
        if suffix in SUFFIXES and entry.is_symlink() and not os.path.exists(entry.path):
            self.problem(entry.path, "a link to nothing")
        return False

    def problem(self, path: bytes, reason: str) -> None:
        self.on_problem(Unreadable(Path(os.fsdecode(path)), reason))


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in a circle
        return False


def _is_file(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _begins_like_picture(path: Path) -> bool:
    opened = open_regular(path)
    if isinstance(opened, Unreadable):
        return False  # nothing says that it is a picture
    with opened.stream:
        try:
            return looks_like_picture(opened.stream.read(HEAD))
        except OSError:
            return False


def _is_marked(folder: bytes) -> bool:
    if os.path.lexists(os.path.join(folder, b".nomedia")):
        return True
    opened = open_regular(Path(os.fsdecode(os.path.join(folder, b"CACHEDIR.TAG"))))
    if isinstance(opened, Unreadable):
        return False
    with opened.stream:
        return opened.stream.read(len(_CACHE_SIGNATURE)) == _CACHE_SIGNATURE


def _identity(folder: bytes) -> _Identity | None:
    try:
        status = os.stat(folder)
    except OSError:
        return None  # listing it will say why
    return status.st_dev, status.st_ino


def _ancestors(folder: bytes) -> set[_Identity]:
    """The folders above, up to the root of the file system."""
    parents = Path(os.path.realpath(os.fsdecode(folder))).parents
    return {identity for parent in parents if (identity := _identity(os.fsencode(parent)))}
