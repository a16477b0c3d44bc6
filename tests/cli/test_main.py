"""Every way in which the command can end, in real processes."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vretr import __version__


def test_help_lists_every_command_in_order(vretr, toy) -> None:
    ended = vretr("--help", env=toy)
    assert ended.code == 0
    listed = [line.split()[0] for line in ended.out.split("Commands:")[1].strip().splitlines()]
    assert listed[:5] == ["index", "query", "encoders", "train", "eval"]
    assert listed[-2:] == ["find-toys", "break-toys"]
    assert "Find the toys." in ended.out


def test_short_help_is_help(vretr) -> None:
    assert vretr("-h").out == vretr("--help").out


@pytest.mark.parametrize("verb", ["train", "eval"])
def test_a_verb_lists_its_methods(vretr, toy, verb: str) -> None:
    ended = vretr(verb, "--help", env=toy)
    assert ended.code == 0
    assert "toy" in ended.out and "A method for play." in ended.out


def test_a_package_that_fails_to_load_costs_one_warning(vretr, tmp_path: Path) -> None:
    folder = tmp_path / "broken-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[vretr.methods]\nbroken = no_such_module:METHOD\n")
    ended = vretr("train", "--help", env={"PYTHONPATH": str(tmp_path)})
    assert ended.code == 0
    assert [line for line in ended.err.splitlines() if "'broken'" in line] == [
        "vretr: The method 'broken' could not be loaded and is left out: "
        "No module named 'no_such_module'"
    ]


def test_version_says_where_each_package_lies(vretr) -> None:
    ended = vretr("--version")
    assert ended.out.startswith(f"vretr {__version__}")
    places = dict(line.split(" ", 1) for line in ended.out.splitlines()[1:])
    assert all(Path(place).is_dir() for place in places.values())
    assert {"vretr", "cli"} <= places.keys()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["qeury"], "There is no command 'qeury'; did you mean query?"),
        (["train", "tory"], "There is no method to train 'tory'; did you mean toy"),
        (["train", "toy", "--step", "3"], "No such option: --step"),
        (["train", "toy", "--noise", "pink"], "--noise"),
        (["train", "toy", "--steps", "many"], "--steps"),
        (["train", "toy", "--steps", "0"], "steps is 0, but must be at least 1"),
        (["eval", "toy"], "--data"),
        (["break-toys"], "how"),
        ([], "Usage: vretr"),
        (["train"], "Usage: vretr train"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_why(vretr, toy, line: list[str], said: str) -> None:
    ended = vretr(*line, env=toy)
    assert ended.code == 2
    assert ended.out == ""
    assert said in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("how", "code", "said"),
    [
        ("plain", 1, "vretr: It cannot be done."),
        ("usage", 2, "vretr: There is no such thing."),
        ("mismatch", 4, "vretr: The index was made with another encoder."),
        ("permission", 1, "vretr: Permission denied: /a/\\x1b]0;title\\x07b"),
        ("full", 1, "vretr: No space left on device: index.sqlite"),
        ("memory", 1, "vretr: there is not enough memory"),
        ("torch", 1, "vretr: there is not enough memory"),
        ("pipe", 1, "vretr: Broken pipe"),  # not stdout's: it must not pass for success
        ("bug", 1, "vretr: this is a bug: KeyError: 'missing' (work.py:"),
        ("interrupt", 130, "vretr: interrupted"),
    ],
)
def test_failures_are_one_line_and_a_code(vretr, toy, how: str, code: int, said: str) -> None:
    ended = vretr("break-toys", how, env=toy)
    assert ended.code == code
    assert ended.out == ""
    assert ended.err.splitlines()[-1].startswith(said)
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("line", [["-v", "break-toys", "bug"], ["break-toys", "bug", "--verbose"]])
def test_verbose_shows_the_traceback_and_what_libraries_say(vretr, toy, line: list[str]) -> None:
    ended = vretr(*line, env=toy)
    assert ended.code == 1
    assert "Traceback" in ended.err and "in fail" in ended.err
    assert "a library's chatter" in ended.err


def test_libraries_speak_in_plain_lines(vretr, toy) -> None:
    err = vretr("break-toys", "plain", env=toy).err.splitlines()
    assert "vretr: a library's warning\\x1b[31m" in err
    assert "vretr: FutureWarning: old habits" in err
    assert not any("chatter" in line for line in err)


@pytest.mark.parametrize("line", [["-q", "break-toys", "plain"], ["break-toys", "plain", "-q"]])
def test_quiet_says_only_the_error(vretr, toy, line: list[str]) -> None:
    assert vretr(*line, env=toy).err.splitlines()[-1:] == ["vretr: It cannot be done."]
    assert "warning" not in vretr(*line, env=toy).err


@pytest.mark.parametrize("line", [["--offline", "train", "toy"], ["train", "toy", "--offline"]])
def test_offline_holds_wherever_it_stands(vretr, toy, line: list[str]) -> None:
    assert "offline=True" in vretr(*line, env=toy).err
    assert "offline=False" in vretr("train", "toy", env=toy).err


def test_words_that_are_not_utf8_come_through(vretr, toy) -> None:
    ended = vretr("find-toys", b"caf\xe9.jpg", env=toy)
    assert ended.out == '{"path": "caf\\udce9.jpg", "size": 8}\n'
    ended = vretr("train", "toy", "--out", b"\xe9", "--backbone", b"\xe9", env=toy)
    assert ended.code == 0 and "PosixPath('\\udce9')" in ended.err
    ended = vretr("train", "toy", "--noise", b"\xe9\x1b[31m", env=toy)
    assert ended.code == 2 and "--noise" in ended.err and "\x1b" not in ended.err
    ended = vretr("train", "toy", "--config", b"\xe9", env=toy)
    assert ended.code == 2 and "does not exist" in ended.err
    assert vretr(b"\xe9\x1b[31m", env=toy).code == 2


def test_train_prints_the_runs_folder(vretr, toy) -> None:
    ended = vretr("train", "toy", env=toy)
    assert ended.code == 0
    assert ended.out == "runs/toy\n"
    assert "recall@10 0.25" in ended.err
    ended = vretr("train", "toy", "--json", env=toy)
    assert ended.out == '{"path": "runs/toy", "metrics": {"recall@10": 0.25, "loss": 1.5}}\n'


def test_eval_prints_lines_in_a_pipe_and_an_object_on_request(vretr, toy) -> None:
    ended = vretr("eval", "toy", "--data", "birds", env=toy)
    assert ended.out == "recall@10\t0.25\nmap@5\t0.3333333333333333\n"
    ended = vretr("eval", "toy", "--data", "birds", "--no-published", "--json", env=toy)
    assert ended.out == (
        '{"dataset": "birds", "split": "val", "metrics": {"recall@10": 0.25, '
        '"map@5": 0.3333333333333333}, "settings": {"encoder": "lite", "folder": "birds"}}\n'
    )


def test_a_further_command_prints_objects_a_line(vretr, toy) -> None:
    ended = vretr("find-toys", "a.jpg", "bb.jpg", env=toy)
    assert ended.out == '{"path": "a.jpg", "size": 5}\n{"path": "bb.jpg", "size": 6}\n'


def test_a_reader_that_leaves_is_no_failure(started, toy) -> None:
    process = started("break-toys", "flood", env=toy)
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(30) == 0
    assert "pipe" not in err.lower() and "Traceback" not in err


def test_a_second_interrupt_ends_at_once(started, toy) -> None:
    process = started("break-toys", "hang", env=toy)
    try:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == b"cleaning\n"
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.wait(30)
        assert time.monotonic() - start < 5
        assert process.returncode == -signal.SIGINT
    finally:
        process.kill()
        process.communicate()


def test_eval_draws_a_table_on_a_terminal(on_terminal, toy) -> None:
    shown = on_terminal("eval", "toy", "--data", "birds", env=toy)
    rows = [re.sub(r"\x1b\[[0-9;]*m", "", line).split() for line in shown.splitlines()]
    assert ["measured", "the", "paper"] in rows
    assert ["recall@10", "0.2500", "0.5000"] in rows
    assert ["map@5", "0.3333"] in rows


@pytest.mark.parametrize(("closed", "code"), [("1>&-", 0), ("2>&-", 0), (">/dev/full", 1)])
def test_a_stream_that_cannot_be_written_is_no_bug(toy, closed: str, code: int) -> None:
    line = f'"{sys.executable}" -m cli find-toys a.jpg {closed}'
    ended = subprocess.run(
        ["sh", "-c", line], env=os.environ | toy, capture_output=True, check=False
    )
    assert ended.returncode == code
    said = "vretr: No space left on device" if code else ""
    assert ended.stderr.decode().strip() == said
