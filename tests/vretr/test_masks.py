"""Masks of query pictures: read, drawn, and refused in one sentence."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vretr.errors import UsageError, VretrError
from vretr.images import Preprocessing, open
from vretr.masks import mask_of

SEEN = Preprocessing(size=32, mean=(0.5,) * 3, std=(0.5,) * 3)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "x.jpg"
    Image.new("RGB", (960, 640), "red").save(path)
    return path


def mask(path: Path, box: tuple[int, ...], size: tuple[int, int] = (960, 640)) -> Path:
    shades = Image.new("L", size)
    shades.paste(255, box)
    shades.save(path)
    return path


def found(picture: Path, given) -> np.ndarray:
    opened = open(picture, target=SEEN.target)
    assert isinstance(opened, Image.Image)
    return mask_of(opened, picture, SEEN, given)


def test_a_box_is_as_good_as_a_picture_also_of_a_reduced_one(picture: Path, tmp_path: Path) -> None:
    by_box = found(picture, (160, 0, 320, 640))
    by_picture = found(picture, mask(tmp_path / "m.png", (160, 0, 480, 640)))
    np.testing.assert_array_equal(by_box, by_picture)
    assert by_box[:, :15].all() and not by_box[:, 17:].any()
    assert open(picture, target=SEEN.target).size != (960, 640)


def test_a_box_may_reach_over_the_edge(picture: Path) -> None:
    np.testing.assert_array_equal(
        found(picture, (-50, -50, 530, 5000)), found(picture, (0, 0, 480, 640))
    )


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("none.png", "There is no mask"),
        ("small.png", "has 10 x 20 pixels and .* 960 x 640: they must have the same"),
        ("black.png", "black all over"),
        ("white.png", "white all over"),
        ("side.png", "lies outside of what the encoder sees"),
        ("middle.png", "covers all that the encoder sees"),
        ((1000, 0, 5, 5), "The box 1000,0,5,5 lies outside of"),
        ((0, 0, 960, 640), "covers all"),
    ],
)
def test_what_is_no_mask(picture: Path, tmp_path: Path, given, sentence: str) -> None:
    mask(tmp_path / "small.png", (0, 0, 5, 5), (10, 20))
    mask(tmp_path / "black.png", (0, 0, 0, 0))
    mask(tmp_path / "white.png", (0, 0, 960, 640))
    mask(tmp_path / "side.png", (0, 0, 100, 640))
    mask(tmp_path / "middle.png", (100, 0, 860, 640))
    with pytest.raises(UsageError, match=sentence):
        found(picture, tmp_path / given if isinstance(given, str) else given)


def test_a_file_that_is_no_picture(picture: Path, tmp_path: Path) -> None:
    (tmp_path / "m.png").write_text("no")
    with pytest.raises(VretrError, match=r"The mask .* cannot be read"):
        found(picture, tmp_path / "m.png")
