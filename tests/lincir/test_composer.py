"""The composer against its formula, written out sentence by sentence; prompts and bad input."""

import sys

import numpy as np
import pytest

from lincir.composer import LinCIR, Prompt
from lincir.phi import Layer, PseudoWords
from vretr.composers import NEGATIVE_WEIGHT, Negatives, WeightedSum, Weights
from vretr.encoders import PseudoTextEncoder
from vretr.encoders.base import unit
from vretr.errors import UsageError

DRAWS = np.random.default_rng(0)
PICTURES = unit(DRAWS.normal(size=(4, 24)))


def phi(tokens: int = 1, length: float = 3.0) -> PseudoWords:
    draws = np.random.default_rng(tokens)
    layer = Layer(
        draws.normal(size=(32 * tokens, 24)).astype(np.float32) * 0.1,
        draws.normal(size=32 * tokens).astype(np.float32) * 0.1,
    )
    return PseudoWords((layer,), length=length)


@pytest.fixture
def lincir(encoder: PseudoTextEncoder) -> LinCIR:
    return LinCIR(encoder, phi())


def said(encoder, *pieces: str, words) -> np.ndarray:
    return encoder.encode_with([pieces], np.atleast_2d(words))[0]


def test_a_picture_and_words(lincir, encoder) -> None:
    expected = said(encoder, "a photo of ", " that is red", words=phi()(PICTURES[:1]))
    np.testing.assert_allclose(lincir.compose(PICTURES[:1], ["is red"]), expected, atol=1e-5)


def test_pictures_alone_and_words_alone_are_what_they_are_in_the_sum(lincir, encoder) -> None:
    plain = WeightedSum(encoder)
    np.testing.assert_allclose(
        lincir.compose(PICTURES[:2], []), plain.compose(PICTURES[:2], []), atol=1e-6
    )
    np.testing.assert_allclose(
        lincir.compose(PICTURES[:0], ["red"]), plain.compose(PICTURES[:0], ["red"]), atol=1e-6
    )


def test_several_pictures_are_several_pseudo_words(lincir, encoder) -> None:
    pieces = ("a photo of ", " and ", " and ", " that are red")
    expected = said(encoder, *pieces, words=phi()(PICTURES[:3]))
    np.testing.assert_allclose(lincir.compose(PICTURES[:3], ["are red"]), expected, atol=1e-5)


def test_several_pseudo_words_for_one_picture(encoder) -> None:
    lincir = LinCIR(encoder, phi(tokens=2))
    words = phi(tokens=2)(PICTURES[:2]).reshape(4, 32)
    pieces = ("a photo of ", "", " and ", "", " that are red")
    expected = said(encoder, *pieces, words=words)
    np.testing.assert_allclose(lincir.compose(PICTURES[:2], ["are red"]), expected, atol=1e-5)


def test_words_by_themselves_may_have_a_share(encoder) -> None:
    lincir = LinCIR(encoder, phi(), picture_weight=0.2, words_weight=0.6)
    together = said(encoder, "a photo of ", " that is red", words=phi()(PICTURES[:1]))
    words = unit(0.4 * together + 0.6 * encoder.encode_texts(["is red"])[0])
    expected = unit(0.2 * PICTURES[0] + 0.8 * words)
    np.testing.assert_allclose(lincir.compose(PICTURES[:1], ["is red"]), expected, atol=1e-5)
    alone = lincir.compose_batch([PICTURES[:1], PICTURES[:0]], [["is red"], ["is red"]])[1]
    np.testing.assert_allclose(alone, encoder.encode_texts(["is red"])[0], atol=1e-5)


def test_several_texts_count_by_their_weights(lincir, encoder) -> None:
    parts = [
        said(encoder, "a photo of ", f" that {text}", words=phi()(PICTURES[:1]))
        for text in ("is red", "is old")
    ]
    for weights, expected in (
        (None, parts[0] + parts[1]),
        (Weights(texts=(3, 1)), 3 * parts[0] + parts[1]),
    ):
        found = lincir.compose(PICTURES[:1], ["is red", "is old"], weights=weights)
        np.testing.assert_allclose(found, unit(expected), atol=1e-5)


def test_pictures_of_different_weights_get_a_sentence_each(lincir, encoder) -> None:
    parts = [
        said(encoder, "a photo of ", " that is red", words=phi()(PICTURES[i : i + 1]))
        for i in range(2)
    ]
    weights = Weights(references=(2, 1))
    found = lincir.compose(PICTURES[:2], ["is red"], weights=weights)
    np.testing.assert_allclose(found, unit(2 * parts[0] + parts[1]), atol=1e-5)
    alike = lincir.compose(PICTURES[:2], ["is red"], weights=Weights(references=(2, 2)))
    np.testing.assert_allclose(alike, lincir.compose(PICTURES[:2], ["is red"]), atol=1e-6)


def test_a_share_of_the_pictures_own_vector(encoder) -> None:
    mixed = LinCIR(encoder, phi(), picture_weight=0.25)
    text = said(encoder, "a photo of ", " that is red", words=phi()(PICTURES[:1]))
    expected = unit(0.25 * PICTURES[0] + 0.75 * text)
    np.testing.assert_allclose(mixed.compose(PICTURES[:1], ["is red"]), expected, atol=1e-5)


def test_negatives_as_in_the_sum(lincir, encoder) -> None:
    wanted = said(encoder, "a photo of ", " that is red", words=phi()(PICTURES[:1]))
    unwanted = said(encoder, "a photo of ", " that is old", words=phi()(PICTURES[1:2]))
    found = lincir.compose(PICTURES[:1], ["is red"], Negatives(PICTURES[1:2], ["is old"]))
    np.testing.assert_allclose(found, unit(wanted - NEGATIVE_WEIGHT * unwanted), atol=1e-5)
    alone = lincir.compose(PICTURES[:1], ["is red"], Negatives(texts=["old"]))
    (old,) = encoder.encode_texts(["old"])
    np.testing.assert_allclose(alone, unit(wanted - NEGATIVE_WEIGHT * old), atol=1e-5)


def test_alone_as_in_a_batch(lincir) -> None:
    references = [PICTURES[:1], PICTURES[:0], PICTURES[1:3], PICTURES[3:]]
    texts = [["is red"], ["a dog"], ["are old", "are new"], []]
    negatives = [Negatives(), Negatives(PICTURES[:1], ["is big"]), Negatives(), Negatives()]
    weights = [None, None, Weights(references=(1, 2)), None]
    batch = lincir.compose_batch(references, texts, negatives, weights=weights)
    for row, picture, text, negative, weight in zip(
        batch, references, texts, negatives, weights, strict=True
    ):
        alone = lincir.compose(picture, text, negative, weights=weight)
        np.testing.assert_allclose(row, alone, atol=1e-5)


def test_vectors_of_the_towers_own_length_and_of_length_1(lincir) -> None:
    """An index keeps unit vectors: they are brought to the length that φ knows, here 3."""
    unscaled = lincir.compose(3 * PICTURES[:1], ["is red"])
    np.testing.assert_allclose(lincir.compose(PICTURES[:1], ["is red"]), unscaled, atol=1e-5)
    other = lincir.compose(6 * PICTURES[:1], ["is red"])
    assert np.abs(other - unscaled).max() > 1e-3
    mixed = LinCIR(lincir._reader, phi(), picture_weight=1.0)
    np.testing.assert_allclose(mixed.compose(6 * PICTURES[:1], ["x"]), PICTURES[0], atol=1e-6)


def test_a_length_that_no_file_says_is_the_encoders(encoder) -> None:
    lincir = LinCIR(encoder, PseudoWords(phi().layers))
    from vretr.calibration import phrases

    vectors = encoder.embed(encoder.prompts([(phrase,) for phrase in phrases()])).detach()
    length = float(vectors.norm(dim=1).mean())
    expected = LinCIR(encoder, phi(length=length)).compose(PICTURES[:1], ["is red"])
    np.testing.assert_allclose(lincir.compose(PICTURES[:1], ["is red"]), expected, atol=1e-5)


def test_a_dollar_in_the_users_words_stays_what_it_is(lincir, encoder) -> None:
    expected = said(encoder, "a photo of ", " that costs $5 {}", words=phi()(PICTURES[:1]))
    found = lincir.compose(PICTURES[:1], ["costs $5 {}"])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_words_are_read_once_and_pictures_without_words_not_at_all(lincir, monkeypatch) -> None:
    calls = []
    real = lincir._reader.encode_with
    monkeypatch.setattr(
        type(lincir._reader), "encode_with", lambda self, *a: calls.append(1) or real(*a)
    )
    lincir.compose_batch([PICTURES[:1]] * 5, [["is red"]] * 5)
    lincir.compose_batch([PICTURES[:1]], [[]])
    assert calls == [1]


@pytest.mark.parametrize(
    ("prompt", "words", "pictures", "tokens", "pieces"),
    [
        ("a photo of $ that {}", "is $5", 1, 1, ("a photo of ", " that is $5")),
        ("$, {}", "red", 2, 1, ("", " and ", ", red")),
        ("{} and $", "a cat", 1, 3, ("a cat and ", "", "", "")),
        ("$ beside $, {}", "red", 2, 2, ("", "", " beside ", "", ", red")),
    ],
)
def test_prompts(prompt, words, pictures, tokens, pieces) -> None:
    assert Prompt(prompt).pieces(words, pictures=pictures, tokens=tokens) == pieces


@pytest.mark.parametrize("prompt", ["a photo", "a photo of $", "that {}", "$ {} {}", ""])
def test_a_prompt_without_its_places(prompt: str) -> None:
    with pytest.raises(UsageError, match=r"must hold \$ for the picture and {} once"):
        Prompt(prompt)


def test_a_prompt_with_places_for_another_number_of_pictures(encoder) -> None:
    lincir = LinCIR(encoder, phi(), prompt="$ beside $ that {}")
    with pytest.raises(UsageError, match="2 places for pictures, and there are 3"):
        lincir.compose(PICTURES[:3], ["is red"])


@pytest.mark.parametrize(
    ("weights", "problem"),
    [
        (Weights(references=(1,)), "2 pictures, but 1 weights"),
        (Weights(references=(1, -1)), "must be positive"),
        (Weights(texts=(1, 2)), "1 texts, but 2 weights"),
    ],
)
def test_weights_that_do_not_fit(lincir, weights, problem) -> None:
    with pytest.raises(UsageError, match=problem):
        lincir.compose(PICTURES[:2], ["is red"], weights=weights)


def test_nothing_asked(lincir) -> None:
    with pytest.raises(UsageError, match="a picture or words"):
        lincir.compose(PICTURES[:0], [])


def test_the_module_imports_no_torch() -> None:
    import subprocess

    code = "import sys, lincir.composer, lincir.files; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
