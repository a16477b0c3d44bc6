"""What the command says: results on stdout, everything else on stderr.

On a terminal: tables and links. In a pipe: one path, one JSON object or one
tab-separated row a line, file names byte for byte. rich is imported only for a terminal.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote

from vretr.paths import display

quiet = False  # --quiet: only errors
verbose = False  # --verbose: more, and tracebacks

Cell = str | int | float | Path | None


def is_tty(stream: TextIO | None = None) -> bool:
    """Whether a person reads the stream (default: stdout)."""
    stream = sys.stdout if stream is None else stream
    return stream is not None and not stream.closed and stream.isatty()


def error(text: str) -> None:
    """One line about a failure, on stderr."""
    _say(f"vretr: {text}")


def warn(text: str) -> None:
    """One line about something that went wrong but did not stop the work; silent with --quiet."""
    if not quiet:
        _say(f"vretr: {text}")


def note(text: str) -> None:
    """A line on stderr for the person who waits; silent with --quiet."""
    if not quiet:
        _say(text)


def _say(text: str) -> None:
    """Lines on stderr in which no file name can move the cursor or set the title."""
    print("\n".join(display(line) for line in text.split("\n")), file=sys.stderr, flush=True)


def shown(path: str | os.PathLike[str]) -> str:
    """The path as one would type it here: relative where it lies below the current folder."""
    text = os.fspath(path)
    try:
        here = os.path.join(os.getcwd(), "")
    except FileNotFoundError:  # the current folder was deleted
        return text
    if text.startswith(here) and len(text) > len(here):
        text = text[len(here) :]
    return f"./{text}" if text.startswith("-") else text


def print_path(path: str | os.PathLike[str], *, nul: bool = False) -> None:
    """A path on stdout: a link on a terminal, its exact bytes and a newline (or NUL) in a pipe."""
    text = shown(path)
    if is_tty() and not nul:
        name = display(text)
        write(f"\x1b]8;;{_url(text)}\x1b\\{name}\x1b]8;;\x1b\\\n" if _draws() else f"{name}\n")
    else:
        write(os.fsencode(text) + (b"\0" if nul else b"\n"))


def print_json(value: Any) -> None:
    """One JSON object on one line of stdout, UTF-8, never NaN.

    Names that are not UTF-8 come as `vretr.paths.json_fields` gives them; should one slip through,
    it is written as a JSON escape, so that the line stays valid.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)
    write(text.encode("utf-8", "backslashreplace") + b"\n")


def _plain(value: Any) -> Any:
    """Paths, read-only mappings and NumPy's numbers as JSON knows them."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def write(data: str | bytes) -> None:
    """Text or bytes on stdout, at once visible to the next program of a pipe."""
    sys.stdout.flush()
    sys.stdout.buffer.write(
        data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data
    )
    sys.stdout.buffer.flush()


def table(headers: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """Rows on stdout: a table on a terminal, tab-separated lines without headers in a pipe.

    Nothing is cut and nothing is markup: what does not fit is folded. Paths are shown as `shown`
    gives them; floats have four decimals on a terminal and all in a pipe.
    """
    if not is_tty():
        for row in rows:
            write(b"\t".join(map(_field, row)) + b"\n")
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    drawn = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column, header in enumerate(headers):
        number = any(isinstance(row[column], int | float) for row in rows)
        drawn.add_column(header, overflow="fold", justify="right" if number else "left")
    for row in rows:
        drawn.add_row(*map(_text, row))
    Console(file=sys.stdout, highlight=False, markup=False, emoji=False).print(drawn)


def _field(cell: Cell) -> bytes:
    if isinstance(cell, Path):
        return os.fsencode(shown(cell))
    return b"" if cell is None else display(str(cell)).encode("utf-8")


def _text(cell: Cell) -> Any:
    from rich.style import Style
    from rich.text import Text

    if isinstance(cell, Path):
        return Text(display(shown(cell)), style=Style(link=_url(shown(cell)) if _draws() else None))
    if cell is None:
        return Text("")
    return Text(f"{cell:.4f}" if isinstance(cell, float) else display(str(cell)))


def _draws() -> bool:
    """Whether the terminal understands more than text."""
    return os.environ.get("TERM", "dumb") not in ("dumb", "")


def _url(path: str) -> str:
    """The path for a terminal's link; the host name keeps it from being opened elsewhere (ssh)."""
    return f"file://{os.uname().nodename}{quote(os.fsencode(os.path.abspath(path)))}"
