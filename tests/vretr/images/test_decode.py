import json
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from vretr import images
from vretr.images import Unreadable

# Where we differ from plain Pillow on purpose. With pillow-heif HEIC can be read; of the one that
# is cut short the codec still has the whole of the (small) picture.
READABLE_WITH_HEIF = {"modes/rgb.heic", "modes/rgba10.heic", "broken/truncated.heic"}

REASONS = {
    "broken/truncated.jpg": "truncated JPEG",
    "broken/truncated.png": "truncated PNG",
    "broken/truncated_header.jpg": "truncated picture",
    "broken/bad_crc.png": "damaged PNG",
    "broken/zero_bytes.jpg": "empty file",
    "broken/random.jpg": "not a picture of a known format",
    "broken/html.jpg": "not a picture of a known format",
    "broken/svg_as_png.png": "not a picture of a known format",
    "broken/bomb_400mp.png": "more pixels than the limit of 200 million",
    "broken/bomb.gif": "more pixels than the limit of 200 million",
    "modes/rgb.heic": "HEIC needs vretr[heif]",
    "broken/truncated.heic": "HEIC needs vretr[heif]",
}


def manifest(odd: Path) -> list[dict]:
    lines = (odd / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def pixels(path: Path, **options: int) -> np.ndarray:
    picture = images.open(path, **options)
    assert isinstance(picture, Image.Image), picture
    assert picture.mode == "RGB"
    return np.asarray(picture).astype(float)


def test_every_odd_file_is_readable_or_not_as_the_manifest_says(odd, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as without the extra
    for line in manifest(odd):
        picture = images.open(odd / line["file_name"])
        assert isinstance(picture, Image.Image) == line["readable"], (line, picture)
        if line["readable"]:
            assert (picture.mode, list(picture.size)) == ("RGB", line["upright_size"]), line
        else:
            status = os.stat(odd / line["file_name"])
            assert (picture.size, picture.mtime_ns) == (status.st_size, status.st_mtime_ns)
            assert picture.reason.isprintable() and len(picture.reason) < 140
            assert picture.reason.startswith(REASONS.get(line["file_name"], ""))


def test_heif_with_its_extra(odd):
    pytest.importorskip("pillow_heif")
    for line in manifest(odd):
        if line["file_name"] in READABLE_WITH_HEIF:
            assert isinstance(images.open(odd / line["file_name"]), Image.Image)
    red, green, blue = pixels(odd / "modes/rgb.heic").mean((0, 1))
    assert abs(red - green) < 1 and abs(green - blue) < 1  # stripes of the three


@pytest.mark.parametrize("shape", ["landscape", "portrait"])
def test_orientation_makes_all_eight_the_same_picture(odd, shape):
    def small(orientation: int) -> np.ndarray:  # the eight were compressed one by one
        picture = images.open(odd / f"exif/{shape}_{orientation}.jpg")
        return np.asarray(picture.reduce(4)).astype(float)

    upright = small(1)
    for orientation in (0, *range(2, 9)):  # 0 is invalid and means: as it is
        assert np.abs(small(orientation) - upright).mean() < 2, orientation
    assert np.abs(upright[::-1] - upright).mean() > 20  # the comparison can fail


def test_orientation_of_other_formats_agrees_with_pillow(odd):
    for path in sorted((odd / "exif").glob("[!lp]*")):
        with Image.open(path) as picture:
            picture.load()
            expected = ImageOps.exif_transpose(picture).convert("RGB")
        if path.name != "png_xmp_orientation.png":  # has alpha: test_modes
            assert np.abs(pixels(path) - np.asarray(expected)).max() == 0, path


def test_a_reduced_decode_is_upright_too_and_not_below_its_target(camera):
    lines = (camera / "labels.jsonl").read_text(encoding="utf-8").splitlines()
    sunsets = []
    for line in map(json.loads, lines):
        picture = images.open(camera / line["file_name"], target=448)
        assert 448 <= min(picture.size) < 2 * 448 or max(picture.size) * 8 >= max(line["width"], 1)
        assert (picture.width > picture.height) == (
            line["upright_size"][0] > line["upright_size"][1]
        )
        ratio = picture.width / picture.height
        assert ratio == pytest.approx(line["upright_size"][0] / line["upright_size"][1], rel=0.01)
        if "sunset" in line["file_name"]:
            sunsets.append(np.asarray(picture.resize((64, 48))).astype(float))
    assert len(sunsets) == 3
    assert all(np.abs(sunset - sunsets[0]).mean() < 0.6 for sunset in sunsets)


def test_a_target_never_enlarges_and_leaves_other_formats_alone(odd):
    assert images.open(odd / "modes/rgb.jpg", target=4000).size == (128, 128)
    assert images.open(odd / "modes/rgba.png", target=10).size == (128, 128)
    assert images.open(odd / "frames/stereo.mpo", target=100).size == (160, 120)


def test_the_limit_is_read_from_the_header(odd):
    refused = images.open(odd / "modes/rgb.jpg", max_pixels=128 * 128 - 1)
    assert refused.reason == "128 x 128 pixels, more than the limit of 0 million"
    assert not isinstance(images.open(odd / "modes/rgb.jpg", max_pixels=128 * 128), Unreadable)


BOMBS = """
import sys, time
from pathlib import Path
from vretr import images
def peak():  # MiB; ru_maxrss would be inherited from the process that started this one
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024
images.open(Path(sys.argv[1]) / "modes/rgb.png")
before, start = peak(), time.process_time()
for name in ("bomb_400mp.png", "bomb.gif"):
    assert isinstance(images.open(Path(sys.argv[1]) / "broken" / name), images.Unreadable)
assert peak() - before < 20, peak() - before
assert time.process_time() - start < 0.5
big = images.open(Path(sys.argv[1]) / "broken" / "bomb_144mp.png")
assert big.size == (12000, 12000)
assert peak() - before < 900, peak() - before
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_bombs_cost_neither_time_nor_memory(odd):
    """The 144 MP picture is below our limit: a byte a pixel and four for RGB, 720 MB."""
    subprocess.run([sys.executable, "-W", "error", "-c", BOMBS, str(odd)], check=True, timeout=300)


def test_broken_exif_does_not_lose_a_sound_picture(odd, tmp_path):
    for name in ("invalid_exif.jpg", "broken_exif_dpi.jpg"):
        assert isinstance(images.open(odd / "broken" / name), Image.Image)
    sound = Image.new("RGB", (20, 10), "red")
    for number, exif in enumerate((b"Exif\0\0II", b"Exif\0\0" + b"\xff" * 40, b"Exif\0\0", b"E")):
        sound.save(tmp_path / f"{number}.jpg", exif=exif)
        assert images.open(tmp_path / f"{number}.jpg").size == (20, 10)


def test_eps_and_its_like_never_reach_a_decoder(tmp_path, monkeypatch):
    def started(*args: object, **options: object) -> None:
        raise AssertionError(f"started {args}")

    monkeypatch.setattr(subprocess, "Popen", started)
    monkeypatch.setattr(os, "system", started)
    Image.new("RGB", (20, 10), "red").save(tmp_path / "x.eps")
    (tmp_path / "x.eps").rename(tmp_path / "x.jpg")
    for suffix in ("pdf", "psd", "tga", "sgi", "pcx"):
        (tmp_path / f"{suffix}.jpg").write_bytes(
            {"pdf": b"%PDF-1.7", "psd": b"8BPS"}.get(suffix, b"\n")
        )
    for path in tmp_path.iterdir():
        assert images.open(path).reason == "not a picture of a known format"


@pytest.mark.parametrize(
    "error",
    [SyntaxError("x"), OverflowError(), MemoryError(), KeyError("k"), ValueError("\x1b[0m")],
)
def test_whatever_a_decoder_raises_is_a_reason(odd, monkeypatch, error):
    def fail(self: object) -> None:
        raise error

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    result = images.open(odd / "modes/rgb.bmp")
    assert isinstance(result, Unreadable)
    assert result.reason and result.reason.isprintable()


def test_an_interrupt_is_not_a_broken_picture(odd, monkeypatch):
    def interrupt(self: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", interrupt)
    with pytest.raises(KeyboardInterrupt):
        images.open(odd / "modes/rgb.bmp")


def test_pillows_switches_are_as_before_even_after_many_threads(odd):
    limit, filters = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    paths = sorted((odd / "modes").iterdir()) * 3
    threads = [
        threading.Thread(target=lambda part=part: [images.open(path) for path in paths[part::8]])
        for part in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert limit == Image.MAX_IMAGE_PIXELS
    assert filters == list(warnings.filters)


def test_a_pipe_named_like_a_picture_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    assert images.open(tmp_path / "pipe.jpg").reason == "not a regular file"
