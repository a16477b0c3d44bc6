"""Batches out of the token cache."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lincir.corpus import Corpus, cleaned
from lincir.data import Sentences, kept_features, text_vectors
from lincir.masks import by_span
from lincir.preparing import Recipe, Tokens
from lincir.tagger import Rules
from lincir.tokens import load_tokens
from tests.lincir.conftest import CAPTIONS
from vretr.encoders import PseudoTextEncoder

ROWS = np.array([7, 119, 0, 64])


@pytest.fixture
def cache(encoder: PseudoTextEncoder, clip: str, corpus: Path) -> tuple[Tokens, Path]:
    return load_tokens(
        Corpus.of([str(corpus)], ["text"]), encoder, Recipe(clip, "rules", "span", 2)
    )


def test_a_batch_holds_what_the_encoder_would_make_of_the_sentences(cache, encoder) -> None:
    batch = Sentences(cache[0], np.arange(120), tokens=2).__getitems__(ROWS.tolist())
    texts = [cleaned(CAPTIONS[row]) for row in ROWS]
    plain = encoder.prompts([(text,) for text in texts])
    np.testing.assert_array_equal(batch.sentences.ids, plain.ids)
    masks = [by_span(text, words) for text, words in zip(texts, Rules()(texts), strict=True)]
    doubled = [tuple(x for piece in pieces for x in (piece, ""))[:-1] for pieces in masks]
    masked = encoder.prompts(doubled)
    for name in ("ids", "rows", "columns"):
        np.testing.assert_array_equal(getattr(batch.masked, name), getattr(masked, name))
    assert batch.slots.tolist() == [0, 1] * (len(masked.rows) // 2)
    assert batch.features is None


def test_rows_name_the_sentences_that_are_left(cache) -> None:
    some = Sentences(cache[0], ROWS, tokens=2)
    assert len(some) == 4
    whole = Sentences(cache[0], np.arange(120), tokens=2)
    np.testing.assert_array_equal(
        some.__getitems__([1, 3]).sentences.ids, whole.__getitems__([119, 64]).sentences.ids
    )


def test_a_batch_is_as_long_as_its_longest_sentence(cache, encoder) -> None:
    batch = Sentences(cache[0], np.arange(120), tokens=2).batch(ROWS)
    assert batch.sentences.ids.shape[1] == batch.sentences.lengths.max() < encoder.context


def test_vectors_are_what_the_tower_gives(cache, encoder) -> None:
    found = text_vectors(encoder, cache[0], ROWS)
    for vector, row in zip(found, ROWS, strict=True):
        alone = encoder.embed(encoder.prompts([(CAPTIONS[row],)]))[0]
        np.testing.assert_allclose(vector, alone.detach().numpy(), atol=1e-5)


def test_kept_vectors_are_made_once_and_given_out(cache, encoder, monkeypatch) -> None:
    tokens, folder = cache
    features = kept_features(encoder, tokens, folder, how="cpu fp32")
    np.testing.assert_allclose(features, text_vectors(encoder, tokens, np.arange(120)), atol=1e-6)
    monkeypatch.setattr(encoder, "embed", None)
    again = kept_features(encoder, tokens, folder, how="cpu fp32")
    np.testing.assert_array_equal(again, features)
    batch = Sentences(tokens, np.arange(120), tokens=2, features=again).batch(ROWS)
    assert batch.features is not None and len(batch.sentences) == 0
    assert torch.equal(batch.features, torch.from_numpy(features[ROWS]))
