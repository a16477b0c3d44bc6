"""Colours of the odd modes, against the same portrait as plain RGB and against the formulas."""

import numpy as np
import pytest
from PIL import Image

from vretr import images
from vretr.images.modes import to_rgb


@pytest.fixture(scope="module")
def portrait(odd) -> np.ndarray:
    return np.asarray(Image.open(odd / "modes/rgb.ppm")).astype(float)


def opened(path) -> np.ndarray:
    return np.asarray(images.open(path)).astype(float)


# Mean difference allowed: lossy compression, 256 colours, and the corners that are transparent.
COLOUR = {
    "rgb.jpg": 2, "rgb.bmp": 2, "progressive.jpg": 5, "ycck.jpg": 4, "lab.tif": 3,
    "jpeg2000.jp2": 6, "rgb.avif": 5, "palette.png": 8, "palette_transparent.png": 11,
    "rgb_trns.png": 2,
}  # fmt: skip


@pytest.mark.parametrize("name", COLOUR)
def test_colour_modes_show_the_portrait(odd, portrait, name):
    assert np.abs(opened(odd / "modes" / name) - portrait).mean() < COLOUR[name]
    assert np.abs(opened(odd / "modes" / name).mean((0, 1)) - portrait.mean((0, 1))).max() < 2.5


@pytest.mark.parametrize("name", ["grey.jpg", "grey16.png", "grey16.tif", "float32.tif"])
def test_grey_modes_show_its_lightness(odd, portrait, name):
    lightness = portrait @ [0.299, 0.587, 0.114]  # ITU-R 601-2, as Pillow's "L"
    picture = opened(odd / "modes" / name)
    assert np.ptp(picture, axis=2).max() == 0
    assert np.abs(picture[..., 0] - lightness).mean() < 2


def test_alpha_is_laid_over_white(odd):
    for name in ("rgba.png", "grey_alpha.png", "palette_alpha_bytes.png"):
        rgba = np.asarray(Image.open(odd / "modes" / name).convert("RGBA")).astype(float)
        alpha = rgba[..., 3:] / 255
        expected = rgba[..., :3] * alpha + 255 * (1 - alpha)
        assert np.abs(opened(odd / "modes" / name) - expected).max() <= 1
        assert alpha.min() < 0.5  # there is something to see through
    assert opened(odd / "modes/fully_transparent.png").min() == 255


def test_inverted_cmyk_is_not_a_negative(odd):
    """The word RED in red on black: in a negative the ground would be white."""
    for name in ("cmyk.jpg", "cmyk_jpeg.tif"):
        assert opened(odd / "modes" / name).mean((0, 1)) == pytest.approx([30.2, 5.4, 7.4], abs=1)


def test_the_first_frame_counts(odd):
    golden = {"animated.png": (255, 0, 0), "multipage.tiff": (0, 128, 0)}  # frames of one colour
    for name, colour in golden.items():
        assert opened(odd / "frames" / name) == pytest.approx(
            np.broadcast_to(colour, opened(odd / "frames" / name).shape)
        )
    for name in ("animated.gif", "dispose_prev.gif", "animated.webp", "star.avif", "stereo.mpo"):
        with Image.open(odd / "frames" / name) as picture:
            assert getattr(picture, "n_frames", 1) > 1
            picture.seek(0)
            rgba = np.asarray(picture.convert("RGBA")).astype(float)
        expected = rgba[..., :3] * rgba[..., 3:] / 255 + 255 - rgba[..., 3:]
        assert np.abs(opened(odd / "frames" / name) - expected).max() <= 1, name


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 257, 32896, 65535]], np.uint16), [0, 1, 128, 255]),
        (np.array([[0, 257, 32896, 65535]], ">u2"), [0, 1, 128, 255]),
        (np.array([[0, 257, 32896, 65535]], np.int32), [0, 1, 128, 255]),
        (np.array([[-100, 0, 100]], np.int32), [0, 128, 255]),
        (np.array([[0, 1_000_000]], np.int32), [0, 255]),
        (np.array([[0.0, 0.5, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[0.0, 100.0, 200.0]], np.float32), [0, 100, 200]),
        (np.array([[-1.0, 0.0, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[0.0, 1e30]], np.float32), [0, 255]),
        (np.array([[np.nan, 1.0, np.inf]], np.float32), [0, 255, 0]),
        (np.array([[7.0, 7.0]], np.float32), [7, 7]),
        (np.array([[-7.0, -7.0]], np.float32), [0, 0]),
    ],
)
def test_deep_grey_is_scaled_not_clipped(values, expected):
    rgb = np.asarray(to_rgb(Image.fromarray(values)))
    assert rgb[0, :, 0].tolist() == pytest.approx(expected, abs=1)
    assert np.ptp(rgb, axis=2).max() == 0


@pytest.mark.parametrize(
    "mode", ["1", "L", "P", "LA", "PA", "RGBA", "RGBa", "CMYK", "YCbCr", "HSV"]
)
def test_black_stays_black_and_white_white_in_every_mode(mode):
    picture = Image.new("RGB", (2, 1), "white")
    picture.putpixel((0, 0), (0, 0, 0))
    if mode == "RGBa":
        picture = picture.convert("RGBA")
    if mode == "PA":
        picture = picture.convert("P")
    assert np.asarray(to_rgb(picture.convert(mode))).tolist() == [[[0] * 3, [255] * 3]]
