"""`vretr eval metric` as typed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.metric.sets import MAKE, photo

Env = dict[str, str]


@pytest.fixture
def env(tiny: Env, tmp_path: Path) -> Env:
    return tiny | {"VRETR_HOME": str(tmp_path / "home")}


def test_as_a_table_in_a_pipe_and_as_json(
    vretr: Callable[..., Any], on_terminal: Callable[..., str], env: Env, tmp_path: Path
) -> None:
    MAKE["inshop"](tmp_path / "set")
    asked = ("eval", "metric", "--data", "inshop", "--root", "set", "--encoder", "tiny")
    asked += ("--workers", "0", "--k", "1", "--k", "2")
    ended = vretr(*asked, "--json", env=env)
    assert ended.code == 0, ended.err
    report = json.loads(ended.out)
    assert report["metrics"] == {"recall@1": 1, "recall@2": 1, "r_precision": 1, "map@r": 1}
    assert "not 25,882 / 3,997" in ended.err.replace("\n", " ")
    assert "recall@2\t1.0" in vretr(*asked, env=env).out.splitlines()
    shown = on_terminal(*asked, env=env)
    assert "measured" in shown and "AAAI" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--data", "sop"], 2, "sop needs --root"),
        (["--data", "nowhere"], 4, "There is no folder and no zip nowhere"),
        (["--data", "photos", "--label-field", "shape"], 4, "with a 'shape'"),
        (["--data", "photos"], 4, "each side needs 2 classes"),
        (["--data", "photos", "--split", "all"], 4, "1 pictures cannot be read"),
        (["--data", "photos", "--k", "0"], 2, "k is 0"),
        (["--data", "cub", "--root", "photos"], 4, "holds no images.txt"),
        (["--data", "photos", "--encoder", "tinny"], 2, "tinny"),
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
    for place, name in enumerate("aabbc"):
        photo(tmp_path / "photos" / name / f"{place}.png", place)
    (tmp_path / "photos" / "c" / "x.png").write_bytes(b"no picture")
    if "all" in arguments or "tinny" in arguments:
        photo(tmp_path / "photos" / "d" / "0.png", 0)
        photo(tmp_path / "photos" / "d" / "1.png", 0)
    ended = vretr("eval", "metric", "--encoder", "tiny", "--workers", "0", *arguments, env=env)
    assert ended.code == code and sentence in " ".join(ended.err.split()), ended.err
    assert "Traceback" not in ended.err and ended.out == ""
