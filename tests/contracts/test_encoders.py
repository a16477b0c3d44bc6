"""What every encoder keeps, whoever made it: DESIGN's contract, run against all that is here."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.vretr.encoders.tiny import tiny_clip
from vretr.encoders import Encoder, PseudoTextEncoder, load_encoder
from vretr.errors import UsageError

TEXTS = ["a red circle", "two green squares beside a tree, seen from far away", "", "snow ☃ ❄"]
KINDS = ("lite", "open_clip", "timm")

Make = Callable[..., Encoder]


@pytest.fixture(scope="module", params=KINDS)
def make(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Loads the encoder of a kind, each time anew."""
    if request.param == "lite":
        name = "lite"
    elif request.param == "open_clip":
        name = f"local-dir:{tiny_clip(tmp_path_factory.mktemp('clip'))}"
    else:
        name = "timm:mobilenetv3_small_050/random"

    def made(precision: str = "fp32") -> Encoder:
        return load_encoder(name, device="cpu", precision=precision)

    return made


@pytest.fixture(scope="module")
def encoder(make: Make) -> Encoder:
    return make()


@pytest.fixture
def pictures(photos: Path) -> list[Image.Image]:
    found = [Image.open(path).convert("RGB") for path in sorted(photos.iterdir())]
    return [*found[:5], found[5].convert("L"), found[6].convert("RGBA"), found[7].resize((31, 400))]


def test_it_is_an_encoder(encoder: Encoder) -> None:
    assert isinstance(encoder, Encoder)
    assert isinstance(encoder.dim, int)
    assert encoder.dim > 0


def test_its_name_makes_it_again(encoder: Encoder) -> None:
    again = load_encoder(encoder.name, device="cpu", precision="fp32")
    assert (again.name, again.identity, again.dim) == (encoder.name, encoder.identity, encoder.dim)


def test_vectors_of_pictures(encoder: Encoder, pictures: list[Image.Image]) -> None:
    vectors = encoder.encode_images(pictures)
    assert vectors.shape == (len(pictures), encoder.dim)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_vectors_of_texts(encoder: Encoder) -> None:
    if not encoder.reads_text:
        with pytest.raises(UsageError):
            encoder.encode_texts(TEXTS)
        return
    vectors = encoder.encode_texts(TEXTS)
    assert vectors.shape == (len(TEXTS), encoder.dim)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert abs(vectors[0] - vectors[1]).max() > 1e-3


def test_nothing_in_nothing_out(encoder: Encoder) -> None:
    size = encoder.preprocessing.size
    assert encoder.encode_images([]).shape == (0, encoder.dim)
    assert encoder.encode_images(np.zeros((0, 3, size, size), np.uint8)).shape == (0, encoder.dim)
    if encoder.reads_text:
        assert encoder.encode_texts([]).shape == (0, encoder.dim)


def test_the_batch_does_not_matter(encoder: Encoder, pictures: list[Image.Image]) -> None:
    together = encoder.encode_images(pictures)
    alone = np.concatenate([encoder.encode_images([picture]) for picture in pictures])
    np.testing.assert_allclose(alone, together, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_images(pictures[::-1])[::-1], together, atol=1e-5)
    if encoder.reads_text:
        together = encoder.encode_texts(TEXTS)
        alone = np.concatenate([encoder.encode_texts([text]) for text in TEXTS])
        np.testing.assert_allclose(alone, together, atol=1e-5)


def test_pixels_are_as_good_as_pictures(encoder: Encoder, pictures: list[Image.Image]) -> None:
    rgb = [picture.convert("RGB") for picture in pictures[:5]]
    expected = encoder.encode_images(rgb)
    rows = np.stack([encoder.preprocessing.pixels(picture) for picture in rgb])
    pixels = rows.transpose(0, 3, 1, 2)
    for same in (pixels, np.ascontiguousarray(pixels), torch.from_numpy(rows).permute(0, 3, 1, 2)):
        np.testing.assert_allclose(encoder.encode_images(same), expected, atol=1e-6)
    pixels.flags.writeable = False
    before = rows.copy()
    np.testing.assert_allclose(encoder.encode_images(pixels), expected, atol=1e-6)
    np.testing.assert_array_equal(rows, before)


@pytest.mark.parametrize("shape", [(2, 3, 5, 5), (3, 8, 8), (1, 8, 8, 3)])
def test_pixels_of_another_shape_are_refused(shape: tuple[int, ...], encoder: Encoder) -> None:
    with pytest.raises(ValueError, match="uint8"):
        encoder.encode_images(np.zeros(shape, np.uint8))


def test_floats_are_not_taken_for_pixels(encoder: Encoder) -> None:
    size = encoder.preprocessing.size
    with pytest.raises(ValueError, match="uint8"):
        encoder.encode_images(np.zeros((1, 3, size, size), np.float32))


def test_identity_does_not_ask_for_precision(make: Make, encoder: Encoder) -> None:
    assert make("bf16").identity == encoder.identity


def test_precision_changes_little(
    make: Make, encoder: Encoder, pictures: list[Image.Image]
) -> None:
    auto = make("auto")
    assert (auto.encode_images(pictures) * encoder.encode_images(pictures)).sum(1).min() >= 0.999
    if encoder.reads_text:
        assert (auto.encode_texts(TEXTS) * encoder.encode_texts(TEXTS)).sum(1).min() >= 0.999


def test_kinds_differ_in_identity(tmp_path: Path) -> None:
    found = [
        load_encoder(f"local-dir:{tiny_clip(tmp_path / 'a')}").identity,
        load_encoder(f"local-dir:{tiny_clip(tmp_path / 'b', seed=1)}").identity,
        load_encoder("timm:mobilenetv3_small_050/random").identity,
        load_encoder("timm:mobilenetv3_small_075/random").identity,
    ]
    assert len(set(found)) == len(found)


def test_pseudo_words(encoder: Encoder) -> None:
    if not isinstance(encoder, PseudoTextEncoder):
        pytest.skip("this encoder's sentences hold no pseudo words")
    prompts = encoder.prompts([("a photo of ", ""), ("", " on a table")])
    words = torch.randn(2, encoder.token_width, requires_grad=True)
    vectors = encoder.embed(prompts, words)
    assert vectors.shape == (2, encoder.dim)
    vectors.square().sum().backward()
    assert words.grad is not None
    assert (words.grad.abs().sum(1) > 0).all()
