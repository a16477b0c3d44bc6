"""`vretr index` in real processes, with the encoder `tiny`."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

Env = dict[str, str]
Build = Callable[..., Any]


@pytest.fixture
def build(vretr: Callable[..., Any], tiny: Env, photos: Path) -> Build:
    """`vretr index ARGUMENTS...` in the folder that holds `photos`."""

    def run(*arguments: str | bytes, env: Env | None = None, **settings: Any) -> Any:
        return vretr("index", *arguments, env=tiny | (env or {}), **settings)

    return run


@pytest.fixture
def built(build: Build, photos: Path) -> Path:
    ended = build("photos", "--encoder", "tiny")
    assert ended.code == 0, ended.err
    return photos


def counts(ended: Any) -> dict[str, int]:
    found = json.loads(ended.out)
    return {name: found[name] for name in ("photos", "new", "moved", "unchanged", "removed")}


def expect(photos: int, **others: int) -> dict[str, int]:
    return {"photos": photos, "new": 0, "moved": 0, "unchanged": 0, "removed": 0} | others


# --- what it is for ------------------------------------------------------------------------------


def test_index_then_query_works_as_typed(
    vretr: Callable[..., Any], build: Build, built: Path, tiny: Env
) -> None:
    found = vretr("query", "--text", "red", "-k", "4", env=tiny)
    assert found.code == 0
    assert sorted(found.out.splitlines()) == [
        f"photos/red_{shape}.jpg" for shape in ("circle", "line", "square", "triangle")
    ]


def test_only_what_changed_is_encoded(build: Build, built: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    (built / "red_line.jpg").rename(built / "moved.jpg")
    (built / "blue_line.jpg").unlink()
    Image.new("RGB", (50, 50), "orange").save(built / "green_line.jpg")
    Image.new("RGB", (50, 50), "purple").save(built / "new.jpg")
    (built / "copy.jpg").write_bytes((built / "red_circle.jpg").read_bytes())
    ended = build("photos", "--json", env={"TINY_LOG": str(log)})
    assert ended.code == 0
    assert counts(ended) == expect(13, new=2, moved=2, unchanged=9, removed=1)
    assert sum(map(int, log.read_text().split())) == 2


def test_it_keeps_to_the_encoder_of_the_index(build: Build, built: Path) -> None:
    assert counts(build("photos", "--json")) == expect(12, unchanged=12)
    other = build("photos", env={"TINY_IDENTITY": "tiny 2"})
    assert (other.code, other.out) == (4, "")
    assert "--rebuild" in other.err
    again = build("photos", "--rebuild", "--json", env={"TINY_IDENTITY": "tiny 2"})
    assert counts(again) == expect(12, new=12)


# --- what comes out ------------------------------------------------------------------------------


def test_json_is_one_object_with_the_documented_fields(build: Build) -> None:
    (line,) = build("photos", "--encoder", "tiny", "--json").out.splitlines()
    found = json.loads(line)
    seconds = found.pop("seconds")
    assert 0 < seconds < 60
    assert found == {**expect(12, new=12), "skipped": []}


def test_a_pipe_gets_name_and_value(build: Build) -> None:
    ended = build("photos", "--encoder", "tiny")
    lines = dict(line.split("\t") for line in ended.out.splitlines())
    assert lines["photos"] == lines["new"] == "12"
    assert lines["skipped"] == "0"
    assert ended.err == ""


def test_a_terminal_gets_a_sentence(
    on_terminal: Callable[..., str], tiny: Env, built: Path
) -> None:
    said = on_terminal("index", "photos", env=tiny | {"TERM": "dumb"})
    assert "12 photos in photos/.vretr (tiny): 12 unchanged; 0." in said
    drawn = on_terminal("index", "photos", env=tiny)
    assert "Reading photos" in drawn


def test_info_says_what_the_index_holds(build: Build, built: Path) -> None:
    found = json.loads(build("--info", "--json").out)
    assert found["photos"] == 12
    assert found["encoder"] == "tiny"
    assert found["dim"] == 48
    assert found["bytes"] >= 12 * 48 * 2
    assert found["root"] == os.path.realpath(built)
    assert {*expect(0), "skipped", "seconds"} <= set(found)
    lines = dict(line.split("\t") for line in build("--info", "photos").out.splitlines())
    assert (lines["photos"], lines["encoder"]) == ("12", "tiny")
    assert build("--info", "--index", "nowhere").code == 4


def test_dry_run_writes_nothing(build: Build, photos: Path) -> None:
    ended = build("photos", "--encoder", "tiny", "--dry-run", "--json")
    assert counts(ended) == expect(12, new=12)
    assert not (photos / ".vretr").exists()
    assert build("photos", "--encoder", "tiny").code == 0
    (photos / "red_line.jpg").unlink()
    before = {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()}
    assert counts(build("photos", "-n", "--json")) == expect(11, unchanged=11, removed=1)
    assert before == {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()}


def test_the_first_twenty_skipped_are_named_and_all_in_json(build: Build, photos: Path) -> None:
    for number in range(25):
        (photos / f"broken{number:02}.jpg").write_bytes(b"no picture")
    ended = build("photos", "--encoder", "tiny", "--json")
    assert ended.code == 3
    assert len(json.loads(ended.out)["skipped"]) == 25
    lines = ended.err.splitlines()
    assert len(lines) == 21
    assert lines[0].startswith("vretr: skipped photos/broken00.jpg: ")
    assert lines[-1] == "vretr: and 5 more; --json lists all"
    quiet = build("photos", "--quiet")
    assert (quiet.code, quiet.err) == (3, "")
    assert len(json.loads(build("--info", "--json").out)["skipped"]) == 25


def test_failures_are_remembered_until_asked_to_try_again(
    build: Build, photos: Path, tmp_path: Path
) -> None:
    (photos / "broken.jpg").write_bytes(b"no picture")
    os.utime(photos / "broken.jpg", (1e9, 1e9))
    assert build("photos", "--encoder", "tiny").code == 3
    Image.new("RGB", (9, 9)).save(tmp_path / "whole.jpg")
    # Of the same size and time: to vretr it has not changed.
    content = (tmp_path / "whole.jpg").read_bytes()
    (photos / "broken.jpg").write_bytes(content[:10])
    os.utime(photos / "broken.jpg", (1e9, 1e9))
    assert build("photos", "--json").code == 3
    ended = build("photos", "--retry-failed", "--json")
    assert ended.code == 3
    assert len(json.loads(ended.out)["skipped"]) == 1


# --- what is read --------------------------------------------------------------------------------


def test_exclude_leaves_out(build: Build, photos: Path) -> None:
    ended = build(
        *("photos", "--encoder", "tiny", "--exclude", "red_*", "--exclude", "*line.jpg", "--json")
    )
    assert counts(ended) == expect(6, new=6)


def test_quoted_globs_are_expanded(build: Build, photos: Path) -> None:
    build_red = ("photos/red_*.jpg", "--index", "red", "--encoder", "tiny", "--json")
    assert counts(build(*build_red)) == expect(4, new=4)
    (photos / "[x].jpg").write_bytes((photos / "red_line.jpg").read_bytes())
    literal = ("photos/[x].jpg", "--index", "literal", "--encoder", "tiny", "--json")
    assert counts(build(*literal)) == expect(1, new=1)
    ended = build("photos/violet_*.jpg", "--encoder", "tiny")
    assert (ended.code, ended.err) == (2, "vretr: No file matches photos/violet_*.jpg.\n")


@pytest.mark.parametrize("option", [("-",), ("--from-file", "-"), ("--from-file", "list")])
@pytest.mark.parametrize("nul", [False, True])
def test_lists_are_read(
    build: Build, photos: Path, tmp_path: Path, option: tuple[str, ...], nul: bool
) -> None:
    names = [b"photos/red_line.jpg", b"photos/caf\xe9 .jpg", *[b"photos/two\nlines.jpg"] * nul]
    for name in names[1:]:
        (tmp_path / os.fsdecode(name)).write_bytes((photos / "blue_line.jpg").read_bytes())
    names.append(b"photos/nosuch.jpg")
    content = (b"\0" if nul else b"\n").join(names)
    (tmp_path / "list").write_bytes(content)
    ended = build(
        *(*option, "--index", "some", "--encoder", "tiny", "--json", *["-0"] * nul), stdin=content
    )
    assert ended.code == 3
    found = json.loads(ended.out)
    assert found["photos"] == len(names) - 1
    assert [skipped["path"] for skipped in found["skipped"]] == ["photos/nosuch.jpg"]


def test_an_empty_list_is_a_failure(build: Build) -> None:
    ended = build("-", "--index", "some", "--encoder", "tiny")
    assert (ended.code, ended.err) == (1, "vretr: The list of paths is empty.\n")


def test_a_list_is_not_asked_of_a_terminal(on_terminal: Callable[..., str], tiny: Env) -> None:
    said = on_terminal("index", "-", "--index", "some", env=tiny, expected=2)
    assert "terminal" in said


# --- what cannot be meant ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "Say what to index"),
        (("nosuch",), "There is no nosuch."),
        (("photos", "nosuch"), "There is no nosuch."),
        (("photos", "--encoder", "tinny"), "did you mean tiny"),
        (("photos/red_line.jpg", "photos/red_circle.jpg", "--encoder", "tiny"), "--index"),
        (("--from-file", "nosuch"), "The list nosuch cannot be read"),
        (("photos", "--batch-size", "0"), "--batch-size"),
        (("photos", "--precision", "fp8"), "--precision"),
    ],
)
def test_wrong_usage(build: Build, photos: Path, arguments: tuple[str, ...], sentence: str) -> None:
    ended = build(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert sentence in ended.err
    assert "Traceback" not in ended.err
    assert not (photos / ".vretr").exists()


# --- disks ---------------------------------------------------------------------------------------

FULL = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), -1))
os.execv(sys.executable, [sys.executable, "-m", "cli", *sys.argv[2:]])
"""


def test_a_full_disk_leaves_the_old_index_whole(
    vretr: Callable[..., Any], build: Build, built: Path, tiny: Env
) -> None:
    for number in range(600):
        Image.new("RGB", (8, 8), (number % 256, number // 256, 7)).save(built / f"{number}.png")
    full = (built / ".vretr" / "index.sqlite").stat().st_size
    ended = vretr("index", "photos", env=tiny, python=("-c", FULL, str(full)))
    assert (ended.code, ended.out) == (1, "")
    assert "no room" in ended.err
    assert len(ended.err.splitlines()) == 1
    assert len(vretr("query", "--text", "red", "-k", "99", env=tiny).out.splitlines()) == 12
    assert counts(build("photos", "--json"))["photos"] == 612


READ_ONLY = """
import ctypes, os, sys
if os.getuid() == 0:
    drop, override = 24, 1  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE: root writes anywhere with it
    if ctypes.CDLL(None).prctl(drop, override):
        sys.exit(77)
os.execv(sys.executable, [sys.executable, "-m", "cli", *sys.argv[1:]])
"""


def test_a_read_only_folder_is_told_in_a_sentence(build: Build, photos: Path) -> None:
    photos.chmod(0o555)
    try:
        ended = build("photos", "--encoder", "tiny", python=("-c", READ_ONLY))
        elsewhere = build(
            *("photos", "--encoder", "tiny", "--index", "index", "--json"),
            python=("-c", READ_ONLY),
        )
    finally:
        photos.chmod(0o755)
    if ended.code == 77:
        pytest.skip("root cannot give up its rights here")
    assert (ended.code, ended.out) == (1, "")
    assert "--index DIR" in ended.err
    assert len(ended.err.splitlines()) == 1
    assert counts(elsewhere) == expect(12, new=12)


# --- weight --------------------------------------------------------------------------------------


def test_no_torch_unless_the_encoder_wants_it(
    vretr: Callable[..., Any], tiny: Env, photos: Path
) -> None:
    program = (
        "import sys; from cli.main import command, run; "
        "code = run(command(), sys.argv[1:]); "
        "heavy = {'torch', 'torchvision', 'timm', 'open_clip', 'faiss', 'pandas', 'datasets'}; "
        "found = heavy & set(sys.modules); sys.exit(code or (f'imported {found}' if found else 0))"
    )
    ended = vretr("index", "photos", "--encoder", "tiny", env=tiny, python=("-c", program))
    assert (ended.code, ended.err) == (0, "")


# --- another pooling -----------------------------------------------------------------------------


def test_a_pooling_is_part_of_the_encoders_name(build: Build) -> None:
    for encoder, pooling, says in (
        ("tiny", "gem", "leave +gem away"),  # an encoder of a package pools as it was made to
        ("lite", "gme", "did you mean gem"),
        ("lite+max", "gem", "leave +max away"),
    ):
        ended = build("photos", "--encoder", encoder, "--pooling", pooling)
        assert (ended.code, ended.out) == (2, "")
        assert says in ended.err


@pytest.mark.slow
def test_poolings_do_not_mix(vretr: Callable[..., Any], build: Build, tiny: Env) -> None:
    tower = "timm:test_vit/random"
    first = build("photos", "--encoder", tower, "--pooling", "ggem:p=4", "--json")
    assert counts(first) == expect(12, new=12), first.err
    assert counts(build("photos", "--json")) == expect(12, unchanged=12)
    assert counts(build("photos", "--pooling", "ggem:p=4", "--json")) == expect(12, unchanged=12)
    asked = ("query", "--image", "photos/red_line.jpg", "--include-self", "-k", "1")
    found = vretr(*asked, env=tiny)
    assert (found.code, found.out) == (0, "photos/red_line.jpg\n"), found.err
    words = vretr("query", "--text", "red", env=tiny)
    assert (words.code, words.out) == (2, "")
    for other in (["--encoder", tower], ["--encoder", f"{tower}+gem"]):
        ended = build("photos", *other)
        assert (ended.code, ended.out) == (4, "")
    again = build("photos", "--pooling", "max", "--rebuild", "--json")
    assert counts(again) == expect(12, new=12), again.err
