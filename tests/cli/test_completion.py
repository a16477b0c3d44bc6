"""Completion, asked as a shell asks: by typer's protocol, in a real process."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def completed(vretr, toy):
    """What bash is offered for a line that was typed as far as this."""

    def ask(line: str) -> list[str]:
        words = line.split(" ")
        asked = {
            "_VRETR_COMPLETE": "complete_bash",
            "COMP_WORDS": "\n".join(words),
            "COMP_CWORD": str(len(words) - 1),
        }
        ended = vretr(env=toy | asked)
        assert (ended.code, ended.err) == (0, "")
        return ended.out.split()

    return ask


def test_commands(completed) -> None:
    offered = completed("vretr ")
    assert offered[:5] == ["index", "query", "encoders", "train", "eval"]
    assert "find-toys" in offered
    assert completed("vretr tr") == ["train"]
    assert completed("vretr find") == ["find-toys"]
    assert completed("vretr nothing-like-it") == []


def test_methods(completed) -> None:
    assert "toy" in completed("vretr train ")
    assert completed("vretr eval to") == ["toy"]


def test_options(completed) -> None:
    assert completed("vretr train toy --no") == ["--noise", "--no-amp"]
    offered = completed("vretr train toy --")
    assert {"--backbone", "--steps", "--config", "--json", "--offline", "--help"} <= {*offered}
    assert "--verbose" in completed("vretr --ver")


def test_choices_and_open_lists(completed) -> None:
    assert completed("vretr train toy --noise ") == ["gauss", "uniform"]
    assert completed("vretr train toy --backbone ViT") == ["ViT-B", "ViT-L"]
    assert completed("vretr train toy --backbone=ViT-L") == ["ViT-L"]
    assert completed("vretr train toy --colour r") == ["red", "rose"]


def test_paths_are_left_to_the_shell(completed) -> None:
    """With nothing offered bash falls back to file names (`complete -o default`)."""
    assert completed("vretr train toy --out ") == []
    assert completed("vretr find-toys ") == []


def test_an_earlier_mistake_does_not_break_it(completed) -> None:
    assert completed("vretr train toy --steps many --noise ") == ["gauss", "uniform"]
    assert "train" in completed("vretr no-such-command ")
    assert "toy" in completed("vretr train no-such-method ")


def test_encoder_names(completed) -> None:
    assert "lite" in completed("vretr index --encoder l")
    assert "ViT-L" in completed("vretr index --encoder ViT")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_made(vretr, shell: str) -> None:
    ended = vretr(env={"_VRETR_COMPLETE": f"source_{shell}"})
    assert ended.code == 0
    assert "_VRETR_COMPLETE=complete_" in ended.out and "vretr" in ended.out


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_completes_with_the_script(vretr, toy, tmp_path: Path) -> None:
    """The whole way: a `vretr` on PATH, the script sourced, and COMPREPLY after a Tab."""
    command = tmp_path / "bin" / "vretr"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cli "$@"\n')
    command.chmod(0o755)
    script = vretr(env={"_VRETR_COMPLETE": "source_bash"}).out
    tab = (
        "COMP_WORDS=(vretr train toy --noise ''); COMP_CWORD=4\n"
        '_vretr_completion vretr; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    ended = subprocess.run(
        ["bash", "--norc", "-c", f"{script}\n{tab}"],
        env=os.environ | toy | {"PATH": f"{command.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ended.stdout.split() == ["gauss", "uniform"]
