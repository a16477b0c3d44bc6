"""Token ids of the LinCIR paper's prompts, taken from CLIP's own tokenizer."""

import pytest
from open_clip.tokenizer import SimpleTokenizer

from vretr.encoders.prompts import Tokens


@pytest.fixture(scope="module")
def tokens() -> Tokens:
    return Tokens(SimpleTokenizer())


@pytest.mark.parametrize(
    ("prompt", "ids", "places"),
    [
        ("a photo of $ that is red", [320, 1125, 539, 259, 682, 533, 736], [4]),
        ("$, pencil sketch", [259, 267, 11200, 5269], [1]),
        ("a photo of $.", [320, 1125, 539, 259, 269], [4]),
        ("$'s dog", [259, 568, 1929], [1]),
        ("$$", [259, 259], [1, 2]),
    ],
)
def test_placeholders_are_found_wherever_they_stand(
    prompt: str, ids: list[int], places: list[int], tokens: Tokens
) -> None:
    found = tokens.of_prompts([prompt], len(places))
    assert found.ids.tolist() == [[49406, *ids, 49407]]
    assert found.columns.tolist() == places
    assert found.rows.tolist() == [0] * len(places)


def test_a_dollar_in_a_text_is_a_dollar(tokens: Tokens) -> None:
    found = tokens.of_texts(["costs $5"])
    assert found.ids.tolist() == [[49406, 7628, 259, 276, 49407]]
    assert found.columns.tolist() == []


def test_a_batch_is_as_long_as_its_longest_or_whole(tokens: Tokens) -> None:
    texts = ["a dog", "a dog on a bench"]
    assert tokens.of_texts(texts).ids.shape == (2, 7)
    assert tokens.of_texts(texts).ids[0].tolist() == [49406, 320, 1929, 49407, 0, 0, 0]
    assert Tokens(SimpleTokenizer(), whole=True).of_texts(texts).ids.shape == (2, 77)
    assert tokens.of_texts([]).ids.shape == (0, 0)


def test_places_of_a_batch_go_sentence_by_sentence(tokens: Tokens) -> None:
    found = tokens.of_prompts(["$ and $", "the $ or the $"], 2)
    assert found.rows.tolist() == [0, 0, 1, 1]
    assert found.columns.tolist() == [1, 3, 2, 5]
