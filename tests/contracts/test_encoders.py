"""What every encoder keeps, whoever made it: DESIGN's contract, run against all that is here."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.vretr.encoders.tiny import tiny_clip
from vretr.encoders import Encoder, PseudoTextEncoder, load_encoder, unit
from vretr.encoders.base import KeepsLengths, TellsTokens
from vretr.encoders.lite import Lite
from vretr.encoders.openclip import OpenClip
from vretr.encoders.prompts import Pieces, Prompts
from vretr.errors import UsageError

TEXTS = ["a red circle", "two green squares beside a tree, seen from far away", "", "snow ☃ ❄"]
KINDS = ("lite", "open_clip", "timm", "pooled")

Make = Callable[..., Encoder]


@pytest.fixture(scope="module", params=KINDS)
def make(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Loads the encoder of a kind, each time anew."""
    if request.param == "lite":
        name = "lite"
    elif request.param == "open_clip":
        name = f"local-dir:{tiny_clip(tmp_path_factory.mktemp('clip'))}"
    elif request.param == "timm":
        name = "timm:mobilenetv3_small_050/random"
    else:
        name = "timm:test_vit/random+cls,ggem"

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


SENTENCES: list[Pieces] = [
    ("a photo of ", " that costs $5"),
    ("", ""),
    ("two green squares beside a tree",),
    ("", ", a sketch of ", "", ""),
]


@pytest.fixture(scope="module")
def pseudo(encoder: Encoder) -> PseudoTextEncoder:
    if not isinstance(encoder, PseudoTextEncoder):
        pytest.skip("this encoder's sentences hold no pseudo words")
    return encoder


def table(encoder: PseudoTextEncoder) -> torch.Tensor:
    """The embeddings of all tokens: [vocabulary, token_width]."""
    if isinstance(encoder, Lite):
        weights = encoder._text_tower.weights["embeddings.word_embeddings.weight"]
        return torch.tensor(weights)
    assert isinstance(encoder, OpenClip)
    return encoder._clip_texts._tower.token_embedding.weight.detach()


def words_for(encoder: PseudoTextEncoder, sentences: list[Pieces]) -> torch.Tensor:
    """Some embedding for each place, of a real one's size."""
    draws = torch.Generator().manual_seed(3)
    places = len(encoder.prompts(sentences).rows)
    noise = torch.randn(places, encoder.token_width, generator=draws)
    return noise * table(encoder).std()


def test_sentences_without_places_are_texts(pseudo: PseudoTextEncoder) -> None:
    found = unit(pseudo.embed(pseudo.prompts([(text,) for text in TEXTS])).numpy())
    np.testing.assert_allclose(found, pseudo.encode_texts(TEXTS), atol=1e-5)
    none = np.zeros((0, pseudo.token_width), np.float32)
    found = pseudo.encode_with([(text,) for text in TEXTS], none)
    np.testing.assert_allclose(found, pseudo.encode_texts(TEXTS), atol=1e-5)


def test_a_places_own_embedding_changes_nothing(pseudo: PseudoTextEncoder) -> None:
    prompts = pseudo.prompts(SENTENCES)
    own = table(pseudo)[torch.from_numpy(prompts.ids[prompts.rows, prompts.columns])]
    plain = pseudo.embed(Prompts(prompts.ids))
    torch.testing.assert_close(pseudo.embed(prompts, own), plain, atol=1e-5, rtol=0)


def test_a_pseudo_word_may_be_a_word(pseudo: PseudoTextEncoder) -> None:
    _, number, _ = pseudo.prompts([("cat",)]).ids[0]
    cats = table(pseudo)[number].expand(5, -1)
    sentences = [*SENTENCES[:3], ("", ", a sketch of ", " or ", "")]
    texts = ["cat".join(pieces) for pieces in sentences]
    expected = pseudo.encode_texts(texts)
    found = unit(pseudo.embed(pseudo.prompts(sentences), cats).numpy())
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(pseudo.encode_with(sentences, cats.numpy()), expected, atol=1e-5)


def test_queries_are_read_as_in_training(pseudo: PseudoTextEncoder) -> None:
    words = words_for(pseudo, SENTENCES)
    vectors = pseudo.embed(pseudo.prompts(SENTENCES), words)
    assert (vectors.shape, vectors.dtype) == ((4, pseudo.dim), torch.float32)
    found = pseudo.encode_with(SENTENCES, words.numpy())
    assert (found.shape, found.dtype) == ((4, pseudo.dim), np.float32)
    np.testing.assert_allclose(found, unit(vectors.numpy()), atol=1e-5)


def test_gradients_reach_every_pseudo_word(pseudo: PseudoTextEncoder) -> None:
    words = words_for(pseudo, SENTENCES).requires_grad_()
    vectors = pseudo.embed(pseudo.prompts(SENTENCES), words)
    (vectors * torch.linspace(-1, 1, pseudo.dim)).sum().backward()
    assert words.grad is not None
    assert (words.grad.abs().sum(1) > 0).all()


def test_padding_changes_nothing(pseudo: PseudoTextEncoder) -> None:
    prompts, words = pseudo.prompts(SENTENCES), words_for(pseudo, SENTENCES)
    assert prompts.ids.shape[1] < pseudo.context
    padded = pseudo.embed(prompts.padded(pseudo.context), words)
    torch.testing.assert_close(padded, pseudo.embed(prompts, words), atol=1e-5, rtol=0)


def test_what_is_cut_is_never_a_place(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    encoder = make()
    if not isinstance(encoder, PseudoTextEncoder):
        pytest.skip("this encoder's sentences hold no pseudo words")
    caplog.clear()
    long: Pieces = ("word " * encoder.context, " and ", " and more")
    words = words_for(encoder, [long]).numpy()
    found = encoder.encode_with([long], words)
    assert ["is left out" in record.getMessage() for record in caplog.records] == [True]
    kept = ("word " * (encoder.context - 4), "", "")
    np.testing.assert_allclose(found, encoder.encode_with([kept], words), atol=1e-5)
    assert len(encoder.prompts([kept]).ids[0]) == encoder.context
    with pytest.raises(UsageError, match="pseudo words"):
        encoder.prompts([("",) * encoder.context])


def test_a_dollar_is_a_dollar(pseudo: PseudoTextEncoder) -> None:
    assert len(pseudo.prompts([("a $ that costs $5, or $$",)]).rows) == 0


def test_lengths_of_pictures(encoder: Encoder, pictures: list[Image.Image]) -> None:
    if not isinstance(encoder, KeepsLengths):
        pytest.skip("this encoder tells no lengths")
    vectors = encoder.project_images(pictures)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(unit(vectors), encoder.encode_images(pictures), atol=1e-6)


def test_states_of_tokens(encoder: Encoder) -> None:
    if not isinstance(encoder, TellsTokens):
        pytest.skip("this encoder tells no states of tokens")
    states = encoder.token_states(TEXTS)
    assert states.dtype == np.float32
    assert states.shape == (len(TEXTS), states.shape[1], encoder.token_states_width)
    alone = np.concatenate([encoder.token_states([text]) for text in TEXTS])
    np.testing.assert_allclose(alone, states, atol=1e-4)
    long = encoder.token_states(["word " * 100])
    assert long.shape == states[:1].shape and np.isfinite(long).all()
    assert encoder.token_states([]).shape == (0, *states.shape[1:])


def test_states_are_what_the_vectors_are_made_of(encoder: Encoder) -> None:
    if isinstance(encoder, Lite):
        states = encoder.token_states(TEXTS[:3:2])  # those that are not cut
        sums = [row[row.any(1)].mean(0) for row in states]
        found = encoder._heads.texts(unit(np.stack(sums)))
        np.testing.assert_allclose(found, encoder.encode_texts(TEXTS[:3:2]), atol=1e-4)
    elif isinstance(encoder, OpenClip):
        states = encoder.token_states(TEXTS)
        ends = encoder.prompts([(text,) for text in TEXTS]).lengths - 1
        projection = encoder._clip_texts._tower.text_projection.detach().numpy()
        found = unit(states[np.arange(len(TEXTS)), ends] @ projection)
        np.testing.assert_allclose(found, encoder.encode_texts(TEXTS), atol=1e-5)
    else:
        pytest.skip("this encoder tells no states of tokens")
