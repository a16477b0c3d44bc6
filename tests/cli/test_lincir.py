"""LinCIR as typed: train on sentences, query with pictures and words, evaluate, export."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import environment
from tests.vretr.encoders.tiny import tiny_clip

CAPTIONS = [f"a {colour} {thing}" for colour in ("red", "blue") for thing in ("dog", "car", "cat")]
OFFLINE = {"VRETR_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLIP, an index of eight pictures made with it, captions, and a trained φ in `run`."""
    home = tmp_path_factory.mktemp("home")
    (home / "photos").mkdir()
    draws = np.random.default_rng(0)
    for number in range(8):
        pixels = draws.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(home / "photos" / f"{number}.png")
    Image.fromarray(pixels[::-1]).save(home / "other.png")
    (home / "broken.png").write_bytes((home / "other.png").read_bytes()[:200])
    (home / "captions.txt").write_text("\n".join(CAPTIONS * 4))
    tiny_clip(home / "clip")
    lines = [
        {"reference": f"photos/{i}.png", "text": "is red", "targets": [f"photos/{i + 1}.png"]}
        for i in range(7)
    ]
    (home / "triplets.jsonl").write_text("\n".join(map(json.dumps, lines)))
    run(home, "index", "photos", "--encoder", "local-dir:clip")
    run(home, "train", "lincir", *TRAINING, "--out", "run")
    return home


TRAINING = (
    *("--backbone", "local-dir:clip", "--corpus", "captions.txt", "--holdout", "4"),
    *("--steps", "5", "--batch-size", "8", "--device", "cpu", "--hidden", "16"),
)


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


ASKED = ("query", "--image", "photos/0.png", "--text", "is red", "--in", "photos")


def scores(out: str) -> list[tuple[str, float]]:
    return [(hit["path"], round(hit["score"], 4)) for hit in map(json.loads, out.splitlines())]


def test_the_training_left_a_composer(home: Path) -> None:
    about = json.loads((home / "run" / "run.json").read_text())
    assert (about["method"], about["kind"]) == ("lincir", "composer")
    assert about["encoder"]["name"].endswith("clip")
    config = (home / "run" / "config.toml").read_text()
    assert 'corpus = ["captions.txt"]' in config and "noise = 1.0" in config


def test_a_query_by_a_run(typed) -> None:
    ended = typed(*ASKED, "--composer", "run", "--json")
    assert ended.code == 0, ended.err
    assert len(scores(ended.out)) == 7
    assert scores(ended.out) != scores(typed(*ASKED, "--composer", "sum", "--json").out)


def test_the_default_is_the_sum_where_no_phi_is_at_hand(typed) -> None:
    default = typed(*ASKED, "--json")
    assert default.code == 0 and "composed by" not in default.err
    assert scores(default.out) == scores(typed(*ASKED, "--composer", "sum", "--json").out)


def test_lincir_without_a_phi_at_hand(typed) -> None:
    ended = typed(*ASKED, "--composer", "lincir")
    assert ended.code == 2 and "lincir has nothing at hand for" in ended.err


def test_a_file_several_pictures_a_prompt_and_a_share(typed, home: Path) -> None:
    ended = typed("lincir-export", "run", "--out", "phi.pt")
    assert ended.code == 0 and json.loads(ended.out)["dim"] == 24
    by_file = typed(*ASKED, "--composer", "lincir:phi.pt", "--json")
    assert by_file.code == 0, by_file.err
    two = typed(*ASKED, "--image", "photos/1.png", "--composer", "run", "--json")
    assert two.code == 0 and len(scores(two.out)) == 6
    other = typed(*ASKED, "--composer", "run", "--prompt", "{} in $", "--json")
    assert other.code == 0
    assert scores(other.out) != scores(typed(*ASKED, "--composer", "run", "--json").out)
    image = typed(*ASKED, "--composer", "run", "--picture-weight", "1", "--json")
    assert scores(image.out) == scores(typed(*ASKED, "--composer", "image", "--json").out)


def test_a_price_stays_a_price(typed) -> None:
    ended = typed(
        "query",
        "--in",
        "photos",
        "--image",
        "photos/0.png",
        "--text",
        "costs $5",
        "--composer",
        "run",
    )
    assert ended.code == 0 and len(ended.out.splitlines()) == 7


def test_a_batch(typed) -> None:
    lines = b'{"image": "photos/0.png", "text": "is red"}\n{"image": "broken.png", "text": "x"}\n'
    ended = typed("query", "--in", "photos", "--batch", "-", "--composer", "run", stdin=lines)
    assert ended.code == 3
    first, second = map(json.loads, ended.out.splitlines())
    assert len(first["hits"]) == 7 and "broken.png cannot be read" in second["error"]


@pytest.mark.parametrize(
    ("more", "code", "sentence"),
    [
        (("--prompt", "no place"), 2, "must hold $ for the picture and {} once"),
        (("--prompt", "$ and $ {}"), 2, "has 2 places for pictures, and there are 1"),
        (("--image", "broken.png"), 1, "broken.png cannot be read as a picture"),
        (("--image", "none.png"), 2, "There is no picture none.png"),
    ],
)
def test_what_cannot_be_asked(typed, more, code: int, sentence: str) -> None:
    ended = typed(*ASKED, "--composer", "run", *more)
    assert ended.code == code and sentence in ended.err


def test_a_prompt_belongs_to_lincir(typed) -> None:
    ended = typed(*ASKED, "--composer", "sum", "--prompt", "$ {}")
    assert ended.code == 2 and "it has no --prompt" in ended.err


def test_phi_of_another_encoder(vretr, home: Path, tiny: dict[str, str]) -> None:
    elsewhere = ("--index", "second", "--composer", "run")
    assert (
        vretr("index", "photos", "--encoder", "tiny", *elsewhere[:2], cwd=home, env=tiny).code == 0
    )
    ended = vretr("query", "--image", "other.png", "--text", "red", *elsewhere, cwd=home, env=tiny)
    assert ended.code == 4 and "and tiny is another encoder" in ended.err
    assert ended.err.count("\n") == 1


def test_evaluation(typed) -> None:
    ended = typed(
        "eval", "lincir", "--dataset", "triplets:triplets.jsonl", "--phi", "run", "--json"
    )
    assert ended.code == 0, ended.err
    report = json.loads(ended.out)
    assert report["settings"]["composer"] == "lincir" and "recall@10" in report["metrics"]


def test_evaluation_by_the_core(typed) -> None:
    ended = typed(
        *("eval", "cir", "--dataset", "triplets:triplets.jsonl", "--composer", "run"),
        *("--encoder", "local-dir:clip", "--json"),
    )
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["settings"]["composer"] == "lincir"


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--corpus", "empty.txt"), "empty.txt holds no sentence"),
        (("--corpus", "none.txt"), "There is no file none.txt"),
        (("--backbone", "lite-fre"), "did you mean lite-free"),
        (("--noise", "-1"), "noise is -1.0"),
    ],
)
def test_what_cannot_be_trained(typed, home: Path, more, sentence: str) -> None:
    (home / "empty.txt").write_text("\n\n")
    given = dict(zip(TRAINING[::2], TRAINING[1::2], strict=True)) | {more[0]: more[1]}
    ended = typed("train", "lincir", *(word for pair in given.items() for word in pair))
    assert ended.code != 0 and sentence in ended.err and "Traceback" not in ended.err
