"""Where things are kept, whether the network may be used, and how file names are shown.

A file name on Unix is bytes. In Python it is a `str` with surrogate escapes (`os.fsdecode`), on
disk and in JSON never: see `display` and `json_fields`.
"""

import os
import stat
import unicodedata
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import IO


def home() -> Path:
    """vretr's own cache: VRETR_HOME, else `vretr` in XDG_CACHE_HOME or `~/.cache`."""
    if value := os.environ.get("VRETR_HOME"):
        return Path(value).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "vretr"


def hub_cache() -> Path:
    """The model hub's cache, shared with other programs: HF_HUB_CACHE, else `hub` in HF_HOME."""
    if value := os.environ.get("HF_HUB_CACHE"):
        return Path(value).expanduser()
    if value := os.environ.get("HF_HOME"):
        return Path(value).expanduser() / "hub"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "huggingface" / "hub"


def offline() -> bool:
    """Whether the network must not be used: VRETR_OFFLINE or HF_HUB_OFFLINE is set and not 0."""
    return any(_on(os.environ.get(name)) for name in ("VRETR_OFFLINE", "HF_HUB_OFFLINE"))


def _on(value: str | None) -> bool:
    return (value or "0").strip().lower() not in ("", "0", "false", "no")


def go_offline() -> None:
    """Forbids the network for this process and its children (`--offline`).

    Called before any hub library is imported: they read the variable once.
    """
    os.environ["VRETR_OFFLINE"] = os.environ["HF_HUB_OFFLINE"] = "1"


def display(path: str | os.PathLike[str]) -> str:
    """A name that is safe on a terminal: control, format and undecodable characters are escaped.

    Escapes what could move the cursor, set the title, reverse the text or forge a line
    (categories C*, Zl, Zp); everything else is shown as it is.
    """
    return "".join(_escaped(character) for character in os.fspath(path))


_ESCAPED = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}


def _escaped(character: str) -> str:
    if unicodedata.category(character) not in _ESCAPED:
        return character
    if "\udc80" <= character <= "\udcff":  # a byte that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def json_fields(path: str | os.PathLike[str]) -> dict[str, str]:
    """`{"path"}`, and `path_b64` with the exact bytes where the name is not UTF-8."""
    text = os.fspath(path)
    try:
        text.encode("utf-8")
        return {"path": text}
    except UnicodeEncodeError:
        raw = os.fsencode(text)
        return {"path": raw.decode("utf-8", "replace"), "path_b64": b64encode(raw).decode("ascii")}


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Opens a temporary file beside `path`; on success it is synced and takes the name's place.

    Whatever happens, `path` holds either what it held before or the whole new content. It keeps its
    access rights; a new file gets those that the umask leaves.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name[:50]}.{token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            if path.exists():
                os.fchmod(file.fileno(), stat.S_IMODE(path.stat().st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Makes renames in `folder` survive a power cut, where the system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some file systems cannot sync a folder; the rename itself is still atomic
    finally:
        os.close(descriptor)
