"""The weighted sum against its formula written out in float64, and its promises."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vretr.composers import (
    BASELINES,
    NEGATIVE_WEIGHT,
    NO_PICTURES,
    NOTHING,
    Negatives,
    Slerp,
    WeightedSum,
    Weights,
    load_composer,
)
from vretr.encoders.base import unit
from vretr.errors import UsageError

DIM = 8


class Words:
    """An encoder's text side: a sentence's vector is drawn from a seed made of its letters."""

    dim = DIM

    def __init__(self) -> None:
        self.calls = 0

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        self.calls += 1
        rows = [np.random.default_rng(list(text.encode())).normal(size=DIM) for text in texts]
        return unit(np.array(rows))


def pictures(count: int, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(count, DIM)))


def word(text: str) -> np.ndarray:
    return Words().encode_texts([text])[0].astype(np.float64)


def length_one(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def test_the_formula() -> None:
    seen = pictures(2).astype(np.float64)
    got = WeightedSum(Words(), 0.7).compose(
        seen.astype(np.float32),
        ["a", "b"],
        Negatives(pictures(1, seed=5), ["c"]),
        weights=Weights(references=[1, 3], texts=[2, 2], negative_texts=[3]),
    )
    picture, words = length_one(seen[0] + 3 * seen[1]), length_one(2 * word("a") + 2 * word("b"))
    wanted = length_one(0.7 * 2 * picture + 0.3 * 2 * words)
    unwanted = length_one(0.7 * 1 * pictures(1, seed=5)[0] + 0.3 * 3 * word("c"))
    strength = 0.7 * 1 + 0.3 * 3
    expected = length_one(wanted - NEGATIVE_WEIGHT * strength * unwanted)
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_one_term_alone_is_its_own_vector() -> None:
    composer = WeightedSum(Words(), 0.3)
    np.testing.assert_allclose(composer.compose(pictures(1), []), pictures(1)[0], atol=1e-6)
    np.testing.assert_allclose(composer.compose(NO_PICTURES, ["red"]), word("red"), atol=1e-6)


def test_negatives_alone_lead_away() -> None:
    got = WeightedSum(Words()).compose(NO_PICTURES, [], Negatives(texts=["rain"]))
    np.testing.assert_allclose(got, -word("rain"), atol=1e-6)


def test_what_cancels_out_is_zero_and_never_nan() -> None:
    composer = WeightedSum(Words())
    seen = pictures(1)
    assert not composer.compose(np.concatenate([seen, -seen]), []).any()
    away = composer.compose(
        NO_PICTURES, ["red"], Negatives(texts=["red"]), weights=Weights(negative_texts=[2])
    )
    assert not away.any()
    zero = composer.compose(np.zeros((1, DIM), np.float32), ["red"])
    np.testing.assert_allclose(zero, word("red"), atol=1e-6)


def test_nothing_is_not_a_query() -> None:
    with pytest.raises(UsageError, match="a picture or words"):
        WeightedSum(Words()).compose(NO_PICTURES, [])


@pytest.mark.parametrize(
    "weights", [[1.0], [1.0, 2.0, 3.0], [1.0, 0.0], [1.0, -1.0], [1.0, np.nan]]
)
def test_weights_that_do_not_fit(weights: list[float]) -> None:
    with pytest.raises(UsageError, match="weights"):
        WeightedSum(Words()).compose(NO_PICTURES, ["a", "b"], weights=Weights(texts=weights))


def test_equal_weights_are_no_weights() -> None:
    composer = WeightedSum(Words(), 0.4)
    plain = composer.compose(pictures(2), ["a", "b"])
    fives = Weights(references=[5, 5], texts=[5, 5])
    np.testing.assert_allclose(
        composer.compose(pictures(2), ["a", "b"], weights=fives), plain, atol=1e-6
    )


@given(st.lists(st.floats(1e-300, 1e300), min_size=4, max_size=4), st.floats(0, 1))
def test_no_weight_is_too_large_or_too_small(weights: list[float], share: float) -> None:
    one, two, three, four = weights
    query = WeightedSum(Words(), share).compose(
        pictures(2),
        ["a"],
        Negatives(texts=["b"]),
        weights=Weights(references=[one, two], texts=[three], negative_texts=[four]),
    )
    assert abs(np.linalg.norm(query) - 1) < 1e-5


def test_the_picture_composer_reads_no_words() -> None:
    words = Words()
    got = load_composer("image", words).compose(pictures(1), ["red"])
    np.testing.assert_allclose(got, pictures(1)[0], atol=1e-6)
    assert words.calls == 0


def test_the_word_composer_ignores_the_picture() -> None:
    got = load_composer("text", Words()).compose(pictures(1), ["red"])
    np.testing.assert_allclose(got, word("red"), atol=1e-6)


def test_a_batch_reads_all_words_in_one_call() -> None:
    words = Words()
    batch = WeightedSum(words).compose_batch(pictures(3)[:, None], [["a"], ["b"], ["c", "d"]])
    assert batch.shape == (3, DIM) and words.calls == 1
    assert WeightedSum(words).compose_batch([], []).shape == (0, DIM)


terms = st.lists(st.sampled_from(["red", "blue", "a dog", "여름", ""]), max_size=3)
queries = st.tuples(st.integers(0, 3), terms, st.integers(0, 2), terms).filter(lambda q: any(q))


@given(st.lists(queries, min_size=1, max_size=5), st.floats(0, 1))
def test_alone_as_in_a_batch_and_never_nan(asked: list, share: float) -> None:
    composer = WeightedSum(Words(), share)
    references = [pictures(count, seed=1) for count, *_ in asked]
    texts = [words for _, words, *_ in asked]
    negatives = [Negatives(pictures(count, seed=2), words) for *_, count, words in asked]
    together = composer.compose_batch(references, texts, negatives)
    assert together.dtype == np.float32 and np.isfinite(together).all()
    lengths = np.linalg.norm(together, axis=1)
    assert ((abs(lengths - 1) < 1e-5) | (lengths == 0)).all()
    for row, *parts in zip(together, references, texts, negatives, strict=True):
        np.testing.assert_allclose(composer.compose(*parts), row, atol=1e-5)


def test_slerp_goes_a_share_of_the_way() -> None:
    """On the circle: from the words at 0 degrees to the picture at 120, 30 % of the way is 36."""

    class Circle:
        dim = 2

        def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
            return np.array([[1, 0]] * len(texts), dtype=np.float32)

    def at(degrees: float) -> np.ndarray:
        return np.array([[np.cos(np.radians(degrees)), np.sin(np.radians(degrees))]], np.float32)

    for share, degrees in ((0, 0), (0.3, 36), (0.5, 60), (1, 120)):
        got = Slerp(Circle(), share).compose(at(120), ["x"])
        np.testing.assert_allclose(got, at(degrees)[0], atol=1e-6)
    twice = Slerp(Circle(), 0.3).compose(at(120), ["x"], weights=Weights(texts=[2]))
    np.testing.assert_allclose(twice, at(120 * 0.3 / (0.3 + 1.4))[0], atol=1e-6)
    np.testing.assert_allclose(Slerp(Circle(), 0.3).compose(at(0), ["x"]), [1, 0], atol=1e-6)
    # No way between opposites is the shortest: as the sum does it.
    np.testing.assert_allclose(Slerp(Circle(), 0.3).compose(at(180), ["x"]), [1, 0], atol=1e-6)
    assert not Slerp(Circle(), 0.5).compose(at(180), ["x"]).any()


@given(st.integers(0, 50), st.floats(0, 1))
def test_slerp_by_its_formula(seed: int, share: float) -> None:
    seen, said = pictures(1, seed).astype(np.float64)[0], word("red")
    angle = np.arccos(seen @ said)
    expected = (np.sin(share * angle) * seen + np.sin((1 - share) * angle) * said) / np.sin(angle)
    got = Slerp(Words(), share).compose(pictures(1, seed), ["red"])
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_names() -> None:
    for name in BASELINES:
        assert load_composer(name, Words()).name == name
    for name in ("sum", "slerp"):
        assert load_composer(name, Words(), picture_weight=0.25).picture_weight == 0.25
    assert type(load_composer("slerp", Words())) is Slerp
    with pytest.raises(UsageError, match="did you mean image"):
        load_composer("imgae", Words())
    with pytest.raises(UsageError, match="not to image"):
        load_composer("image", Words(), picture_weight=0.2)
    with pytest.raises(UsageError, match=r"\[0, 1\]"):
        WeightedSum(Words(), 1.5)
    assert NOTHING.texts == ()
