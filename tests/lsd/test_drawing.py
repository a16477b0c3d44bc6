"""Overlays: lines where they belong, nothing elsewhere."""

import numpy as np
import pytest
from PIL import Image

from lsd import drawing
from lsd.boxes import Boxes
from lsd.drawing import SCALE, colours, overlay
from lsd.lines import Lines


def lines(*ends: list[float], width: int = 200, height: int = 150) -> Lines:
    scores = np.linspace(1, 0.2, len(ends)).astype(np.float32)
    return Lines(np.array(ends, np.float32).reshape(-1, 4), scores, width, height, 1.0)


GREY = Image.new("RGB", (200, 150), (128, 128, 128))


def test_without_lines_the_picture_stays_as_it_is() -> None:
    assert np.array_equal(np.asarray(overlay(GREY, lines())), np.asarray(GREY))


def test_a_line_is_drawn_where_it_lies_in_the_colour_of_its_score() -> None:
    drawn = np.asarray(overlay(GREY, lines([20, 75, 180, 75])))
    above, below = drawn[74:76, 100].astype(int)
    for row in (above, below):  # it lies between two rows of pixels
        assert row[:2].min() > 150 and row[2] < 100  # yellow
    assert (drawn[:65] == 128).all() and (drawn[85:] == 128).all()
    assert drawn[75, 20].min() > 200  # the ends are marked in white


def test_the_colours_are_those_of_the_scale() -> None:
    scores = np.array([0, 1 / 3, 1], np.float32)
    assert np.abs(colours(scores) - SCALE[[0, 1, 3]]).max() <= 1


def test_bands_leave_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    found = lines([3, 3, 190, 140], [100, 1, 100, 149], [10, 140, 180, 60])
    quad = np.array([[[20, 20], [150, 30], [140, 120], [30, 110]]], np.float32)
    boxes = Boxes(quad, np.ones(1, np.float32))
    whole = np.asarray(overlay(GREY, found, boxes)).astype(int)
    monkeypatch.setattr(drawing, "BAND", 1000)
    at_once = np.asarray(overlay(GREY, found, boxes)).astype(int)
    assert np.abs(whole - at_once).max() < 40
    assert (whole != at_once).any(axis=-1).mean() < 0.01


def test_a_large_picture_is_shrunk_and_its_lines_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "MOST_PIXELS", 200 * 150)
    large = GREY.resize((800, 600))
    drawn = overlay(large, lines([80, 300, 720, 300], width=800, height=600))
    assert drawn.size == (200, 150)
    assert (np.asarray(drawn)[74:76, 100] != 128).any() and (np.asarray(drawn)[:60] == 128).all()


def test_one_pixel() -> None:
    assert overlay(Image.new("RGB", (1, 1)), lines([0, 0, 1, 1], width=1, height=1)).size == (1, 1)
