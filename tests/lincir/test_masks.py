"""Masks by span, and the authors' substring rule with its golden cases."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lincir import masks
from lincir.masks import MASK, by_span, original, replaced
from lincir.tagger import Rules, Word


def spans(sentence: str) -> str:
    return MASK.join(by_span(sentence, Rules()([sentence])[0]))


@pytest.mark.parametrize(
    ("caption", "keywords", "expected"),
    [
        (
            "a man and a woman in another car",
            "a man|a woman|another car",
            "[$] and [$] in [$]",
        ),
        ("red t-shirt on the wall", "red t|shirt|the wall", "[$]-[$] on [$]"),
        ("black and white cat", "black|white cat", "[$] and [$]"),
        ("the dog chases the dogs", "the dog|the dogs", "[$] chases [$]s"),
        (
            "a very large cat sat near the other chair",
            "a|large cat|the other chair",
            "[$] very l[$]rge c[$]t s[$]t ne[$]r the other ch[$]ir",
        ),
    ],
)
def test_the_original_rule_in_its_golden_cases(caption, keywords, expected) -> None:
    """`specs/lincir.md` 2.4, computed with the authors' code."""
    assert replaced(caption, keywords.split("|"), Random(0)) == expected


def test_a_double_blank_is_replaced_as_an_empty_word() -> None:
    class First(Random):
        def choice(self, seq):
            return ""

    assert replaced("abc", [], First()) == "[$]a[$]b[$]c[$]"


def test_a_keyword_that_does_not_occur_replaces_a_random_word_and_stops() -> None:
    drawn = {replaced("two dogs run", ["cats", "dogs"], Random(seed)) for seed in range(40)}
    assert drawn == {"[$] dogs run", "two [$] run", "two dogs [$]"}


def test_the_original_rule_depends_on_the_sentence_alone() -> None:
    sentence = "running and jumping"
    words = Rules()([sentence])[0]
    assert len({original(sentence, words) for _ in range(5)}) == 1


def test_the_original_rule_ends_a_run_at_a_hyphen() -> None:
    words = [Word(0, 3, "key"), Word(4, 5, "key"), Word(5, 6, "hyphen"), Word(6, 11, "key")]
    assert original("red t-shirt", words) == ("", "-", "")
    assert by_span("red t-shirt", words) == ("", "")


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("a man and a woman in another car", "[$] and [$] in [$]"),
        ("red t-shirt on the wall", "[$] on [$]"),
        ("the dog chases the dogs", "[$] chases [$]"),
        ("a very large cat sat near the chair", "a very [$] sat near [$]"),
        ("dog", "[$]"),
        ("running", "[$]"),  # no run: the longest word
        ("he is running there", "he is [$] there"),
        ("빨간 자동차", "[$]"),
        ("the child's toy, it costs 5 dollars", "[$], it [$] 5 [$]"),
    ],
)
def test_spans(sentence: str, expected: str) -> None:
    assert spans(sentence) == expected


def test_a_hyphen_at_the_end_or_between_blanks_joins_nothing() -> None:
    assert spans("a dog - a cat") == "[$] - [$]"
    assert by_span("dog-", [Word(0, 3, "key"), Word(3, 4, "hyphen")]) == ("", "-")


@given(
    st.text(st.sampled_from("ab e-'.,0개 "), min_size=1).filter(lambda t: any(map(str.isalnum, t)))
)
def test_pieces_stand_in_the_sentence_in_order(sentence: str) -> None:
    words = Rules()([sentence])[0]
    for rule in (by_span, original):
        pieces = rule(sentence, words)
        assert len(pieces) >= 2
    place = 0
    for piece in by_span(sentence, words):
        place = sentence.index(piece, place) + len(piece)
    assert by_span(sentence, words)[0] == sentence[: len(by_span(sentence, words)[0])]
    assert sentence.endswith(by_span(sentence, words)[-1])


def test_runs_against_a_naive_reading() -> None:
    """One letter a word: k key, a article, o other."""
    for letters in ("kko", "okak", "aok", "ka", "o", "akakoka"):
        part = {"k": "key", "a": "article", "o": "other"}
        words = [Word(i, i + 1, part[letter]) for i, letter in enumerate(letters)]
        found = ["".join(letters[w.start] for w in run) for run in masks.runs(words)]
        assert found == [run for run in letters.split("o") if run]
