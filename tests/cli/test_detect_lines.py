"""`vretr detect-lines` as typed, with a small random network: what it finds is noise, but always
the same."""

import csv
import io
import json
import os
import signal
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from lsd.architecture import layers

SIZE = ("--size", "64")
ARGUMENTS = ("detect-lines", "--model", "net.safetensors", *SIZE)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a tiny network, drawn at random so that lines score about a half."""
    draws = np.random.default_rng(0)
    tensors = {}
    for name, layer in layers("tiny").items():
        inputs = 1 if layer.depthwise else layer.inputs
        shape = (layer.outputs, inputs, layer.kernel, layer.kernel)
        scale = (2 / (inputs * layer.kernel**2)) ** 0.5
        tensors[f"{name}.weight"] = (scale * draws.standard_normal(shape)).astype(np.float32)
        tensors[f"{name}.bias"] = np.zeros(layer.outputs, np.float32)
    file = tmp_path_factory.mktemp("network") / "net.safetensors"
    save_file(tensors, file)
    return file


@pytest.fixture
def home(tmp_path: Path, network: Path) -> Path:
    """A folder with the network, three photos in two folders, and a file that is no photo."""
    (tmp_path / "net.safetensors").symlink_to(network)
    draws = np.random.default_rng(1)
    for name in ("a/x.png", "b/x.png", "b/c/y.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        pixels = draws.integers(0, 256, (60, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    (tmp_path / "broken.jpg").write_bytes((tmp_path / "b/c/y.jpg").read_bytes()[:300])
    return tmp_path


def test_a_json_line_a_picture_in_a_pipe(vretr, home: Path) -> None:
    ended = vretr(*ARGUMENTS, "a", "b")
    assert ended.code == 0, ended.err
    rows = [json.loads(line) for line in ended.out.splitlines()]
    assert [row["path"] for row in rows] == ["a/x.png", "b/x.png", "b/c/y.jpg"]
    for row in rows:
        assert set(row) == {"path", "width", "height", "lines"}
        assert (row["width"], row["height"]) == (80, 60)
        lines = np.array(row["lines"])
        assert 0 < len(lines) <= 200 and lines.shape[1] == 5
        assert (np.diff(lines[:, 4]) <= 0).all() and (lines[:, 4] > 0.1).all()
        assert (lines[:, :4] >= 0).all() and (lines[:, [0, 2]] <= 80).all()
        assert (lines[:, [1, 3]] <= 60).all()


def test_options_are_heard(vretr, home: Path) -> None:
    def found(*more: str) -> np.ndarray:
        return np.array(json.loads(vretr(*ARGUMENTS, "a/x.png", *more).out)["lines"])

    every = found()
    assert len(found("--top-k", "3")) == 3
    sure = found("--score", "0.6")
    assert len(sure) < len(every) and (sure[:, 4] > 0.6).all()
    long = found("--length", "30")
    assert len(long) < len(every)
    assert (np.hypot(*(long[:, 2:4] - long[:, :2]).T) > 30).all()
    assert len(found("--merge", "20")) < len(every)
    assert not np.array_equal(found("--subpixel")[:5], every[:5])
    assert (found("--no-clip")[:, :4] < 0).any()
    assert len(found("--tiles", "2")) != len(every)


@pytest.mark.parametrize("nul", [False, True])
def test_a_list_on_stdin(vretr, home: Path, nul: bool) -> None:
    names = [b"a/x.png", b"b/c/y.jpg"]
    given = b"".join(name + (b"\0" if nul else b"\n") for name in names)
    ended = vretr(*ARGUMENTS, "-", *(["-0"] if nul else []), stdin=given)
    assert ended.code == 0, ended.err
    assert [json.loads(line)["path"] for line in ended.out.splitlines()] == [
        os.fsdecode(name) for name in names
    ]


def test_globs_and_the_same_lines_whatever_stands_beside(vretr, home: Path) -> None:
    together = vretr(*ARGUMENTS, "?/x.png").out.splitlines()
    alone = vretr(*ARGUMENTS, "b/x.png").out.splitlines()
    assert len(together) == 2 and together[1] == alone[0]


def test_csv_and_svg(vretr, home: Path) -> None:
    ended = vretr(*ARGUMENTS, "a", "b", "--csv")
    rows = list(csv.DictReader(io.StringIO(ended.out)))
    assert {row["path"] for row in rows} == {"a/x.png", "b/x.png", "b/c/y.jpg"}
    ended = vretr(*ARGUMENTS, "a", "--svg")
    assert ended.out.startswith("<svg ") and ended.out.endswith("</svg>\n")
    ended = vretr(*ARGUMENTS, "a", "b", "--svg")
    assert ended.code == 2 and "--svg makes 3 drawings; say where they go" in ended.err


def test_files_in_a_folder(vretr, home: Path) -> None:
    ended = vretr(*ARGUMENTS, "a", "b", "--out", "out", "--overlay", "--json")
    assert ended.code == 0, ended.err
    found = sorted(str(path.relative_to(home / "out")) for path in (home / "out").rglob("*.*"))
    assert found == sorted(
        f"{name}.lines.{kind}"
        for name in ("a/x.png", "b/x.png", "b/c/y.jpg")
        for kind in ("png", "json")
    )
    rows = [json.loads(line) for line in ended.out.splitlines()]
    (file,) = (file for file in rows[0]["files"] if file.endswith(".json"))
    assert json.loads((home / file).read_text())["lines"] == rows[0]["lines"]


def test_what_cannot_be_read_is_skipped_and_named(vretr, home: Path) -> None:
    (home / "empty.png").touch()
    given = b"broken.jpg\na/x.png\ngone.jpg\nempty.png\nb/x.png\n"
    ended = vretr(*ARGUMENTS, "-", stdin=given)
    assert ended.code == 3
    assert [json.loads(line)["path"] for line in ended.out.splitlines()] == ["a/x.png", "b/x.png"]
    for sentence in (
        "vretr: skipped broken.jpg: truncated",
        "vretr: skipped gone.jpg: no such file",
        "vretr: skipped empty.png: empty file",
    ):
        assert ended.err.count(sentence) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("gone.jpg",), 2, "There is no gone.jpg."),
        (("*.gif",), 2, "No file matches *.gif."),
        (("nothing",), 1, "There is no picture in nothing."),
        (("a", "--overlay"), 2, "say where with --out DIR"),
        (("a", "--out", "a"), 2, "--out must be another folder than the pictures' own, a."),
        (("a", "--out", "broken.jpg"), 1, "broken.jpg cannot be written to: File exists."),
        (("a", "--out", "/proc/x"), 1, "The folder /proc/x cannot be written to"),
        (("a", "--size", "100"), 2, "size is 100, but must be a multiple of 16"),
        (("a", "--score", "30"), 2, "score is 30.0, but must be at least 0 and less than 1"),
        (("a", "--top-k", "0"), 2, "top_k is 0, but must be at least 1"),
        (("a", "--model", "tinny"), 2, "There is no detector and no file tinny"),
        (("a", "--model", "broken.safetensors"), 4, "broken.safetensors cannot be read"),
        ((), 2, "Missing argument"),
    ],
)
def test_what_cannot_be_done(vretr, home: Path, arguments, code: int, sentence: str) -> None:
    (home / "nothing").mkdir()
    (home / "broken.safetensors").write_bytes(b"no weights")
    ended = vretr(*ARGUMENTS, *arguments)
    assert ended.code == code and ended.out == ""
    assert sentence in " ".join(ended.err.split()) and "bug" not in ended.err
    assert not (home / "out").exists()


def test_no_line_is_a_result(vretr, home: Path) -> None:
    ended = vretr(*ARGUMENTS, "a/x.png", "--score", "0.999999")
    assert ended.code == 0 and json.loads(ended.out)["lines"] == []
    assert "vretr: a/x.png: no line; the best score is 0." in ended.err


def test_odd_pictures(vretr, home: Path) -> None:
    draws = np.random.default_rng(2)
    odd = home / "odd"
    odd.mkdir()
    Image.new("RGB", (1, 1)).save(odd / "pixel.png")
    Image.fromarray(draws.integers(0, 256, (30, 40), dtype=np.uint8)).save(odd / "grey.png")
    Image.fromarray(draws.integers(0, 65536, (30, 40), dtype=np.uint16)).save(odd / "deep.png")
    Image.fromarray(draws.integers(0, 256, (30, 40, 4), dtype=np.uint8)).save(odd / "alpha.png")
    Image.fromarray(draws.integers(0, 256, (15, 20_000, 3), dtype=np.uint8)).save(odd / "wide.png")
    Image.new("1", (3, 900)).save(odd / "high.gif")
    ended = vretr(*ARGUMENTS, "odd", "--overlay", "--crops", "--out", "out")
    assert ended.code == 0, ended.err
    rows = {row["path"]: row for row in map(json.loads, ended.out.splitlines())}
    assert len(rows) == 6 and rows["odd/wide.png"]["width"] == 20_000
    assert "wide.png is so long that it is looked at in 64 windows" in ended.err or (
        "high.gif is so long" in ended.err
    )
    assert len(list((home / "out").glob("*.lines.png"))) == 6


def test_a_corpus_of_odd_pictures(vretr, home: Path, shared_data: Path) -> None:
    with zipfile.ZipFile(shared_data / "odd_images.zip") as corpus:
        corpus.extractall(home / "corpus")
    ended = vretr(*ARGUMENTS, "corpus", "--overlay", "--out", "out", "--top-k", "20")
    assert ended.code in (0, 3) and "bug" not in ended.err
    skipped = ended.err.count("vretr: skipped ")
    assert (ended.code == 3) == (skipped > 0)
    assert len(ended.out.splitlines()) > 30


def test_names_that_are_not_text(vretr, home: Path) -> None:
    name = b"a/\xff\n.png"
    (home / os.fsdecode(name)).write_bytes((home / "a/x.png").read_bytes())
    ended = vretr(*ARGUMENTS, "a", "--out", "out", "--csv")
    assert ended.code == 0 and len(ended.out.splitlines()) == 2
    assert (home / os.fsdecode(b"out/\xff\n.png.lines.csv")).exists()


def test_a_table_on_a_terminal(on_terminal, home: Path) -> None:
    one = on_terminal(*ARGUMENTS, "a/x.png", "--top-k", "3")
    assert "score" in one and "{" not in one
    several = on_terminal(*ARGUMENTS, "a", "b")
    assert "lines" in several and "b/c/y.jpg" in several and "{" not in several
    assert '{"path": "a/x.png"' in on_terminal(*ARGUMENTS, "a/x.png", "--json")


def test_an_interruption_ends_it_and_its_children(started, home: Path) -> None:
    names = "a/x.png " * 500
    process = started(*ARGUMENTS, *names.split(), "--batch-size", "1", "--overlay", "--out", "out")
    assert process.stdout.readline().startswith(b'{"path"')
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert b"interrupted" in process.stderr.read()
    assert [path.name for path in (home / "out").iterdir()] == ["x.png.lines.png"]


def test_no_torch_and_quickly(vretr, home: Path) -> None:
    probe = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('torch' in sys.modules, file=sys.stderr))\n"
        "from cli.main import main\nmain()"
    )
    ended = [vretr(*ARGUMENTS, "a/x.png", python=("-c", probe)) for _ in range(3)]
    assert all(each.code == 0 and each.err == "False\n" for each in ended)
    assert min(each.seconds for each in ended) < 1.5
