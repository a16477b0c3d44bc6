"""Our tokenizers against open_clip's."""

from itertools import product
from typing import Any

import numpy as np
import open_clip
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from open_clip import tokenizer as theirs

from vretr.encoders.words.tokens import ClipTokens, cleaned

SIMPLE = open_clip.tokenizer.SimpleTokenizer()
OURS = ClipTokens(77)

SENTENCES = [
    "a photo of a dog",
    "It's the dogs' 3rd bowl: they'LL'VE eaten 1234567890!!! (isn't_it) ...",
    "UPPER lower MiXeD &amp; &lt;b&gt; &quot;quoted&quot; &",
    "  tabs\tand\nnew lines \r\n  twice  ",
    "caf\u00e9 na\u00efve \u2018curly\u2019 \u201cquotes\u201d \ufb01sh \u00b2 \u2167 \u00bd",
    "sch\u00f6n stra\u00dfe \u0130stanbul \u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2",
    "\u6771\u4eac \ud55c\uad6d\uc5b4 \u0939\u093f\u0928\u094d\u0926\u0940",
    "\u0627\u0644\u0639\u0631\u0628\u064a\u0629",
    "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467 \u2603",
    "l\u00e2\u20ac\u2122\u00e9t\u00e9",  # broken by a wrong decoding
    "<start_of_text> a <end_of_text>",
    "</w> a</w>",
    "\x1b[31mred\x1b[0m \x00 control",
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    "",
    " ",
    "'s 't 'S",
]


def as_theirs(texts: list[str]) -> np.ndarray:
    return SIMPLE(texts).numpy()


def test_sentences() -> None:
    np.testing.assert_array_equal(OURS(SENTENCES)[0], as_theirs(SENTENCES))


def test_every_pair_of_visible_characters() -> None:
    visible = [chr(code) for code in range(32, 127)]
    texts = [f"{first}{second} x{second}{first}" for first, second in product(visible, visible)]
    np.testing.assert_array_equal(OURS(texts)[0], as_theirs(texts))


@settings(max_examples=300)
@given(st.text(max_size=60))
@example("\u212a&")  # the Kelvin sign becomes k
def test_any_text(text: str) -> None:
    np.testing.assert_array_equal(OURS([text])[0], as_theirs([text]))


@settings(max_examples=300)
@given(st.text(st.characters(max_codepoint=126), max_size=80))
def test_any_ascii(text: str) -> None:
    np.testing.assert_array_equal(OURS([text])[0], as_theirs([text]))


@pytest.mark.parametrize(("words", "cut"), [(73, False), (74, False), (75, False), (76, True)])
def test_what_is_too_long_is_cut_and_told(words: int, cut: bool) -> None:
    text = "word " * words
    ids, told = OURS(["short", text])
    np.testing.assert_array_equal(ids, as_theirs(["short", text]))
    assert told == cut


@pytest.mark.parametrize("length", [3, 32])
def test_other_lengths(length: int) -> None:
    theirs_at: Any = theirs.SimpleTokenizer(context_length=length)
    np.testing.assert_array_equal(ClipTokens(length)(SENTENCES)[0], theirs_at(SENTENCES).numpy())


@pytest.mark.parametrize("how", ["lower", "whitespace", "canonicalize"])
def test_cleaning(how: str) -> None:
    for text in SENTENCES:
        assert cleaned(text, how) == theirs.get_clean_fn(how)(text)


@settings(max_examples=200)
@given(st.text(max_size=60))
def test_cleaning_any_text(text: str) -> None:
    for how in ("lower", "whitespace", "canonicalize"):
        assert cleaned(text, how) == theirs.get_clean_fn(how)(text)
