"""The text side in torch against the same in NumPy, and its gradient against finite differences."""

import logging
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from vretr.encoders.base import KeepsLengths
from vretr.encoders.lite import Lite, terms
from vretr.encoders.lite.torch_texts import TorchTexts, texts
from vretr.encoders.prompts import Pieces, Prompts

TEXTS = [
    "a dog in the snow",
    "",
    "Beagle",
    "A man riding a wave on top of a surfboard!",
    "x " * 300,
]
SENTENCES: list[Pieces] = [
    ("a photo of ", " that is red"),
    ("", ""),
    ("a dog on grass",),
    ("", ", a sketch of ", " and ", " beside a tree, seen from far away"),
]


@pytest.fixture(scope="module")
def lite() -> Lite:
    return Lite(device="cpu")


def some_words(count: int, *, seed: int = 0) -> np.ndarray:
    """As long as real word embeddings, about 1.4."""
    return np.random.default_rng(seed).normal(0, 0.07, (count, 384)).astype(np.float32)


def embedding(lite: Lite, word: str) -> np.ndarray:
    """What the tower looks up for a word of one token."""
    _, number, _ = lite.prompts([(word,)]).ids[0]
    return lite._text_tower.weights["embeddings.word_embeddings.weight"][number]


@pytest.mark.parametrize("heads", ["", "free"])
def test_plain_texts(heads: str) -> None:
    encoder = Lite(device="cpu", heads=terms.path(heads))
    found = encoder.embed(encoder.prompts([(text,) for text in TEXTS]))
    np.testing.assert_allclose(found.numpy(), encoder.encode_texts(TEXTS), atol=1e-5)


def test_sentences_with_pseudo_words(lite: Lite) -> None:
    words = some_words(5)
    prompts = lite.prompts(SENTENCES)
    found = lite.embed(prompts, torch.from_numpy(words))
    expected = lite.encode_with(SENTENCES, words)
    assert found.shape == expected.shape == (4, 640)
    assert found.dtype == torch.float32
    assert expected.dtype == np.float32
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)
    padded = lite.embed(prompts.padded(100), torch.from_numpy(words))
    torch.testing.assert_close(padded, found, atol=1e-5, rtol=0)


def test_sentences_alone_are_the_same(lite: Lite) -> None:
    words = some_words(5)
    together = lite.encode_with(SENTENCES, words)
    first = 0
    for row, pieces in enumerate(SENTENCES):
        own = words[first : (first := first + len(pieces) - 1)]
        alone = lite.encode_with([pieces], own)
        np.testing.assert_allclose(alone[0], together[row], atol=1e-5)
        in_torch = lite.embed(lite.prompts([pieces]), torch.from_numpy(own))
        np.testing.assert_allclose(in_torch[0].numpy(), together[row], atol=1e-5)


def test_many_sentences_in_any_order(lite: Lite) -> None:
    sentences = [("very " * (i % 7), " dog " * (i % 3), "") for i in range(150)]
    words = some_words(300)
    found = lite.encode_with(sentences, words)
    for i in (0, 63, 64, 149):
        alone = lite.encode_with(sentences[i : i + 1], words[2 * i : 2 * i + 2])
        np.testing.assert_allclose(found[i], alone[0], atol=1e-5)


def test_a_pseudo_word_that_is_a_word(lite: Lite) -> None:
    words = np.stack([embedding(lite, word) for word in ("dog", "cat", "car", "man", "tree")])
    expected = lite.encode_texts(
        [
            "a photo of dog that is red",
            "cat",
            "a dog on grass",
            "car, a sketch of man and tree beside a tree, seen from far away",
        ]
    )
    np.testing.assert_allclose(lite.encode_with(SENTENCES, words), expected, atol=1e-5)


def test_the_gradient_reaches_the_words_alone(lite: Lite) -> None:
    twin = TorchTexts(lite._heads, device="cpu")
    twin.bert.weights = {name: value.double() for name, value in twin.bert.weights.items()}
    twin.heads = {name: value.double() for name, value in twin.heads.items()}
    prompts = lite.prompts(SENTENCES)
    draws = torch.Generator().manual_seed(1)
    target = torch.randn(4, 640, generator=draws, dtype=torch.float64)
    words = torch.from_numpy(some_words(5)).double().requires_grad_()

    def loss(words: torch.Tensor) -> torch.Tensor:
        return (twin(prompts, words) * target).sum()

    loss(words).backward()
    assert words.grad is not None
    assert (words.grad.abs().sum(1) > 0).all()
    for _ in range(5):
        step = 1e-6 * torch.randn(5, 384, generator=draws, dtype=torch.float64)
        with torch.no_grad():
            change = float(loss(words + step) - loss(words - step)) / 2
        assert change == pytest.approx(float((words.grad * step).sum()), rel=1e-5)
    tensors = [*twin.bert.weights.values(), *twin.heads.values()]
    assert all(tensor.grad is None and not tensor.requires_grad for tensor in tensors)


def test_heads_in_torch(lite: Lite) -> None:
    draws = np.random.default_rng(3)
    sentences = draws.normal(size=(6, 384)).astype(np.float32)
    sentences[3:] = lite._heads.tensors["class_names"][[0, 7, 999]]
    sentences /= np.linalg.norm(sentences, axis=1, keepdims=True)
    found = texts(lite._torch_texts.heads, torch.from_numpy(sentences))
    np.testing.assert_allclose(found.numpy(), lite._heads.texts(sentences), atol=1e-5)


def test_a_long_sentence_keeps_its_place(lite: Lite, caplog: pytest.LogCaptureFixture) -> None:
    encoder = Lite(device="cpu")
    words = some_words(1)
    with caplog.at_level(logging.WARNING):
        found = encoder.encode_with([("dog " * 400, " and more")], words)
        encoder.prompts([("dog " * 400,)])
    assert [record.getMessage() for record in caplog.records] == [
        "A text is longer than the 254 tokens that the model reads; its end is left out."
    ]
    expected = lite.encode_with([("dog " * 253, "")], words)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_letters_that_it_cannot_read_are_told(caplog: pytest.LogCaptureFixture) -> None:
    encoder = Lite(device="cpu")
    encoder.encode_with([("한국어 ", " 문장")], some_words(1))
    assert ["English" in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.parametrize("shape", [(0, 384), (2, 384), (1, 383), (384,)])
def test_words_that_do_not_fit(shape: Sequence[int], lite: Lite) -> None:
    with pytest.raises(ValueError, match=r"\[1, 384\]"):
        lite.encode_with([("a ", "")], np.zeros(shape, np.float32))
    with pytest.raises(ValueError, match=r"\[1, 384\]"):
        lite.embed(lite.prompts([("a ", "")]), torch.zeros(*shape))


def test_nothing_in_nothing_out(lite: Lite) -> None:
    assert lite.encode_with([], some_words(0)).shape == (0, 640)
    assert lite.embed(lite.prompts([])).shape == (0, 640)


def test_a_fast_reader_may_hand_in_ids_alone(lite: Lite) -> None:
    ids = lite.prompts([("a dog",), ("a dog on grass",)]).ids
    found = lite.embed(Prompts(ids)).numpy()
    np.testing.assert_allclose(found, lite.encode_texts(["a dog", "a dog on grass"]), atol=1e-5)


def test_pictures_have_unit_length_anyway(lite: Lite) -> None:
    assert isinstance(lite, KeepsLengths)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 224, 224), np.uint8)
    np.testing.assert_array_equal(lite.project_images(pixels), lite.encode_images(pixels))


def test_pseudo_words_are_read_without_torch() -> None:
    code = (
        "import sys; import numpy as np; from vretr.encoders import load_encoder; "
        "e = load_encoder('lite'); "
        "e.encode_with([('a photo of ', ' in red')], np.ones((1, e.token_width), np.float32)); "
        "sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'timm', 'scipy')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
