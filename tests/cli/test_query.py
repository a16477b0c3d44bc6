"""`vretr query` in real processes, on an index that the encoder `tiny` made."""

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from cli.query import COMPOSERS, meter
from tests.cli.conftest import environment
from vretr.composers import BASELINES

RAW = b"caf\xe9.jpg"  # no UTF-8
FORGED = "a\nb \x1b]0;title\x07.jpg"
MARKUP = "[red]b[/red][/x].jpg"
COLOURS = {
    "red.jpg": "red",
    "maroon.jpg": "maroon",
    "green.jpg": "green",
    "sea/blue.png": "blue",
    "sea/navy.png": "navy",
    "-rf.jpg": "yellow",
    FORGED: "purple",
    MARKUP: "teal",
    os.fsdecode(RAW): "orange",
}


def paint(path: Path, colour: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.new("RGB", (64, 48), colour)
    with path.open("wb") as file:
        picture.save(file, "JPEG" if path.suffix == ".jpg" else "PNG", quality=95)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, tiny: dict[str, str]) -> Path:
    """A folder with the folder `photos`, indexed; tests leave it as it is."""
    home = tmp_path_factory.mktemp("home")
    for name, colour in COLOURS.items():
        paint(home / "photos" / name, colour)
    shutil.copy(home / "photos" / "red.jpg", home / "photos" / "copy of red.jpg")
    paint(home / "elsewhere.jpg", "firebrick")
    (home / "broken.jpg").write_bytes((home / "elsewhere.jpg").read_bytes()[:300])
    command = [sys.executable, "-m", "cli", "index", "photos", "--encoder", "tiny"]
    subprocess.run(command, cwd=home, env=environment(tiny), check=True, capture_output=True)
    return home


@pytest.fixture
def ask(vretr, home: Path, tiny: dict[str, str]):
    """Runs `vretr query ...` beside the folder `photos`."""

    def run(*arguments, env=None, **settings):
        return vretr("query", *arguments, **{"cwd": home, "env": tiny | (env or {})} | settings)

    return run


def lines(ended) -> list:
    assert ended.code in (0, 3), ended.err
    return [json.loads(line, parse_constant=pytest.fail) for line in ended.out.splitlines()]


def test_words_find_their_colour_one_path_a_line(ask) -> None:
    ended = ask("--text", "blue", "-k", "2")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == "photos/sea/blue.png\nphotos/sea/navy.png\n"


def test_paths_are_relative_to_where_one_stands(ask, home: Path) -> None:
    assert ask("--text", "blue", "-k1", cwd=home / "photos").out == "sea/blue.png\n"
    inside = ask("--text", "blue", "-k1", cwd=home / "photos" / "sea").out
    assert inside == "blue.png\n"
    assert ask("--text", "yellow", "-k1", cwd=home / "photos").out == "./-rf.jpg\n"


def test_json_has_the_documented_fields(ask) -> None:
    hits = lines(ask("--text", "red", "--json", "-k", "3"))
    assert [sorted(hit) for hit in hits] == [["fit", "path", "rank", "score"]] * 3
    assert [hit["rank"] for hit in hits] == [1, 2, 3]
    assert {hit["path"] for hit in hits[:2]} == {"photos/copy of red.jpg", "photos/red.jpg"}
    scores = [hit["score"] for hit in hits]
    assert scores == sorted(scores, reverse=True) and 0.99 < scores[0] <= 1


def test_names_keep_their_bytes(ask) -> None:
    (hit,) = lines(ask("--text", "orange", "--json", "-k1"))
    assert base64.b64decode(hit["path_b64"]) == b"photos/" + RAW
    assert os.fsencode(ask("--text", "orange", "-k1").out) == b"photos/" + RAW + b"\n"
    assert ask("--text", "purple", "-k1", "-0").out == f"photos/{FORGED}\0"
    assert ask("--text", "teal", "-k1").out == f"photos/{MARKUP}\n"


def test_a_terminal_gets_a_table_that_no_name_can_break(on_terminal, home, tiny) -> None:
    for colour, name in (("purple", r"a\nb \x1b]0;title\x07.jpg"), ("teal", MARKUP)):
        line = ("query", "--text", colour, "--in", str(home / "photos"))
        drawn = on_terminal(*line, env=tiny | {"COLUMNS": "300"})
        assert name in drawn and "score" in drawn
        assert "\x1b]0;" not in drawn and "\x07" not in drawn


def test_the_photo_itself_and_its_copies_are_no_hits(ask) -> None:
    found = ask("--image", "photos/red.jpg").out.splitlines()
    assert "photos/red.jpg" not in found and "photos/copy of red.jpg" not in found
    assert found[0] == "photos/maroon.jpg"
    found = ask("--image", "photos/red.jpg", "--include-self").out.splitlines()
    assert set(found[:2]) == {"photos/red.jpg", "photos/copy of red.jpg"}


def test_a_photo_that_was_indexed_is_not_encoded_again(ask, tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert ask("--image", "photos/green.jpg", env={"TINY_LOG": str(log)}).code == 0
    assert not log.exists()
    found = ask("--image", "elsewhere.jpg", "-k1", env={"TINY_LOG": str(log)})
    assert log.read_text() == "1\n" and found.out == "photos/maroon.jpg\n"


def test_both_and_neither(ask) -> None:
    both = ask("--image", "photos/red.jpg", "--text", "blue", "-k3").out
    towards_words = ask(
        "--image", "photos/red.jpg", "--text", "blue", "-k1", "--picture-weight", "0.05"
    ).out
    assert towards_words == "photos/sea/blue.png\n" != both.splitlines(keepends=True)[0]
    heavy = ["--image-weight", "1", "--text-weight", "30"]
    asked = ask("--image", "photos/red.jpg", "--text", "blue", *heavy, "-k1")
    assert asked.out == "photos/sea/blue.png\n"
    only = ask("--image", "photos/red.jpg", "--text", "blue", "-k1", "--composer", "text").out
    assert only == "photos/sea/blue.png\n"
    away = ask("--text", "blue", "--not-text", "navy", "--json")
    plain = ask("--text", "blue", "--json")
    score = {hit["path"]: hit["score"] for hit in lines(plain)}
    less = {hit["path"]: hit["score"] for hit in lines(away)}
    drop = {path: score[path] - less[path] for path in score.keys() & less.keys()}
    assert drop["photos/sea/navy.png"] > drop["photos/sea/blue.png"]
    assert ask("--not-text", "white").code == 0
    assert ask("--not-image", "photos/red.jpg").code == 0


def test_filter_and_least_score(ask) -> None:
    assert set(ask("--text", "red", "--filter", "sea/*").out.split()) == {
        "photos/sea/blue.png",
        "photos/sea/navy.png",
    }
    assert ask("--text", "red", "--filter", "gre*.jpg").out == "photos/green.jpg\n"
    none = ask("--text", "red", "--filter", "*.JPG")
    assert (none.code, none.out) == (0, "") and "Nothing found among 10 photos" in none.err
    far = lines(ask("--text", "red", "--min-score", "0.9", "--json"))
    assert far and all(hit["score"] >= 0.9 for hit in far)
    assert len(far) < 10


def test_only_what_fits(ask) -> None:
    near = lines(ask("--image", "elsewhere.jpg", "--min-score", "auto", "--json"))
    assert near and all(0.5 <= hit["fit"] <= 1 for hit in near)
    assert near[0]["path"] == "photos/maroon.jpg"
    batch = b'{"image": "elsewhere.jpg", "min-score": "auto", "k": 1}\n{"text": "red"}'
    one, other = lines(ask("--batch", "-", stdin=batch))
    assert one["hits"] == near[:1]
    assert [hit["fit"] for hit in other["hits"]] == [None] * 10  # tiny cannot read the phrases


def test_a_terminal_shows_fits_as_marks(on_terminal, home: Path, tiny: dict[str, str]) -> None:
    line = ("query", "--image", str(home / "elsewhere.jpg"), "--in", str(home / "photos"))
    drawn = on_terminal(*line, env=tiny)
    assert "fit" in drawn and "●●●" in drawn and "○" in drawn


@pytest.mark.parametrize(
    ("fit", "marks"), [(0, "○○○○○"), (0.49, "●●○○○"), (0.5, "●●●○○"), (0.7, "●●●●○"), (1, "●●●●●")]
)
def test_three_marks_from_one_half_on(fit: float, marks: str) -> None:
    assert meter(fit) == marks


def test_lite_says_once_what_it_does_not_read(vretr, photos: Path, tmp_path: Path) -> None:
    env = {"VRETR_HOME": str(tmp_path / "cache")}
    made = vretr("index", photos, env=env)
    assert made.code == 0
    assert made.err.count("non-commercial") == 1 and "lite-free" in made.err
    asked = "\n".join(["눈 속의 개", "개", "word " * 2000, "the of and", "😀", "красная машина"])
    ended = vretr("query", "--batch", "-", "--in", photos, env=env, stdin=asked.encode())
    answers = lines(ended)
    assert len(answers) == 6 and all(
        len(answer["hits"]) == 10 and None not in [hit["fit"] for hit in answer["hits"]]
        for answer in answers
    )
    assert len(ended.err.splitlines()) == 2
    assert ended.err.count("knows little") == 1 == ended.err.count("of 2,000 words")
    for size, colour in (((1, 1), "red"), ((90, 60), "black")):
        Image.new("RGB", size, colour).save(tmp_path / "odd.png")
        (hit, *_) = lines(vretr("query", "--image", "odd.png", "--in", photos, "--json", env=env))
        assert -1 <= hit["score"] <= 1


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ([], 2, "Nothing is asked"),
        (["--text", "red", "--min-score", "much"], 2, "a number or auto"),
        (["--text", "red", "--min-score", "nan"], 2, "a number or auto"),
        (["--text", "red", "--min-score", "auto"], 2, "cannot tell what fits"),
        (["--text", " "], 2, "no words"),
        (["--text", "red", "-k", "0"], 2, "-k"),
        (["--image", "missing.jpg"], 2, "There is no picture missing.jpg"),
        (["--image", "photos"], 2, "There is no picture photos"),
        (["--image", "broken.jpg"], 1, "broken.jpg cannot be read as a picture"),
        (["--text", "red", "--text-weight", "1", "--text-weight", "2"], 2, "one weight for each"),
        (["--text", "red", "--text-weight", "-1"], 2, "positive"),
        (["--text", "red", "--text-weight", "nan"], 2, "positive"),
        (["--text", "red", "--composer", "texd"], 2, "did you mean text"),
        (["--text", "red", "--composer", "text", "--picture-weight", "1"], 2, "not to text"),
        (["--text", "red", "--json", "-0"], 2, "not both"),
        (["--text", "red", "--open"], 2, "--html"),
        (["--text", "red", "--html", "no/such/folder/page.html"], 2, "no folder"),
        (["--text", "red", "--batch", "-"], 2, "--batch"),
        (["--batch", "missing.txt"], 2, "missing.txt"),
        (["--text", "red", "--index", "nowhere"], 4, "nowhere"),
        (["--text", "red", "--not-text", "red", "--not-text-weight", "2"], 2, "cancel"),
    ],
)
def test_what_cannot_be_meant(ask, line: list[str], code: int, said: str) -> None:
    ended = ask(*line)
    assert (ended.code, ended.out) == (code, "")
    assert said in " ".join(ended.err.split())
    assert "Traceback" not in ended.err


def test_another_encoder_of_that_name_is_refused(ask) -> None:
    ended = ask("--text", "red", env={"TINY_IDENTITY": "tiny 2"})
    assert ended.code == 4 and ended.out == ""
    assert "tiny 1" in ended.err and "tiny 2" in ended.err and "--rebuild" in ended.err


def test_an_encoder_that_is_not_installed_is_said(vretr, home: Path) -> None:
    ended = vretr("query", "--text", "red", cwd=home)
    assert ended.code == 4 and "tiny" in ended.err


def test_head_ends_it_silently(home: Path, tiny: dict[str, str], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    command = f"{sys.executable} -m cli query --quiet --text red --html {page} | head -1"
    ended = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=home,
        env=environment(tiny),
        capture_output=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, b"") and ended.stdout.count(b"\n") == 1
    assert page.exists()


def test_a_batch_is_answered_in_order(ask) -> None:
    asked = [
        b"blue",
        b"",
        b'{"text": ["red"], "k": 1, "filter": "m*"}',
        b'{"image": "photos/red.jpg", "k": 2}',
        b'{"image": ["elsewhere.jpg"], "text": "maroon", "text-weight": 2, "image-weight": [1]}',
        b'{"not-text": "white", "k": 1}',
        '{"text": "녹색 green", "min-score": 0.999, "include-self": true}'.encode(),
    ]
    ended = ask("--batch", "-", "-k", "3", stdin=b"\n".join(asked))
    assert (ended.code, ended.err) == (0, "")
    answers = lines(ended)
    assert [answer["query"] for answer in answers] == [
        {"text": "blue"},
        *(json.loads(line) for line in asked[2:]),
    ]
    paths = [[hit["path"] for hit in answer["hits"]] for answer in answers]
    assert paths[0][:2] == ["photos/sea/blue.png", "photos/sea/navy.png"] and len(paths[0]) == 3
    assert paths[1] == ["photos/maroon.jpg"]
    assert len(paths[2]) == 2 and paths[2][0] == "photos/maroon.jpg"
    assert paths[3][0] == "photos/maroon.jpg"
    assert len(paths[4]) == 1
    assert paths[5] == ["photos/green.jpg"]


BAD = [
    (b"{not json", "JSON"),
    (b'{"text": "red", "k": 0}', "-k"),
    (b'{"text": 3}', "text must be a string"),
    (b'{"text": "red", "min-score": "car"}', "a number or"),
    (b'{"text": "red", "k": true}', "k must be a whole number"),
    (b'{"text": "red", "min-score": NaN}', "NaN"),
    (b'{"txet": "red"}', "did you mean text"),
    (b'{"image": "missing.jpg"}', "missing.jpg"),
    (b'{"image": "broken.jpg"}', "broken.jpg"),
    (b"{}", "Nothing is asked"),
    (b"an unknown colour", "names none"),
    (b"caf\xe9", "UTF-8"),
    (b"[" * 5 + b"{", "names none"),
    (b'{"a":' * 100_000, "JSON"),
]


def test_a_bad_line_does_not_lose_the_rest(ask) -> None:
    asked = [b"red", *(line for bad, _ in BAD for line in (bad, b"blue"))]
    ended = ask("--batch", "-", "-k", "1", stdin=b"\n".join(asked) + b"\n")
    assert ended.code == 3
    assert f"{len(BAD)} of {len(asked)} queries" in ended.err and "Traceback" not in ended.err
    answers = lines(ended)
    assert len(answers) == len(asked)
    for (_, said), wrong, right in zip(BAD, answers[1::2], answers[2::2], strict=True):
        assert said in wrong["error"] and "hits" not in wrong
        assert right["hits"][0]["path"] == "photos/sea/blue.png"


def test_a_program_can_ask_read_and_ask_again(home: Path, tiny: dict[str, str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "cli", "query", "--batch", "-", "-k", "1"],
        cwd=home,
        env=environment(tiny),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin and process.stdout
        for colour, path in (("green", "photos/green.jpg"), ("blue", "photos/sea/blue.png")):
            process.stdin.write(f"{colour}\n".encode())
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["hits"][0]["path"] == path
        process.stdin.close()
        assert process.wait(30) == 0


def test_a_batch_says_what_single_queries_say(ask, home: Path, tmp_path: Path) -> None:
    colours = [name.split("/")[-1].split(".")[0] for name in list(COLOURS)[:5]]
    file = tmp_path / "queries.txt"
    file.write_text("\n".join(colours * 120))
    answers = lines(ask("--batch", str(file), "-k", "4"))
    assert len(answers) == 600
    for colour, answer in zip(colours, answers[-5:], strict=True):
        alone = lines(ask("--text", colour, "-k", "4", "--json"))
        assert [hit["path"] for hit in answer["hits"]] == [hit["path"] for hit in alone]
        for one, other in zip(answer["hits"], alone, strict=True):
            assert one["score"] == pytest.approx(other["score"], abs=2e-6)


def test_the_page_is_written_whole_or_not_at_all(ask, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("something older")
    assert ask("--text", "nothing", "--html", str(page)).code != 0
    assert page.read_text() == "something older"
    ended = ask("--text", "red", "--html", str(page), "-k", "3")
    assert ended.code == 0 and len(ended.out.splitlines()) == 3 and "Wrote" in ended.err
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>") and text.count("<figure>") == 3
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_open_hands_the_page_to_the_browser(ask, tmp_path: Path) -> None:
    seen, browser = tmp_path / "seen", tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {seen}\n')
    browser.chmod(0o755)
    page = tmp_path / "a page.html"
    ended = ask("--text", "red", "--html", str(page), "--open", env={"BROWSER": f"{browser} %s"})
    assert ended.code == 0
    assert seen.read_text().strip() == page.as_uri()


def test_no_torch_for_a_query(home: Path, tiny: dict[str, str]) -> None:
    program = (
        "import sys; from cli.main import command, run; "
        "code = run(command(), ['query', '--image', 'photos/red.jpg', '-k', '1']); "
        "heavy = {'torch', 'torchvision', 'faiss', 'jinja2', 'timm', 'rich'} & set(sys.modules); "
        "assert code == 0 and not heavy, (code, heavy)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=home,
        env=environment(tiny),
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr.decode()


def test_composers_in_help_are_those_that_there_are() -> None:
    assert set(COMPOSERS) == {*BASELINES, "lincir", "compodiff"}
