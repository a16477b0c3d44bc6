"""Pictures with a part that is not shown: what is grey, and what a mask is at another size."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vretr.images import Masked, Preprocessing
from vretr.images.masked import blanked, resized, seen_mask
from vretr.images.stream import load_pixels

SEEN = Preprocessing(size=32, mean=(0.4, 0.5, 0.6), std=(0.2, 0.2, 0.2), gap=0.0)
shares = st.floats(0, 1)


@given(shares, shares, shares, shares)
def test_a_box_covers_its_share(left: float, top: float, width: float, height: float) -> None:
    mask = Masked("x", (left, top, width, height)).mask(64)
    middles = [(place + 0.5) / 64 for place in range(64)]
    across = [left <= middle < left + width for middle in middles]
    down = [top <= middle < top + height for middle in middles]
    np.testing.assert_array_equal(mask, np.outer(down, across))


def test_masked_pixels_are_grey_and_the_others_as_they_were(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    path = tmp_path / "x.png"
    Image.fromarray(draws.integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(path)
    masked = Masked(str(path), (0.25, 0.5, 0.5, 0.25))
    _, whole = load_pixels(path, SEEN)
    _, pixels = load_pixels(masked, SEEN)
    mask = masked.mask(32)
    assert mask.sum() == 16 * 8
    np.testing.assert_array_equal(pixels[~mask], whole[~mask])
    # 0 behind the normalisation, within the rounding to whole numbers
    assert np.abs(pixels[mask] / 255 - SEEN.mean).max() <= 0.5 / 255
    np.testing.assert_array_equal(blanked(whole, mask, SEEN), pixels)


def test_a_mask_is_cut_like_its_picture() -> None:
    shades = Image.new("L", (64, 32))
    shades.paste(255, (16, 0, 32, 32))  # the left half of the middle square
    mask = seen_mask(shades, SEEN)
    assert mask[:, :15].all() and not mask[:, 17:].any()


def test_another_size() -> None:
    mask = np.zeros((32, 32), bool)
    mask[:16] = True
    for side in (8, 64):
        found = resized(mask, side)
        assert found.shape == (side, side)
        assert found[: side // 2].all() and not found[side // 2 + 1 :].any()
    assert resized(mask, 32) is mask
