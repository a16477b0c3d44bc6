"""The training step: what it computes, what it trains, and that cropping and sorting are exact."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lincir.backbone import load_backbone
from lincir.corpus import Corpus
from lincir.data import Batch, Sentences
from lincir.model import Phi
from lincir.preparing import Recipe
from lincir.stepping import read, step, together
from lincir.tokens import load_tokens
from vretr.encoders import PseudoTextEncoder
from vretr.encoders.prompts import Prompts


@pytest.fixture
def sentences(encoder: PseudoTextEncoder, clip: str, corpus: Path) -> Sentences:
    cache, _ = load_tokens(
        Corpus.of([str(corpus)], ["text"]), encoder, Recipe(clip, "rules", "span", 1)
    )
    return Sentences(cache, np.arange(len(cache.sentences)))


@pytest.fixture
def phi(encoder: PseudoTextEncoder) -> Phi:
    torch.manual_seed(0)
    return Phi(encoder.dim, encoder.token_width, dropout=0.0)


def test_without_noise_it_is_the_papers_formula(encoder, sentences, phi) -> None:
    """Sentence by sentence, with 16 padded tokens, as the authors' code has it."""
    batch = sentences.batch(np.arange(20))
    loss = step(encoder, 0.0)(phi, batch)["loss"]
    squares = []
    for row in range(20):
        ids = np.zeros((1, encoder.context), np.int64)
        ids[0, : batch.sentences.ids.shape[1]] = batch.sentences.ids[row]
        wanted = encoder.embed(Prompts(ids))
        word = phi(wanted)[0]
        here = batch.masked.rows == row
        masked = np.zeros_like(ids)
        masked[0, : batch.masked.ids.shape[1]] = batch.masked.ids[row]
        prompts = Prompts(masked, np.zeros(here.sum(), np.int64), batch.masked.columns[here])
        found = encoder.embed(prompts, word.expand(int(here.sum()), -1))
        squares.append((found - wanted).square())
    assert loss.item() == pytest.approx(torch.cat(squares).mean().item(), rel=1e-5)


def test_cropping_and_reading_the_end_token_alone_are_exact(encoder, sentences) -> None:
    """What follows the end token cannot matter: the tower is causal and reads that token only, so
    that its last block need not compute the others."""
    cropped = sentences.batch(np.arange(30)).sentences
    padded = cropped.padded(encoder.context)
    assert cropped.ids.shape[1] < padded.ids.shape[1] == encoder.context
    tower = encoder._clip_texts
    with torch.no_grad():
        short = tower.embed(cropped)
        tower._whole = True  # as if it looked beyond the end: the whole context is computed
        try:
            whole = tower.embed(padded)
        finally:
            tower._whole = False
    torch.testing.assert_close(short, whole, atol=2e-6, rtol=0)


@pytest.mark.parametrize("tokens", [1, 40, 999])
def test_pieces_of_one_length_give_the_same_vectors_in_the_same_order(
    encoder, sentences, tokens: int
) -> None:
    batch = sentences.batch(np.array([3, 99, 3, 50, 7, 110, 0]))
    words = torch.randn(len(batch.masked.rows), encoder.token_width)
    torch.testing.assert_close(
        read(encoder, batch.masked, words, tokens=tokens),
        encoder.embed(batch.masked, words),
        atol=2e-6,
        rtol=0,
    )


def test_the_gradient_reaches_phi_and_nothing_else(encoder, sentences, phi) -> None:
    batch = sentences.batch(np.arange(8))
    step(encoder, 1.0)(phi, batch)["loss"].backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in phi.parameters())
    tower = encoder._clip_texts._tower
    assert not any(p.requires_grad or p.grad is not None for p in tower.parameters())


def test_the_gradient_against_differences(encoder, sentences, phi) -> None:
    batch = sentences.batch(np.arange(4))
    one, bias = step(encoder, 0.0), phi.layers[6].bias
    one(phi, batch)["loss"].backward()
    for number in (0, 13):
        losses = []
        for move in (1e-2, -1e-2):
            with torch.no_grad():
                bias[number] += move
                losses.append(one(phi, batch)["loss"].item())
                bias[number] -= move
        difference = (losses[0] - losses[1]) / 2e-2
        assert bias.grad[number].item() == pytest.approx(difference, rel=2e-2, abs=2e-5)


def test_each_place_gets_its_own_sentences_pseudo_word(encoder, sentences, phi) -> None:
    """In another order of the sentences the loss stays the same."""
    rows = np.arange(12)
    one = step(encoder, 0.0)
    straight = one(phi, sentences.batch(rows))["loss"].item()
    assert one(phi, sentences.batch(rows[::-1]))["loss"].item() == pytest.approx(straight, rel=1e-5)


def test_kept_vectors_change_nothing(encoder, sentences, phi) -> None:
    from lincir.data import text_vectors

    rows = np.arange(12)
    kept = Sentences(
        sentences.cache,
        sentences.rows,
        features=text_vectors(encoder, sentences.cache, sentences.rows),
    )
    one = step(encoder, 0.0)
    assert one(phi, kept.batch(rows))["loss"].item() == pytest.approx(
        one(phi, sentences.batch(rows))["loss"].item(), rel=1e-5
    )


def test_a_dollar_of_clip_is_the_plain_prompt(encoder) -> None:
    """With the embedding of the token 259 the composed sentence is the plain one."""
    table = encoder._clip_texts._tower.token_embedding.weight
    with torch.no_grad():
        composed = encoder.embed(encoder.prompts([("a photo of ", " in red")]), table[259][None])
        plain = encoder.embed(encoder.prompts([("a photo of $ in red",)]))
    torch.testing.assert_close(composed, plain, atol=1e-6, rtol=0)


def gradient(encoder: PseudoTextEncoder, phi: Phi, batch: Batch) -> torch.Tensor:
    phi.zero_grad()
    torch.manual_seed(3)  # the same noise
    step(encoder, 1.0)(phi, batch)["loss"].backward()
    return torch.cat([parameter.grad.flatten() for parameter in phi.parameters()])


def test_a_tower_in_bf16_gives_the_gradient_of_float32(clip, encoder, sentences, phi) -> None:
    low = load_backbone(clip, precision="bf16")
    batch = sentences.batch(np.arange(64))
    exact, found = gradient(encoder, phi, batch), gradient(low, phi, batch)
    assert exact.dtype == found.dtype == torch.float32 and not torch.equal(exact, found)
    assert torch.cosine_similarity(found, exact, dim=0) > 0.999
    assert found.norm() == pytest.approx(exact.norm().item(), rel=0.02)
    other = gradient(encoder, phi, sentences.batch(np.arange(64, 120)))
    assert torch.cosine_similarity(other, exact, dim=0) < 0.95  # so another batch would fail


def test_phi_stays_in_float32_where_all_else_is_lowered(encoder, sentences, phi) -> None:
    seen = []
    phi.layers[0].register_forward_hook(lambda layer, given, found: seen.append(found.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        losses = step(encoder, 1.0)(phi, sentences.batch(np.arange(4)))
    assert seen == [torch.float32] and losses["loss"].dtype == torch.float32


def test_small_pieces_on_a_processor() -> None:
    assert together(torch.device("cpu")) < together(torch.device("cuda"))
