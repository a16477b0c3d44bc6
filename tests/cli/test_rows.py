"""How rclip 3.3.0 behaves where things go wrong, row by row, and how vretr does.

The rows are those of a trial of rclip (its README is silent on them): what was wanted there is
tested here, each in real processes, with the encoder `tiny`.
"""

import json
import os
import signal
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from vretr.errors import MismatchError
from vretr.index import Index

Env = dict[str, str]


def paint(path: Path | bytes, colour: str = "red", size: tuple[int, int] = (48, 48)) -> None:
    """A JPEG of one colour, whatever the path's name."""
    with open(path, "wb") as file:
        Image.new("RGB", size, colour).save(file, "JPEG")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "photos"
    path.mkdir()
    return path


@pytest.fixture
def found(vretr: Callable[..., Any], tiny: Env) -> Callable[..., list[str]]:
    """What a query in the index of `photos` finds, as names with NUL between them."""

    def ask(*arguments: str, text: str = "red") -> list[str]:
        asked = ("--text", text) if "--image" not in arguments else ()
        ended = vretr("query", "--in", "photos", "-k", "1000", "-0", *asked, *arguments, env=tiny)
        assert ended.code == 0, ended.err
        return ended.out.split("\0")[:-1]

    return ask


# --- rows 1 and 2: ended half way ----------------------------------------------------------------


@pytest.fixture
def four_hundred(folder: Path) -> Path:
    for number in range(400):
        paint(folder / f"{number:03}.jpg", f"rgb({number % 200}, {number // 2}, 90)")
    return folder


def kept(folder: Path) -> int:
    try:
        with Index.open(folder / ".vretr") as index:
            return len(index)
    except MismatchError:  # nothing was committed yet
        return 0


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> Any:
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.02)
    return value


def encoded(log: Path) -> int:
    return sum(map(int, log.read_text().split())) if log.exists() else 0


def test_kill_keeps_the_finished_batches(
    started: Callable[..., Any], vretr: Callable[..., Any], tiny: Env, four_hundred: Path
) -> None:
    log = four_hundred.parent / "log"
    slow = tiny | {"TINY_SECONDS": "0.02", "TINY_LOG": str(log)}
    process = started("index", "photos", "--encoder", "tiny", "--batch-size", "8", env=slow)
    wait_for(lambda: kept(four_hundred))
    process.kill()
    process.wait()
    done = kept(four_hundred)
    assert 0 < done < 400
    # At most what is done between two commits is lost: 3 seconds of work and a batch or two.
    assert encoded(log) - done <= 3 / 0.02 + 3 * 8

    log.unlink()
    again = vretr("index", "photos", "--json", env=tiny | {"TINY_LOG": str(log)})
    assert again.code == 0
    assert json.loads(again.out)["photos"] == 400
    assert encoded(log) == 400 - done


def test_interrupt_keeps_what_was_done_and_says_so(
    started: Callable[..., Any], vretr: Callable[..., Any], tiny: Env, four_hundred: Path
) -> None:
    log = four_hundred.parent / "log"
    slow = tiny | {"TINY_SECONDS": "0.02", "TINY_LOG": str(log)}
    process = started("index", "photos", "--encoder", "tiny", "--batch-size", "8", env=slow)
    wait_for(lambda: encoded(log) >= 40)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    done = kept(four_hundred)
    assert 40 <= done < 400
    assert out == b""
    assert f"{done} photos are kept" in err.decode()
    assert "Traceback" not in err.decode()
    assert len(err.decode().splitlines()) <= 2

    again = json.loads(vretr("index", "photos", "--json", env=tiny).out)
    assert (again["new"], again["unchanged"]) == (400 - done, done)


# --- row 3: a drive that is not mounted ----------------------------------------------------------


@pytest.mark.parametrize("index", ["photos/.vretr", "elsewhere"])
def test_a_drive_may_be_away_for_a_while(
    index: str, vretr: Callable[..., Any], tiny: Env, folder: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    for colour in ("red", "green", "blue", "white", "black"):
        paint(folder / f"{colour}.jpg", colour)
    build = ("index", "photos", "--index", index, "--json")
    assert vretr(*build, "--encoder", "tiny", env=tiny).code == 0

    folder.rename(tmp_path / "drive")
    folder.mkdir()  # the mount point, empty
    refused = vretr(*build, *(() if index == "elsewhere" else ("--encoder", "tiny")), env=tiny)
    assert refused.code == 1
    assert refused.out == ""
    assert "photo" in refused.err

    if (folder / ".vretr").exists():
        (folder / ".vretr").rmdir()
    folder.rmdir()
    (tmp_path / "drive").rename(folder)
    again = vretr(*build, env=tiny | {"TINY_LOG": str(log)})
    assert again.code == 0
    assert json.loads(again.out)["photos"] == json.loads(again.out)["unchanged"] == 5
    assert not log.exists(), "it encoded again"
    hits = vretr("query", "--index", index, "--text", "red", env=tiny)
    assert len(hits.out.splitlines()) == 5


def test_a_folder_that_is_gone_is_wrong_usage(
    vretr: Callable[..., Any], tiny: Env, folder: Path, tmp_path: Path
) -> None:
    paint(folder / "a.jpg")
    build = ("index", "photos", "--index", "elsewhere")
    assert vretr(*build, "--encoder", "tiny", env=tiny).code == 0
    folder.rename(tmp_path / "drive")
    ended = vretr(*build, env=tiny)
    assert (ended.code, ended.out, ended.err) == (2, "", "vretr: There is no photos.\n")
    assert len(vretr("query", "--index", "elsewhere", "--text", "red", env=tiny).out) > 1


# --- rows 4 to 6: pictures -----------------------------------------------------------------------


def test_orientation_6_is_turned_upright(
    vretr: Callable[..., Any], tiny: Env, folder: Path, tmp_path: Path
) -> None:
    upright = Image.new("RGB", (64, 96), "white")
    upright.paste("red", (0, 0, 64, 32))
    upright.paste("blue", (0, 32, 20, 96))
    upright.save(tmp_path / "upright.png")
    lying = upright.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    lying.save(folder / "turned.jpg", quality=98, subsampling=0, exif=exif)
    lying.save(folder / "lying.jpg", quality=98, subsampling=0)
    assert vretr("index", "photos", "--encoder", "tiny", env=tiny).code == 0
    ended = vretr(
        "query", "--in", "photos", "--image", "upright.png", "--json", "-k", "2", env=tiny
    )
    first, second = map(json.loads, ended.out.splitlines())
    assert (first["path"], second["path"]) == ("photos/turned.jpg", "photos/lying.jpg")
    assert first["score"] > 0.999 > 0.9 > second["score"]


def test_a_truncated_photo_is_skipped_named_and_remembered(
    vretr: Callable[..., Any], found: Callable[..., list[str]], tiny: Env, folder: Path
) -> None:
    Image.effect_noise((256, 256), 90).convert("RGB").save(folder / "cut.jpg")
    content = (folder / "cut.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(content[: len(content) // 3])
    paint(folder / "whole.jpg")
    ended = vretr("index", "photos", "--encoder", "tiny", "--json", env=tiny)
    assert ended.code == 3
    (skipped,) = json.loads(ended.out)["skipped"]
    assert skipped["path"] == "photos/cut.jpg"
    assert f"skipped photos/cut.jpg: {skipped['reason']}" in ended.err
    assert found() == ["photos/whole.jpg"]
    assert vretr("index", "photos", env=tiny).code == 3

    (folder / "cut.jpg").write_bytes(content)
    ended = vretr("index", "photos", "--json", env=tiny)
    assert ended.code == 0
    assert json.loads(ended.out)["new"] == 1


MEASURED = """
import resource, subprocess, sys
code = subprocess.run([sys.executable, "-m", "cli", *sys.argv[1:]]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024, file=sys.stderr)
sys.exit(code)
"""


def test_400_megapixels_cost_no_memory(vretr: Callable[..., Any], tiny: Env, folder: Path) -> None:
    (folder / "black.png").write_bytes(black_png(20_000, 20_000))
    paint(folder / "a.jpg")
    ended = vretr(
        *("index", "photos", "--encoder", "tiny", "--json"), env=tiny, python=("-c", MEASURED)
    )
    assert ended.code == 3
    (skipped,) = json.loads(ended.out)["skipped"]
    assert skipped["path"] == "photos/black.png"
    assert "million" in skipped["reason"]
    assert int(ended.err.split()[-1]) < 200  # MiB in the largest process; decoded, it takes 400


def black_png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    row = bytes(1 + width // 8)
    packer = zlib.compressobj(1)
    data = b"".join([*(packer.compress(row) for _ in range(height)), packer.flush()])
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


# --- rows 7 to 9: names --------------------------------------------------------------------------

NAMES = [
    b"two\nlines.jpg",
    b"\x1b]0;title\x07\x1b[2J.jpg",
    b"caf\xe9.jpg",
    "x\u202egnp.jpg".encode(),
    b"-rf.jpg",
    b"[red]b[b].jpg",
]


@pytest.fixture
def oddly_named(vretr: Callable[..., Any], tiny: Env, folder: Path) -> Path:
    for name in NAMES:
        paint(os.path.join(os.fsencode(folder), name))
    ended = vretr("index", "photos", "--encoder", "tiny", "--json", env=tiny)
    assert (ended.code, ended.err) == (0, "")
    assert json.loads(ended.out)["photos"] == len(NAMES)
    return folder


def test_any_name_is_indexed_and_comes_back_byte_for_byte(
    oddly_named: Path, found: Callable[..., list[str]]
) -> None:
    assert sorted(map(os.fsencode, found())) == sorted(b"photos/" + name for name in NAMES)


def test_no_name_reaches_a_terminal_unescaped(
    oddly_named: Path, on_terminal: Callable[..., str], tiny: Env
) -> None:
    drawn = on_terminal("query", "--in", "photos", "--text", "red", env=tiny | {"TERM": "dumb"})
    assert "\x1b]0" not in drawn and "\x1b[2J" not in drawn and "\u202e" not in drawn
    assert "\\x1b]0;title\\x07" in drawn
    assert "caf\\xe9.jpg" in drawn
    assert "two\\nlines.jpg" in drawn
    assert "[red]b[b].jpg" in drawn


def test_skipped_names_are_escaped_too(vretr: Callable[..., Any], tiny: Env, folder: Path) -> None:
    with open(os.path.join(os.fsencode(folder), b"\x1b[2Jcaf\xe9\n.jpg"), "wb") as file:
        file.write(b"not a picture")
    paint(folder / "a.jpg")
    ended = vretr("index", "photos", "--encoder", "tiny", env=tiny)
    assert ended.code == 3
    assert "\x1b" not in ended.err
    assert ended.err.count("\n") == 1
    assert "\\x1b[2Jcaf" in ended.err


# --- rows 10 and 11: folders ---------------------------------------------------------------------


def test_a_loop_of_links_ends(
    vretr: Callable[..., Any], found: Callable[..., list[str]], tiny: Env, folder: Path
) -> None:
    (folder / "sub").mkdir()
    paint(folder / "a.jpg")
    paint(folder / "sub" / "b.jpg", "blue")
    (folder / "loop").symlink_to(".")
    (folder / "sub" / "up").symlink_to("..")
    (folder / "twice").symlink_to("sub")
    ended = vretr("index", "photos", "--encoder", "tiny", "--json", env=tiny)
    assert ended.code == 0
    assert sorted(found()) == ["photos/a.jpg", "photos/sub/b.jpg"]


# Root may read everything, so it gives up these two rights for good before the command starts.
UNPRIVILEGED = """
import ctypes, os, sys
if os.getuid() == 0:
    drop, override, search = 24, 1, 2  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    system = ctypes.CDLL(None)
    if system.prctl(drop, override) or system.prctl(drop, search):
        sys.exit(77)
os.execv(sys.executable, [sys.executable, "-m", "cli", *sys.argv[1:]])
"""


@pytest.fixture
def closed(folder: Path) -> Iterator[Path]:
    path = folder / "private"
    path.mkdir()
    paint(path / "secret.jpg")
    path.chmod(0)
    yield path
    path.chmod(0o700)


def test_an_unreadable_subfolder_is_named_and_the_rest_indexed(
    vretr: Callable[..., Any],
    found: Callable[..., list[str]],
    tiny: Env,
    folder: Path,
    closed: Path,
) -> None:
    paint(folder / "a.jpg")
    build = ("index", "photos", "--encoder", "tiny", "--json")
    ended = vretr(*build, env=tiny, python=("-c", UNPRIVILEGED))
    if ended.code == 77:
        pytest.skip("root cannot give up its rights here")
    assert ended.code == 3
    (skipped,) = json.loads(ended.out)["skipped"]
    assert skipped == {"path": "photos/private", "reason": "permission denied"}
    assert found() == ["photos/a.jpg"]

    # What was indexed in a folder that is closed now, is not gone.
    closed.chmod(0o700)
    assert vretr(*build, env=tiny).code == 0
    closed.chmod(0)
    ended = vretr(*build, env=tiny, python=("-c", UNPRIVILEGED))
    assert json.loads(ended.out)["removed"] == 0
    assert sorted(found()) == ["photos/a.jpg", "photos/private/secret.jpg"]


# --- row 12: two at once -------------------------------------------------------------------------


def test_the_second_writer_says_who_is_first_and_leaves(
    started: Callable[..., Any], vretr: Callable[..., Any], tiny: Env, four_hundred: Path
) -> None:
    log = four_hundred.parent / "log"
    slow = tiny | {"TINY_SECONDS": "0.02", "TINY_LOG": str(log)}
    first = started("index", "photos", "--encoder", "tiny", "--batch-size", "8", env=slow)
    wait_for(lambda: encoded(log))
    second = vretr("index", "photos", "--encoder", "tiny", env=tiny)
    assert second.code == 1
    assert second.out == ""
    assert str(first.pid) in second.err
    assert first.poll() is None

    first.kill()
    first.wait()
    third = vretr("index", "photos", "--encoder", "tiny", "--json", env=tiny)
    assert third.code == 0
    assert json.loads(third.out)["photos"] == 400


# --- rows 13 to 15: queries and nothing ----------------------------------------------------------


def test_the_query_photo_is_not_its_own_answer_whatever_its_weight(
    vretr: Callable[..., Any], found: Callable[..., list[str]], tiny: Env, folder: Path
) -> None:
    paint(folder / "a.jpg", "rgb(250, 0, 0)")
    (folder / "copy.jpg").write_bytes((folder / "a.jpg").read_bytes())
    paint(folder / "like.jpg", "rgb(240, 30, 0)")
    paint(folder / "unlike.jpg", "rgb(0, 0, 250)")
    assert vretr("index", "photos", "--encoder", "tiny", env=tiny).code == 0
    weighted = ("--image", "photos/a.jpg", "--image-weight", "2")
    assert found(*weighted) == ["photos/like.jpg", "photos/unlike.jpg"]
    assert set(found(*weighted, "--include-self")[:2]) == {"photos/a.jpg", "photos/copy.jpg"}


def test_a_query_photo_that_is_missing_is_wrong_usage(
    vretr: Callable[..., Any], tiny: Env, folder: Path
) -> None:
    paint(folder / "a.jpg")
    assert vretr("index", "photos", "--encoder", "tiny", env=tiny).code == 0
    ended = vretr("query", "--in", "photos", "--image", "nosuch.jpg", env=tiny)
    assert (ended.code, ended.out) == (2, "")
    assert "nosuch.jpg" in ended.err


def test_an_empty_folder_is_a_failure(vretr: Callable[..., Any], tiny: Env, folder: Path) -> None:
    ended = vretr("index", "photos", "--encoder", "tiny", env=tiny)
    assert (ended.code, ended.out) == (1, "")
    assert "no photo" in ended.err
    assert not (folder / ".vretr").exists()
