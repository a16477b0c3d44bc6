"""Cut-out boxes against pictures whose true shape is known."""

import numpy as np
from PIL import Image

from lsd.rectifying import homography, rectified


def test_four_points_go_where_they_should() -> None:
    source = np.array([[0.0, 0], [300, 0], [300, 200], [0, 200]])
    target = np.array([[12.0, 30], [250, 5], [280, 240], [40, 190]])
    matrix = homography(source, target)
    moved = np.hstack([source, np.ones((4, 1))]) @ matrix.T
    assert np.allclose(moved[:, :2] / moved[:, 2:], target)


def test_an_upright_box_is_cut_out_as_it_is() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    corners = np.array([[10, 20], [50, 20], [50, 45], [10, 45]], np.float32)
    cut = rectified(Image.fromarray(pixels), corners)
    assert np.array_equal(np.asarray(cut), pixels[20:45, 10:50])


def test_a_sheet_seen_from_aside_comes_out_straight() -> None:
    """Drawn by the inverse map, pixel by pixel."""
    sheet = np.zeros((100, 160, 3), np.uint8)
    sheet[:50, :80], sheet[50:, 80:] = (200, 40, 40), (40, 40, 200)
    corners = np.array([[30.0, 20], [190, 40], [170, 150], [20, 120]])
    back = homography(corners, np.array([[0.0, 0], [160, 0], [160, 100], [0, 100]]))
    seen = np.zeros((180, 220, 3), np.uint8)
    for y in range(180):
        for x in range(220):
            u, v, w = back @ (x + 0.5, y + 0.5, 1)
            column, row = int(u // w), int(v // w)
            if 0 <= column < 160 and 0 <= row < 100:
                seen[y, x] = sheet[row, column]
    cut = rectified(Image.fromarray(seen), corners)
    sides = np.hypot(*(np.roll(corners, -1, axis=0) - corners).T)
    assert cut.size == (round(max(sides[0], sides[2])), round(max(sides[1], sides[3])))
    straight = np.asarray(cut.resize((160, 100))).astype(int)
    difference = np.abs(straight - sheet).max(axis=-1)
    assert (difference > 60).mean() < 0.05  # along edges only
    assert difference[10:40, 10:70].max() < 5 and difference[60:90, 90:150].max() < 5
