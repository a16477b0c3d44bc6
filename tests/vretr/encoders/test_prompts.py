"""Token ids of the LinCIR paper's prompts, taken from CLIP's own tokenizer."""

import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from open_clip.tokenizer import SimpleTokenizer

from vretr.encoders.prompts import FILLER, Pieces, Prompts, PromptTokens
from vretr.encoders.words.tokens import clip_prompts
from vretr.errors import UsageError

CLIP = SimpleTokenizer()


def made(length: int = 77) -> PromptTokens:
    return PromptTokens(
        encode=lambda pieces: [CLIP.encode(piece) for piece in pieces],
        start=49406,
        end=49407,
        filler=FILLER,
        length=length,
    )


@pytest.fixture(params=[made, clip_prompts], ids=["open_clip's", "ours"])
def tokens(request: pytest.FixtureRequest) -> PromptTokens:
    return request.param(77)


@pytest.mark.parametrize(
    ("pieces", "ids", "places"),
    [
        (("a photo of ", " that is red"), [320, 1125, 539, 259, 682, 533, 736], [4]),
        (("", ", pencil sketch"), [259, 267, 11200, 5269], [1]),
        (("a photo of ", "."), [320, 1125, 539, 259, 269], [4]),
        (("", "'s dog"), [259, 568, 1929], [1]),
        (("", "", ""), [259, 259], [1, 2]),
        (("costs $5",), [7628, 259, 276], []),
        (("a photo of ", " that costs $5"), [320, 1125, 539, 259, 682, 7628, 259, 276], [4]),
        (("", ""), [259], [1]),
        (("",), [], []),
    ],
)
def test_ids_and_places(
    pieces: Pieces, ids: list[int], places: list[int], tokens: PromptTokens
) -> None:
    found = tokens([pieces])
    assert found.ids.tolist() == [[49406, *ids, 49407]]
    assert found.columns.tolist() == places
    assert found.rows.tolist() == [0] * len(places)
    assert {part.dtype for part in (found.ids, found.rows, found.columns)} == {np.dtype(np.int64)}


@pytest.mark.parametrize("text", ["a photo of $ that is red", "a $ b $", "$ or a dog"])
def test_a_free_place_is_a_free_dollar(text: str, tokens: PromptTokens) -> None:
    np.testing.assert_array_equal(tokens([text.split("$")]).ids, tokens([(text,)]).ids)


def test_a_batch_is_as_long_as_its_longest(tokens: PromptTokens) -> None:
    found = tokens([("a dog",), ("a dog on a bench",)])
    assert found.ids.shape == (2, 7)
    assert found.ids[0].tolist() == [49406, 320, 1929, 49407, 0, 0, 0]
    assert found.lengths.tolist() == [4, 7]
    assert tokens([]).ids.shape == (0, 2)
    assert tokens([]).trimmed().padded(77).ids.shape == (0, 77)


def test_places_go_sentence_by_sentence(tokens: PromptTokens) -> None:
    found = tokens([("", " and ", ""), ("a dog",), ("the ", " or the ", " or ", "")])
    assert found.rows.tolist() == [0, 0, 2, 2, 2]
    assert found.columns.tolist() == [1, 3, 2, 5, 7]


@pytest.mark.parametrize(
    ("pieces", "ids"),
    [
        (("a dog on a bench",), [320, 1929, 525]),
        (("a dog on a bench ", ""), [320, 1929, 259]),
        (("", " a dog on a bench ", ""), [259, 320, 259]),
        (("", "", "", ""), [259, 259, 259]),
        (("a dog ", " on a bench"), [320, 1929, 259]),
    ],
)
def test_last_words_are_cut_but_no_places(
    pieces: Pieces, ids: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = made(5)([pieces, pieces])
    assert found.ids.tolist() == 2 * [[49406, *ids, 49407]]
    assert [ids[column - 1] for column in found.columns] == 2 * [259] * (len(pieces) - 1)
    assert [record.getMessage() for record in caplog.records] == (
        ["A text is longer than the 3 tokens that the model reads; its end is left out."]
        if pieces != ("", "", "", "")
        else []
    )


def test_more_pseudo_words_than_tokens_are_refused() -> None:
    with pytest.raises(UsageError, match="4 pseudo words, more than the 3 tokens"):
        made(5)([("",) * 5])


@pytest.mark.parametrize("sentences", ["a dog", ["a dog"], [()]])
def test_a_sentence_is_pieces(sentences: list[Pieces], tokens: PromptTokens) -> None:
    with pytest.raises(ValueError, match="sequence of pieces"):
        tokens(sentences)


def test_trimmed_and_padded(tokens: PromptTokens) -> None:
    found = tokens([("a ", " on"), ("!! ! ", "")])  # `!` is id 0, as padding is
    for same in (found.padded(77).trimmed(), found.trimmed(), found.padded(20).padded(8).trimmed()):
        np.testing.assert_array_equal(same.ids, found.ids)
    assert found.padded(77).ids.shape == (2, 77)
    assert not found.padded(77).ids[:, found.ids.shape[1] :].any()


@given(
    st.lists(st.lists(st.sampled_from(["", "a", "dog on", "$5"]), min_size=1, max_size=4)),
    st.integers(1, 30),
)
def test_batches_are_all_sentences_once(sentences: list[Pieces], most: int) -> None:
    whole = made()(sentences)
    seen: list[int] = []
    for rows, places, part in whole.batches(most):
        seen += rows.tolist()
        assert len(part) and (part.ids.size <= most or len(part) == 1)
        alone = made()([sentences[row] for row in rows])
        for field in ("ids", "rows", "columns"):
            np.testing.assert_array_equal(getattr(part, field), getattr(alone, field))
        np.testing.assert_array_equal(whole.rows[places], rows[part.rows])
        np.testing.assert_array_equal(whole.columns[places], part.columns)
    assert sorted(seen) == list(range(len(sentences)))


def test_batches_are_of_about_one_length(tokens: PromptTokens) -> None:
    long, short = ("a dog on a bench",), ("",)
    batches = list(tokens([long, short, long, short]).batches(14))
    assert [rows.tolist() for rows, _, _ in batches] == [[1, 3], [0, 2]]
    assert [part.ids.shape for _, _, part in batches] == [(2, 2), (2, 7)]
    sizes = [len(rows) for rows, _, _ in tokens([long, short, long, short]).batches(13)]
    assert sizes == [2, 1, 1]


def test_the_shape_of_words(tokens: PromptTokens) -> None:
    found = tokens([("", " and ", "")])
    found.check((2, 8), 8)
    with pytest.raises(ValueError, match=r"\[places, width\] = \[2, 8\], not \[1, 8\]"):
        found.check((1, 8), 8)
    Prompts(found.ids, found.rows[:0], found.columns[:0]).check((0, 8), 8)
