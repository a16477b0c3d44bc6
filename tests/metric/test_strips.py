"""Strips show the surest errors first, each query beside its true neighbours."""

from pathlib import Path

import numpy as np
from PIL import Image

from metric.strips import BORDER, COLUMNS, NEIGHBOURS, TILE, strips

COLOURS = ["#ff0000", "#00ff00", "#0000ff"]
SIDE = TILE + 2 * BORDER


def world(folder: Path) -> tuple[list[Path], np.ndarray, np.ndarray]:
    """Two classes at right angles, and a photo of class 0 that lies among class 1."""
    angles = [0, 2, 4, 6, 8, 10, 90, 92, 94, 96, 98, 100, 95.5]
    labels = np.array([0] * 6 + [1] * 6 + [0])
    paths = []
    for number, label in enumerate(labels):
        paths.append(folder / f"{number}.png")
        Image.new("RGB", (30, 20), COLOURS[label]).save(paths[-1])
    turned = np.deg2rad(angles)
    return paths, np.stack([np.cos(turned), np.sin(turned)], 1).astype(np.float32), labels


def test_the_surest_error_comes_first_and_good_ones_follow(tmp_path: Path) -> None:
    paths, vectors, labels = world(tmp_path)
    found = strips(paths, vectors, labels, ["red", "green"], count=2)
    captions = [caption for caption, _ in found]
    # The stranger at 95.5° is nearest to 96°, of the other class; so is 96° to the stranger.
    assert captions[0].startswith("wrong: ") and captions[1].startswith("wrong: ")
    assert {caption.split(": ")[1] for caption in captions[:2]} == {
        "red, nearest green (1.00)",
        "green, nearest red (1.00)",
    }
    assert captions[2:] == ["right: red, nearest red (1.00)"] * 2
    strip = found[0][1]
    assert strip.size == (SIDE * COLUMNS, SIDE * 2)


def test_borders_say_what_is_right(tmp_path: Path) -> None:
    paths, vectors, labels = world(tmp_path)
    (caption, strip), *_ = strips(paths, vectors, labels, ["red", "green"], count=1)
    corners = [(n % COLUMNS * SIDE, n // COLUMNS * SIDE) for n in range(1 + NEIGHBOURS)]
    shown = [strip.getpixel((x + 1, y + 1)) for x, y in corners]
    centres = [strip.getpixel((x + SIDE // 2, y + SIDE // 2)) for x, y in corners]
    assert shown[0] == (0x88, 0x88, 0x88)
    for border, centre in zip(shown[1:], centres[1:], strict=True):
        same = centre == centres[0]
        assert border == ((0x2A, 0x9D, 0x3A) if same else (0xC9, 0x30, 0x2C))
    assert caption.startswith("wrong")


def test_a_gallery_is_searched_instead_of_the_queries(tmp_path: Path) -> None:
    paths, vectors, labels = world(tmp_path)
    gallery = paths[6:12], vectors[6:12], labels[6:12]
    found = strips(paths[:6], vectors[:6], labels[:6], ["red", "green"], gallery=gallery, count=9)
    assert len(found) == 6 and all(c.startswith("wrong: red, nearest green") for c, _ in found)


def test_one_photo_has_no_neighbours(tmp_path: Path) -> None:
    paths, vectors, labels = world(tmp_path)
    assert strips(paths[:1], vectors[:1], labels[:1], ["red", "green"]) == []
