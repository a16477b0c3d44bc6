"""The pixels, against torchvision, open_clip and timm themselves."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from vretr import images
from vretr.images import Preprocessing
from vretr.images.preprocessing import target_padded, target_padding

HALF = (0.5, 0.5, 0.5)


def noise(width: int, height: int) -> Image.Image:
    generator = np.random.default_rng(width * 1000 + height)
    return Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))


def made(size: int, **options) -> Preprocessing:
    return Preprocessing(size=size, mean=HALF, std=HALF, **({"gap": 0.0} | options))


def undone(tensor) -> np.ndarray:
    """[3, S, S] in 0..1 -> uint8 [S, S, 3]."""
    return (tensor.numpy() * 255).round().astype(np.uint8).transpose(1, 2, 0)


sides = st.integers(1, 300)
few = settings(max_examples=40)


@few
@given(width=sides, height=sides, size=st.integers(1, 64), fit=st.sampled_from(["crop", "squash"]))
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_crop_and_squash_equal_torchvision(width, height, size, fit, interpolation):
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

    if max(width, height) > 8 * min(width, height):
        return  # see test_strips
    mode = InterpolationMode(interpolation)
    steps = (
        [Resize((size, size), mode)] if fit == "squash" else [Resize(size, mode), CenterCrop(size)]
    )
    picture = noise(width, height)
    expected = np.asarray(Compose(steps)(picture))
    ours = made(size, fit=fit, interpolation=interpolation).pixels(picture)
    assert ours.shape == (size, size, 3) and ours.dtype == np.uint8
    assert np.array_equal(ours, expected)


@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
def test_the_pixels_are_open_clips(fit, camera):
    from open_clip.transform import image_transform

    mode = {"crop": "shortest", "squash": "squash", "pad": "longest"}[fit]
    transform = image_transform(
        224, is_train=False, mean=(0, 0, 0), std=(1, 1, 1), resize_mode=mode, fill_color=0
    )
    pictures = [
        noise(*size) for size in [(500, 333), (333, 500), (224, 224), (90, 100), (101, 100)]
    ]
    pictures.append(images.open(camera / "z10_street_o6.jpg"))
    for picture in pictures:
        ours = made(224, fit=fit).pixels(picture)
        assert np.array_equal(ours, undone(transform(picture))), picture.size


@few
@given(width=sides, height=sides, size=st.integers(2, 64))
def test_pad_equals_open_clips_longest(width, height, size):
    from open_clip.transform import image_transform

    if max(width, height) >= 2 * size * min(width, height):
        return  # a side of zero pixels: open_clip raises, we keep one
    transform = image_transform(
        size, is_train=False, mean=(0, 0, 0), std=(1, 1, 1), resize_mode="longest", fill_color=0
    )
    picture = noise(width, height)
    assert np.array_equal(made(size, fit="pad").pixels(picture), undone(transform(picture)))


@few
@given(
    width=st.integers(20, 160),
    height=st.integers(20, 160),
    fraction=st.sampled_from([0.875, 0.9, 0.95, 0.96, 1.0]),
    size=st.sampled_from([16, 31, 32]),
)
def test_crop_fraction_equals_timms_crop_pct(width, height, fraction, size):
    from timm.data import create_transform

    transform = create_transform(
        size, interpolation="bicubic", crop_pct=fraction, mean=(0, 0, 0), std=(1, 1, 1)
    )
    picture = noise(width, height)
    ours = made(size, crop_fraction=fraction).pixels(picture)
    assert np.array_equal(ours, undone(transform(picture)))


@pytest.mark.parametrize("size", [(900, 100), (100, 900), (2000, 30), (30, 2000)])
def test_strips_are_cropped_before_they_are_enlarged(size):
    """The same picture but for rounding: Pillow may take width and height in the other order."""
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

    picture = noise(*size).filter(ImageFilter.GaussianBlur(2))
    expected = Compose([Resize(64, InterpolationMode.BICUBIC), CenterCrop(64)])(picture)
    difference = made(64).pixels(picture).astype(int) - np.asarray(expected).astype(int)
    assert np.abs(difference).max() <= 2
    assert np.abs(difference).mean() < 0.1


@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
@pytest.mark.parametrize("gap", [0.0, 2.0])
def test_one_pixel_and_lines_work_in_every_fit(odd, fit, gap):
    for path in sorted((odd / "shapes").iterdir()):
        pixels = made(224, fit=fit, gap=gap).pixels(images.open(path))
        assert pixels.shape == (224, 224, 3)
    assert made(224, fit=fit).pixels(images.open(odd / "shapes/white.jpg")).min() == 255


@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
def test_the_gap_changes_real_photos_little(fit, camera):
    """Mean difference in levels of 255; a crop that is beside by a pixel makes 3 of one of them."""
    near, far = Preprocessing(224, HALF, HALF, fit=fit), made(224, fit=fit)
    for path in sorted(camera.glob("*.jpg")):
        reduced = near.pixels(images.open(path, target=near.target)).astype(int)
        full = far.pixels(images.open(path, target=far.target)).astype(int)
        assert np.abs(reduced - full).mean() < 0.8, path.name
        assert not np.array_equal(reduced, full)


def test_the_target_is_the_gap_above_what_is_resized_to():
    assert Preprocessing(224, HALF, HALF).target == 448
    assert Preprocessing(224, HALF, HALF, gap=1.5).target == 336
    assert Preprocessing(224, HALF, HALF, crop_fraction=0.875).target == 512
    assert Preprocessing(224, HALF, HALF, crop_fraction=0.875, fit="squash").target == 448
    assert Preprocessing(224, HALF, HALF, gap=0).target is None


def test_the_description_tells_every_field_apart():
    base = {"size": 224, "mean": HALF, "std": HALF}
    others = [
        {"size": 225}, {"mean": (0.5, 0.5, 0.4)}, {"std": (0.5, 0.5, 0.4)}, {"gap": 0.0},
        {"interpolation": "bilinear"}, {"fit": "pad"}, {"crop_fraction": 0.9},
    ]  # fmt: skip
    descriptions = {Preprocessing(**(base | other)).describe() for other in [{}, *others]}
    assert len(descriptions) == len(others) + 1
    preprocessing = Preprocessing(**base)
    assert pickle.loads(pickle.dumps(preprocessing)) == preprocessing  # noqa: S301


def test_a_size_before_decoding_counts_only_while_the_picture_is_as_decoded(tmp_path):
    noise(1203, 802).save(tmp_path / "x.jpg", exif=orientation(6))
    picture = images.open(tmp_path / "x.jpg", target=300)
    assert (picture.size, picture.info["full_size"]) == ((401, 602), (802, 1203))
    cut = picture.crop((0, 0, 401, 401))
    plain = Image.fromarray(np.asarray(cut))
    assert np.array_equal(made(224).pixels(cut), made(224).pixels(plain))
    assert "full_size" not in images.open(tmp_path / "x.jpg").info


def orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


@few
@given(width=sides, height=sides, size=st.integers(1, 64))
def test_with_a_gap_pictures_that_need_no_shrinking_differ_by_rounding_only(width, height, size):
    if min(width, height) >= 4 * size or max(width, height) > 8 * min(width, height):
        return
    picture = noise(width, height).filter(ImageFilter.GaussianBlur(2))
    reference = made(size).pixels(picture).astype(int)
    assert np.abs(made(size, gap=2.0).pixels(picture) - reference).max() <= 2


@pytest.mark.parametrize(
    ("size", "padding", "padded"),
    [
        ((400, 200), (0, 60), (400, 320)),
        ((100, 301), (70, 0), (240, 301)),
        ((500, 400), (0, 0), (500, 400)),
        ((499, 400), (0, 0), (499, 400)),
        ((640, 427), (0, 42), (640, 511)),
        ((333, 500), (33, 0), (399, 500)),
    ],
)
def test_targetpad(size, padding, padded):
    """SEARLE's golden sizes; the pixels are those of the padded picture, cropped."""
    assert target_padding(*size) == padding
    picture = noise(*size)
    bars = target_padded(picture)
    assert bars.size == padded
    canvas = np.zeros((*padded[::-1], 3), np.uint8)
    canvas[padding[1] : padding[1] + size[1], padding[0] : padding[0] + size[0]] = picture
    assert np.array_equal(np.asarray(bars), canvas)
    plain = made(64, gap=2.0)
    assert plain.target_padded().target is None
    expected = made(64).pixels(Image.fromarray(canvas))
    assert np.array_equal(plain.target_padded().pixels(picture), expected)


def test_targetpad_of_what_it_is_not_for():
    with pytest.raises(ValueError, match="not before 'squash'"):
        made(64, fit="squash").target_padded()
    with pytest.raises(OSError, match="too long to be padded"):
        target_padded(Image.new("RGB", (40_000, 1)))
