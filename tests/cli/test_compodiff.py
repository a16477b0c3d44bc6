"""CompoDiff as typed: train on triplets and captions, query with words, masks and options."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import environment
from tests.vretr.encoders.tiny import tiny_clip

OFFLINE = {"VRETR_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}
TRAINING = (
    *("--backbone", "local-dir:clip", "--triplets", "triplets.jsonl", "--captions", "photos"),
    *("--steps", "4", "--batch-size", "4", "--device", "cpu", "--width", "16", "--depth", "1"),
    *("--heads", "2", "--mask-size", "8", "--holdout", "0.4", "--boxes", "1", "--threads", "1"),
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLIP, an index of twelve pictures, a trained `run`, and one without drops, `plain`."""
    home = tmp_path_factory.mktemp("home")
    (home / "photos").mkdir()
    draws = np.random.default_rng(0)
    for number in range(12):
        pixels = draws.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(home / "photos" / f"{number}.png")
    lines = [{"file_name": f"{n}.png", "captions": [f"thing {n}"]} for n in range(12)]
    (home / "photos" / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    lines = [
        {"reference": f"photos/{a}.png", "text": "is red", "target": f"photos/{b}.png"}
        for a in range(12)
        for b in range(12)
        if a != b
    ]
    (home / "triplets.jsonl").write_text("\n".join(map(json.dumps, lines)))
    half = Image.new("L", (40, 40))
    half.paste(255, (0, 0, 20, 40))
    half.save(home / "mask.png")
    Image.new("L", (40, 40)).save(home / "black.png")
    Image.new("L", (9, 9)).save(home / "small.png")
    tiny_clip(home / "clip")
    run(home, "index", "photos", "--encoder", "local-dir:clip")
    run(home, "train", "compodiff", *TRAINING, "--out", "run")
    drops = ("--drop-text", "0", "--drop-image", "0", "--drop-both", "0")
    run(home, "train", "compodiff", *TRAINING, "--triplets-only", *drops, "--out", "plain")
    return home


def run(home: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "cli", *arguments]
    env = environment(OFFLINE | {"VRETR_HOME": str(home / "vretr")})
    return subprocess.run(
        command, cwd=home, env=env, check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture
def typed(vretr, home: Path):
    """Runs a command beside the folder `photos`."""

    def run(*arguments: str, **settings):
        env = OFFLINE | {"VRETR_HOME": str(home / "vretr")}
        return vretr(*arguments, **{"cwd": home, "env": env} | settings)

    return run


ASKED = ("query", "--image", "photos/0.png", "--text", "is red", "--in", "photos", "--json")
BY_RUN = (*ASKED, "--composer", "run")


def scores(ended) -> list[tuple[str, float]]:
    assert ended.code == 0, ended.err
    return [
        (hit["path"], round(hit["score"], 4)) for hit in map(json.loads, ended.out.splitlines())
    ]


def test_everything_that_a_query_may_hold(typed) -> None:
    plain = scores(typed(*BY_RUN, "-k", "20"))
    assert len(plain) == 11
    found = [
        plain,
        scores(typed(*BY_RUN, "-k", "20", "--not-text", "blue", "--mask-box", "0,0,20,40")),
        scores(typed(*BY_RUN, "-k", "20", "--composer-option", "steps=5")),
    ]
    assert len({tuple(each) for each in found}) == len(found)


def test_a_batch_with_masks(typed) -> None:
    asked = [
        {},
        {"mask-box": [0, 0, 20, 40]},
        {"mask": "mask.png"},
        {"not-text": "blue"},
        {"mask": "black.png"},
        {"mask-box": [1, 2]},
    ]
    lines = [{"image": "photos/0.png", "text": "is red", "k": 20} | more for more in asked]
    stdin = "\n".join(map(json.dumps, lines)).encode()
    ended = typed("query", "--in", "photos", "--batch", "-", "--composer", "run", stdin=stdin)
    assert ended.code == 3
    plain, box, mask, negative, black, short = map(json.loads, ended.out.splitlines())
    assert box["hits"] == mask["hits"]
    assert plain["hits"] != box["hits"] != negative["hits"] != plain["hits"]
    assert "black all over" in black["error"] and "must be [left, top" in short["error"]


@pytest.mark.parametrize(
    ("more", "code", "sentence"),
    [
        (("--mask", "small.png"), 2, "has 9 x 9 pixels and photos/0.png 40 x 40"),
        (("--mask", "black.png"), 2, "black all over"),
        (("--mask", "none.png"), 2, "There is no mask none.png"),
        (("--mask-box", "1,2,3"), 2, "--mask-box is left,top,width,height"),
        (("--mask-box", "a"), 2, "--mask-box is left,top,width,height"),
        (("--mask-box", "50,50,9,9"), 2, "lies outside of photos/0.png"),
        (("--mask", "mask.png", "--mask-box", "0,0,9,9"), 2, "not both"),
        (("--not-text", "IS RED"), 2, "is wanted and not wanted"),
        (("--text-weight", "2"), 2, "takes no weights"),
        (("--composer-option", "step=3"), 2, "did you mean steps"),
        (("--composer-option", "steps=many"), 2, "steps must be a whole number"),
        (("--prompt", "$ {}"), 2, "it has no --prompt"),
    ],
)
def test_what_cannot_be_asked(typed, more, code: int, sentence: str) -> None:
    ended = typed(*BY_RUN, *more)
    assert ended.code == code and sentence in ended.err and ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--not-text", "blue"), "never trained without words"),
        (("--mask", "mask.png"), "trained without masked pictures"),
        (("--composer-option", "guidance-text=3"), "its guidance-text must be 1"),
    ],
)
def test_what_a_run_was_never_trained_for(typed, more, sentence: str) -> None:
    ended = typed(*ASKED, "--composer", "plain", *more)
    assert ended.code == 2 and sentence in ended.err and ended.err.count("\n") == 1


def test_masks_and_options_of_others(typed) -> None:
    ended = typed(*ASKED, "--mask", "mask.png")
    assert ended.code == 2 and "sum has no use for a mask" in ended.err
    ended = typed(*ASKED, "--composer", "sum", "--composer-option", "steps=3")
    assert ended.code == 2 and "The composer sum has no options" in ended.err
    ended = typed(*ASKED, "--composer-option", "steps=3")
    assert ended.code == 2 and "belongs to a --composer" in ended.err


def test_a_run_of_another_encoder(vretr, home: Path, tiny: dict[str, str]) -> None:
    made = vretr("index", "photos", "--encoder", "tiny", "--index", "second", cwd=home, env=tiny)
    assert made.code == 0
    asked = ("--image", "photos/0.png", "--text", "red", "--index", "second", "--composer", "run")
    ended = vretr("query", *asked, cwd=home, env=tiny)
    assert ended.code == 4 and "and tiny is another encoder" in ended.err


def test_evaluation(typed) -> None:
    told = ("--dataset", "triplets:triplets.jsonl", "--run", "run", "--steps", "1", "--json")
    ended = typed("eval", "compodiff", *told, "--reference", "kept")
    assert ended.code == 0, ended.err
    report = json.loads(ended.out)
    assert report["settings"]["composer"] == "compodiff" and report["settings"]["steps"] == 1
    assert "recall@10" in report["metrics"]


def test_a_file_that_names_missing_photos(typed, home: Path) -> None:
    (home / "lost.jsonl").write_text(
        json.dumps({"reference": "lost.png", "text": "x", "target": "photos/1.png"})
    )
    ended = typed("train", "compodiff", "--triplets", "lost.jsonl", "--out", "lost")
    assert ended.code == 4 and "1 pictures missing: lost.png" in ended.err
    assert not (home / "lost").exists()
