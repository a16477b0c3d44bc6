"""Sentences become tokens: whole, masked, cut where they are too long, left out where empty."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lincir.preparing import Counts, Preparer, Ragged, Recipe, Tokens
from lincir.tagger import Rules
from vretr.encoders import PseudoTextEncoder
from vretr.encoders.words.tokens import END, START, ClipTokens

ROOM = 14  # tokens that the tiny CLIP reads besides start and end


@pytest.fixture
def prepared(encoder: PseudoTextEncoder, clip: str):
    def prepare(*block: str, masking="span", tokens: int = 1) -> tuple[Tokens, Counts]:
        return Preparer(encoder, Rules(), Recipe(clip, "rules", masking, tokens))(block)

    return prepare


def row(ragged: Ragged, number: int) -> list[int]:
    return ragged.flat(np.array([number])).tolist()


def encoded(text: str) -> list[int]:
    return [START, *ClipTokens(77).encode(text), END]


def test_a_sentence_whole_and_masked(prepared) -> None:
    tokens, counts = prepared("A man and a woman in <PERSON>'s car.")
    assert counts == Counts(1)
    assert row(tokens.sentences, 0) == encoded("a man and a woman in person's car.")
    masked, places = row(tokens.masked, 0), row(tokens.places, 0)
    assert [token for place, token in enumerate(masked) if place not in places] == [
        START, *ClipTokens(77).encode("and"), *ClipTokens(77).encode("in"),
        *ClipTokens(77).encode("."), END,
    ]  # fmt: skip
    assert places == [1, 3, 5]


def test_several_pseudo_words_stand_side_by_side(prepared) -> None:
    tokens, _ = prepared("a man and a dog", tokens=3)
    assert row(tokens.places, 0) == [1, 2, 3, 5, 6, 7]


def test_one_word_and_a_word_without_any_run(prepared) -> None:
    tokens, counts = prepared("dog", "running")
    assert counts.sentences == 2
    assert row(tokens.masked, 0)[2:] == row(tokens.masked, 1)[2:] == [END]


def test_empty_sentences_are_left_out_and_counted(prepared) -> None:
    tokens, counts = prepared("", "  $ ", "...", "a dog")
    assert (counts.sentences, counts.empty, len(tokens.masked)) == (1, 3, 1)
    tokens, counts = prepared("", "")
    assert (counts.sentences, len(tokens.sentences), len(tokens.places)) == (0, 0, 0)


def test_other_letters_are_counted(prepared) -> None:
    _, counts = prepared("빨간 자동차", "un café noir", "a 자동차 자동차", "a dog")
    assert counts.foreign == 2


def test_a_long_sentence_loses_its_last_words(prepared, caplog: pytest.LogCaptureFixture) -> None:
    words = ["dog"] * ROOM
    tokens, counts = prepared(" ".join(words), " ".join([*words, "cats", "run"]))
    assert counts.cut == 1
    assert row(tokens.sentences, 0) == row(tokens.sentences, 1) == encoded(" ".join(words))
    assert not caplog.records  # it is counted, and told once for the whole corpus


def test_words_of_several_tokens_are_cut_whole(prepared) -> None:
    long = "antidisestablishmentarianism"
    each = len(ClipTokens(77).encode(long))
    tokens, counts = prepared(" ".join([long] * 9))
    assert each > 1 and counts.cut == 1
    assert row(tokens.sentences, 0) == encoded(" ".join([long] * (ROOM // each)))


def test_a_single_word_that_is_too_long_is_cut_inside(prepared) -> None:
    tokens, _ = prepared("x1" * 60 + " dog")
    assert len(row(tokens.sentences, 0)) == ROOM + 2


def test_the_original_rule_never_leaves_too_little_room_for_words(prepared) -> None:
    tokens, _ = prepared("the a banana data saga a a", masking="original")
    assert 1 <= len(row(tokens.places, 0)) <= ROOM // 2
    assert len(row(tokens.masked, 0)) <= ROOM + 2


@given(st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=1, max_size=6), st.data())
def test_ragged_rows_against_lists(rows: list[list[int]], data: st.DataObject) -> None:
    ends = np.cumsum([len(row) for row in rows])
    ragged = Ragged(np.array([x for row in rows for x in row], np.int32), ends)
    wanted = np.array(data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=5)), np.int64)
    assert ragged.lengths(wanted).tolist() == [len(rows[i]) for i in wanted]
    assert ragged.flat(wanted).tolist() == [x for i in wanted for x in rows[i]]


def test_counts_add_up() -> None:
    assert Counts(1, 2, 3, 4) + Counts(10, 20, 30, 40) == Counts(11, 22, 33, 44)
