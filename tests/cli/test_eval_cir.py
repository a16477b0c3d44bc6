"""`vretr eval cir` as typed, on small sets of the four benchmarks."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.vretr.data.cir.tiny import MAKE

Env = dict[str, str]

ALLOWED = ("--encoder", "tiny", "--composer", "text", "--workers", "0", "--allow-missing")

# A figure of each that tells it from the others.
EXPECTED = {
    "circo": ("map@5", 1.0),
    "cirr": ("subset_recall@2", 1.0),
    "fashioniq": ("average", 0.5),
    "genecis": ("recall@1", 0.5),
}


@pytest.fixture
def env(tiny: Env, tmp_path: Path) -> Env:
    return tiny | {"VRETR_HOME": str(tmp_path / "home")}


@pytest.mark.parametrize("name", EXPECTED)
def test_as_one_json_object(name: str, vretr: Callable[..., Any], env: Env, tmp_path: Path) -> None:
    MAKE[name](tmp_path / "set")
    ended = vretr("eval", "cir", "--dataset", name, "--root", "set", *ALLOWED, "--json", env=env)
    assert ended.code == 0, ended.err
    (line,) = ended.out.splitlines()
    report = json.loads(line)
    assert report["dataset"] == name and report["settings"]["encoder"] == "tiny"
    figure, value = EXPECTED[name]
    assert report["metrics"][figure] == value
    assert report["settings"]["queries_lost"] > 0


def test_as_a_table_and_in_a_pipe(
    vretr: Callable[..., Any], on_terminal: Callable[..., str], env: Env, tmp_path: Path
) -> None:
    MAKE["fashioniq"](tmp_path / "set")
    asked = ("eval", "cir", "--dataset", "fashioniq", "--root", "set", "--gallery", "val", *ALLOWED)
    ended = vretr(*asked, env=env)
    assert "recall@10\t1.0" in ended.out.splitlines()
    shown = on_terminal(*asked, env=env)
    assert "measured" in shown and "protocol VAL split" in " ".join(shown.split())


def test_a_submission(vretr: Callable[..., Any], env: Env, tmp_path: Path) -> None:
    MAKE["cirr"](tmp_path / "set")
    asked = ("eval", "cir", "--dataset", "cirr", "--root", "set", *ALLOWED)
    ended = vretr(*asked, "--submission", "mine.json", env=env)
    assert ended.code == 2 and "A submission needs every query of CIRR val" in ended.err
    ended = vretr(*asked, "--split", "test", env=env)
    assert ended.code == 2 and "not public: --submission FILE writes" in ended.err


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--dataset", "circo", "--root", "set"], 4, "It looks like CIRR: --dataset cirr."),
        (
            ["--dataset", "cirr", "--root", "set"],
            4,
            "10 queries in 60 pictures, not 4,181 in 2,297",
        ),
        (["--dataset", "cirr", "--root", "nowhere"], 4, "There is no folder and no zip nowhere"),
        (["--dataset", "cirr"], 2, "cirr needs a root"),
        (["--dataset", "cirr", "--root", "set", "--gallery", "val"], 2, "belongs to fashioniq"),
        (["--dataset", "cir"], 2, "must be circo, cirr, fashioniq, genecis or triplets:FILE"),
        (["--dataset", "cirr", "--root", "set", "--split", "train"], 2, "train"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    arguments: list[str],
    code: int,
    sentence: str,
    vretr: Callable[..., Any],
    env: Env,
    tmp_path: Path,
) -> None:
    MAKE["cirr"](tmp_path / "set")
    ended = vretr("eval", "cir", *arguments, "--encoder", "tiny", env=env)
    assert ended.code == code and sentence in ended.err.replace("\n", " "), ended.err
    assert "Traceback" not in ended.err and ended.out == ""
