"""Which words are key words, by the list of ours and, where it is installed, by spaCy."""

import sys

import pytest

from lincir import tagger
from lincir.tagger import Rules, Spacy, Word, load_tagger, part_of
from vretr.errors import UsageError


def parts(sentence: str) -> list[tuple[str, str]]:
    (words,) = Rules()([sentence])
    return [(sentence[word.start : word.end], word.part) for word in words]


def test_words_signs_and_their_parts() -> None:
    assert parts("a man's red t-shirt, 2 cats.") == [
        ("a", "article"), ("man's", "key"), ("red", "key"), ("t-shirt", "key"), (",", "other"),
        ("2", "other"), ("cats", "key"), (".", "other"),
    ]  # fmt: skip


@pytest.mark.parametrize("word", ["dog", "red", "striped", "building", "family", "naïve", "개"])
def test_key_words(word: str) -> None:
    assert part_of(word) == "key"


@pytest.mark.parametrize("word", ["is", "with", "walks", "running", "quickly", "two", "7", "him"])
def test_other_words(word: str) -> None:
    assert part_of(word) == "other"


@pytest.mark.parametrize("word", ["a", "the", "these"])
def test_articles(word: str) -> None:
    assert part_of(word) == "article"


def test_the_two_lists_share_no_word() -> None:
    functions, keys = tagger._words("function_words.txt"), tagger._words("key_words.txt")
    assert functions and keys and not functions & keys and not functions & tagger.ARTICLES
    assert all(word == word.lower() for word in functions | keys)


def test_no_sentence_and_an_empty_one() -> None:
    assert Rules()([]) == [] and Rules()([""]) == [[]]


def test_auto_takes_the_list_where_spacy_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tagger, "_has_spacy", lambda: False)
    assert isinstance(load_tagger("auto"), Rules)
    with pytest.raises(UsageError, match=r"pip install spacy.*--tagger rules needs neither"):
        load_tagger("spacy")


class Token:
    def __init__(self, idx: int, text: str, pos: str) -> None:
        self.idx, self.text, self.pos_ = idx, text, pos

    def __len__(self) -> int:
        return len(self.text)


class Pipeline:
    """What is used of a spaCy pipeline."""

    meta = {"lang": "en", "name": "core_web_sm", "version": "3.8.0"}  # noqa: RUF012

    def pipe(self, sentences, batch_size):
        for _ in sentences:
            yield [
                Token(0, "a", "DET"), Token(2, "x", "NOUN"), Token(3, "-", "PUNCT"),
                Token(4, "ray", "PROPN"), Token(8, "glows", "VERB"),
            ]  # fmt: skip


def test_spacy_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tagger, "_has_spacy", lambda: True)
    fake = type(sys)("spacy")
    fake.load = lambda name: Pipeline()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "spacy", fake)
    found = load_tagger("auto")
    assert isinstance(found, Spacy) and found.name == "spacy-en_core_web_sm-3.8.0"
    words = [
        Word(0, 1, "article"), Word(2, 3, "key"), Word(3, 4, "hyphen"), Word(4, 7, "key"),
        Word(8, 13, "other"),
    ]  # fmt: skip
    assert found(["a x-ray glows"] * 2) == [words, words]
