"""What is said where: to a terminal, to a pipe, to nobody. Real processes, real terminals."""

import json
import os
import re
from pathlib import Path

import pytest

from cli import console

# File names that try things: bytes that are no UTF-8, a title, a forged line, markup, an option.
ODD = [b"caf\xe9.jpg", b"\x1b]0;title\x07.jpg", b"a\nb.jpg", b"[red]x[/red].jpg", b"-rf.jpg"]


def python(code: str) -> tuple[str, str]:
    return (
        "-c",
        f"import os, sys, time\nfrom pathlib import Path\nfrom cli import console\n{code}",
    )


def test_paths_in_a_pipe_are_their_bytes(vretr) -> None:
    for nul, end in ((False, b"\n"), (True, b"\0")):
        code = f"for name in {ODD!r}: console.print_path(os.fsdecode(name), nul={nul})"
        out = os.fsencode(vretr(python=python(code)).out)
        assert out == end.join([*ODD[:-1], b"./-rf.jpg", b""])


def test_paths_on_a_terminal_are_escaped_links(on_terminal, tmp_path: Path) -> None:
    code = f"for name in {ODD!r}: console.print_path(os.fsdecode(name))"
    shown = on_terminal(python=python(code))
    links = re.findall(r"\x1b\]8;;(file://[^\x1b]*)\x1b\\(.*?)\x1b\]8;;\x1b\\\r\n", shown)
    assert [name for _, name in links] == [
        r"caf\xe9.jpg",
        r"\x1b]0;title\x07.jpg",
        r"a\nb.jpg",
        "[red]x[/red].jpg",
        "./-rf.jpg",
    ]
    assert all(url.isascii() and url.isprintable() for url, _ in links)
    assert links[0][0].endswith(f"{tmp_path}/caf%E9.jpg")
    assert links[4][0].endswith(f"{tmp_path}/-rf.jpg")


def test_a_dumb_terminal_gets_text_only(on_terminal) -> None:
    code = "console.print_path('a.jpg')\nconsole.table(('path', 'score'), [(Path('a.jpg'), 0.5)])"
    assert "\x1b" not in on_terminal(python=python(code), env={"TERM": "dumb"})


def test_no_color_is_respected(on_terminal) -> None:
    code = "console.table(('path', 'score'), [('a', 0.5)])"
    shown = on_terminal(python=python(code), env={"NO_COLOR": "1"})
    assert not re.search(r"\x1b\[[0-9;]*(3|4|9|10)[0-7]m|38;5;", shown)


def test_paths_are_shown_as_one_would_type_them(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert console.shown(tmp_path / "a" / "b.jpg") == "a/b.jpg"
    assert console.shown(tmp_path / "-b.jpg") == "./-b.jpg"
    assert console.shown(tmp_path.parent / "c.jpg") == str(tmp_path.parent / "c.jpg")
    assert console.shown(f"{tmp_path}-beside/c.jpg") == f"{tmp_path}-beside/c.jpg"
    assert console.shown(tmp_path) == str(tmp_path)
    assert console.shown("already/relative.jpg") == "already/relative.jpg"
    monkeypatch.chdir("/")
    assert console.shown("/a.jpg") == "a.jpg"


def test_a_deleted_current_folder_is_no_failure(tmp_path: Path, monkeypatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert console.shown(tmp_path / "a.jpg") == str(tmp_path / "a.jpg")
    monkeypatch.chdir(tmp_path)


def test_json_is_a_line_of_utf8(vretr) -> None:
    code = (
        "import numpy as np\n"
        "console.print_json({'a': 'é\\n\\u2028', 'p': Path('x'), 'n': np.float32(0.5),"
        " 's': os.fsdecode(b'\\xe9')})"
    )
    out = os.fsencode(vretr(python=python(code)).out)
    assert out.count(b"\n") == 1 and out.endswith(b"\n")
    assert "é".encode() in out
    assert json.loads(out.decode("utf-8")) == {"a": "é\n\u2028", "p": "x", "n": 0.5, "s": "\udce9"}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_json_refuses_what_it_cannot_say(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        console.print_json({"value": value})


def test_a_table_in_a_pipe_is_tab_separated(vretr) -> None:
    code = (
        "rows = [(Path(os.fsdecode(b'caf\\xe9')), 1 / 3, None), ('a\\tb', 2, 'x')]\n"
        "console.table(('path', 'score', 'more'), rows)"
    )
    out = os.fsencode(vretr(python=python(code)).out)
    assert out == b"caf\xe9\t0.3333333333333333\t\na\\tb\t2\tx\n"


def test_a_table_on_a_terminal_cuts_nothing(on_terminal) -> None:
    name = "/".join(f"folder{number}" for number in range(20)) + "/[bold]photo.jpg"
    code = f"console.table(('path', 'score'), [(Path({name!r}), 0.25), (Path('b'), None)])"
    shown = re.sub(r"\x1b\[[0-9;]*m|\x1b\]8;[^\x1b]*\x1b\\", "", on_terminal(python=python(code)))
    lines = shown.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert "0.2500" in shown and "…" not in shown
    body = "".join(line[: line.find("  ")] if "  " in line else line for line in lines[2:])
    assert name in body.replace("0.2500", "").replace(" ", "")


def test_what_is_said_goes_to_stderr_and_is_escaped(vretr) -> None:
    code = "console.warn('a\\x1b[2Jb'); console.note('one\\ntwo'); console.error('\\udce9')"
    ended = vretr(python=python(code))
    assert ended.out == ""
    assert ended.err == "vretr: a\\x1b[2Jb\none\ntwo\nvretr: \\xe9\n"


def test_quiet_leaves_only_errors(vretr) -> None:
    code = "console.quiet = True; console.warn('w'); console.note('n'); console.error('e')"
    assert vretr(python=python(code)).err == "vretr: e\n"


def test_a_terminal_is_known(vretr, on_terminal) -> None:
    code = "print(console.is_tty(), console.is_tty(sys.stderr), file=sys.stderr)"
    assert vretr(python=python(code)).err == "False False\n"
    assert on_terminal(python=python(code)) == "True True\r\n"
    assert not console.is_tty(None) or os.isatty(1)
