"""CompoDiff as a composer: what a query becomes, and what is refused in one sentence."""

import logging
from dataclasses import replace
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from compodiff import guidance
from compodiff.composer import CompoDiff
from compodiff.conditions import Trained
from compodiff.config import TASKS, ComposerOptions
from compodiff.making import Maker
from compodiff.model import Prior
from compodiff.sampler import drawn
from vretr.composers import Negatives, Weights
from vretr.encoders.base import unit
from vretr.errors import UsageError

DIM, WIDTH = 12, 16
DROPS = {"text": 0.1, "image": 0.1, "both": 0.1}


class Words:
    """An encoder whose words are drawn from their letters: 4 tokens."""

    name, dim, token_states_width, reads_text = "words", DIM, 6, True

    def __init__(self) -> None:
        self.read: list[str] = []

    def token_states(self, texts: list[str]) -> np.ndarray:
        self.read += texts
        seeds = [[1, *text.encode()] for text in texts]
        rows = [np.random.default_rng(seed).normal(size=(4, 6)) for seed in seeds]
        return np.stack(rows).astype(np.float32)

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        return unit(self.token_states(texts).reshape(len(texts), -1)[:, :DIM])


def composer(*, prior: Prior | None = None, picture_weight=None, **settings) -> CompoDiff:
    """One with a random network; settings of `Trained` and of `ComposerOptions`."""
    torch.manual_seed(0)
    prior = prior or Prior(
        dim=DIM, width=WIDTH, depth=2, heads=2, head_dim=8, text_width=6, mask_size=8
    )
    options = {n: settings.pop(n) for n in [*settings] if hasattr(ComposerOptions(), n)}
    given = {"tasks": TASKS, "drops": DROPS, "guidance": (1.5, 2.0)} | settings
    trained = Trained(prior=prior.settings, scale=DIM**0.5, **given)
    return CompoDiff(
        Words(),
        trained,
        lambda: Maker(prior.eval(), trained.scale),
        options=ComposerOptions(**options),
        picture_weight=picture_weight,
    )


def pictures(*shape: int) -> np.ndarray:
    return unit(np.random.default_rng(3).normal(size=(*shape, DIM)))


ONE = pictures(1)
HALF = np.arange(64).reshape(8, 8) < 32


def test_it_is_what_the_network_says_at_no_guidance() -> None:
    made = composer(guidance=(1.0, 1.0), steps=1)
    prior, words = made._maker.prior, Words()
    found = made.compose(ONE, ["red"])
    with torch.no_grad():
        expected = prior(
            drawn([0], DIM)[0],
            torch.from_numpy(ONE) * DIM**0.5,
            torch.from_numpy(words.token_states(["red"])),
            torch.zeros(1, 8, 8),
            torch.tensor([999.0]),
        )
    np.testing.assert_allclose(found, unit(expected.numpy())[0], atol=1e-5)


def test_guidance_is_by_hand() -> None:
    made, words = composer(steps=1), Words()
    found = made.compose(ONE, ["red"], Negatives(texts=["blue"]), mask=HALF)
    image = torch.from_numpy(ONE) * DIM**0.5
    red, blue = (torch.from_numpy(words.token_states([word])) for word in ("red", "blue"))
    mask, time, noise = (
        torch.from_numpy(HALF)[None].float(),
        torch.tensor([999.0]),
        drawn([0], DIM)[0],
    )
    with torch.no_grad():
        full = made._maker.prior(noise, image, red, mask, time)
        seen = made._maker.prior(noise, image, blue, mask, time)
        null = made._maker.prior(noise, 0 * image, blue, mask, time)
    expected = null + 2.0 * (full - seen) + 1.5 * (seen - null)
    np.testing.assert_allclose(found, unit(expected.numpy())[0], atol=1e-4)


def test_a_query_alone_is_the_query_in_a_batch() -> None:
    made = composer(eta=0.5, steps=3, samples=2)
    texts = [["red"], [], ["blue", "small"], ["red"]]
    seen = [ONE, ONE, ONE[:0], pictures(2)]
    negatives = [Negatives(texts=["green"]), Negatives(), Negatives(ONE, ["x"]), Negatives()]
    masks = [HALF, None, None, None]
    batch = made.compose_batch(seen, texts, negatives, masks=masks)
    for row, *one in zip(batch, seen, texts, negatives, masks, strict=True):
        alone = composer(eta=0.5, steps=3, samples=2)
        found = alone.compose(*one[:3], mask=one[3])
        np.testing.assert_allclose(found, row, atol=1e-5)
        assert np.linalg.norm(row) == pytest.approx(1, abs=1e-5)
    assert made.compose_batch([], []).shape == (0, DIM)


def test_words_are_read_once_and_a_seed_decides() -> None:
    made = composer()
    made.compose_batch([ONE] * 3, [["red"], ["red"], ["blue"]])
    assert sorted(made.encoder.read) == ["", "blue", "red"]
    again = composer()
    np.testing.assert_array_equal(made.compose(ONE, ["red"]), again.compose(ONE, ["red"]))
    other = composer(seed=1)
    assert not np.allclose(made.compose(ONE, ["red"]), other.compose(ONE, ["red"]), atol=1e-4)


def test_the_global_random_numbers_are_left_alone() -> None:
    made = composer(eta=1.0)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    made.compose(ONE, ["red"])
    assert torch.equal(torch.rand(1), expected)


def test_every_part_of_a_query_counts() -> None:
    made = composer()
    queries = [
        made.compose(ONE, ["red"]),
        made.compose(ONE, ["blue"]),
        made.compose(ONE[:0], ["red"]),
        made.compose(-ONE, ["red"]),
        made.compose(ONE, ["red"], Negatives(texts=["blue"])),
        made.compose(ONE, ["red"], Negatives(references=pictures(2)[1:])),
        made.compose(ONE, ["red"], mask=HALF),
        made.compose(ONE, ["red"], mask=~HALF),
        made.compose(ONE, [], Negatives(texts=["blue"])),
        made.compose(ONE[:0], [], Negatives(texts=["blue"])),
    ]
    apart = [np.linalg.norm(one - other) for one, other in combinations(queries, 2)]
    assert min(apart) > 1e-3


def test_pictures_alone_are_themselves() -> None:
    made = composer()
    np.testing.assert_allclose(made.compose(ONE, []), ONE[0], atol=1e-6)
    two = pictures(2)
    found = made.compose(two, [], weights=Weights(references=[3, 1]))
    np.testing.assert_allclose(found, unit(3 * two[0] + two[1]), atol=1e-6)
    assert not made.encoder.read


def test_the_pictures_own_share() -> None:
    plain, all_of_it = composer(), composer(picture_weight=1.0)
    np.testing.assert_allclose(all_of_it.compose(ONE, ["red"]), ONE[0], atol=1e-6)
    some = composer(mix=0.25)
    expected = unit(0.75 * plain.compose(ONE, ["red"]) + 0.25 * ONE[0])
    np.testing.assert_allclose(some.compose(ONE, ["red"]), expected, atol=1e-6)
    alone = some.compose(ONE[:0], ["red"])
    np.testing.assert_allclose(alone, plain.compose(ONE[:0], ["red"]), atol=1e-6)


def test_samples_are_averaged() -> None:
    one, three = composer(), composer(samples=3)
    assert not np.allclose(one.compose(ONE, ["red"]), three.compose(ONE, ["red"]), atol=1e-5)


def test_unwanted_words_have_guidance_enough(caplog) -> None:
    chosen = composer(guidance=(1.0, 1.0))
    told = composer(guidance=(1.0, 1.0), guidance_text=2.0)
    against = Negatives(texts=["blue"])
    np.testing.assert_allclose(
        chosen.compose(ONE, ["red"], against), told.compose(ONE, ["red"], against), atol=1e-6
    )
    guidance._warn.cache_clear()
    with caplog.at_level(logging.WARNING):
        one = composer(guidance_image=1.0, guidance_text=1.0)
        same = one.compose(ONE, ["red"], against)
        one.compose(ONE, ["red"], against)
    np.testing.assert_array_equal(same, one.compose(ONE, ["red"]))
    assert caplog.text.count("have no effect") == 1


NEGATIVE = Negatives(texts=["blue"])


@pytest.mark.parametrize(
    ("trained", "query", "sentence"),
    [
        ({"drops": {"image": 0.1}, "guidance": (1, 1)}, (ONE, ["a"], NEGATIVE), "--drop-text"),
        ({"drops": {"image": 0.1}}, (ONE, ["a"]), "guidance-text must be 1"),
        (
            {"drops": {"text": 0.1}, "tasks": ("triplet",)},
            (ONE, ["a"]),
            "guidance-image must be 1",
        ),
        (
            {"drops": {}, "tasks": ("triplet",), "guidance": (1, 1)},
            (ONE[:0], ["a"]),
            "never trained without a picture",
        ),
        ({"tasks": ("t2i",)}, (ONE, ["a"]), "knows no pictures"),
    ],
)
def test_what_it_was_never_trained_for(trained, query, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        composer(**trained).compose(*query)


def test_masks_need_their_task_and_one_picture() -> None:
    with pytest.raises(UsageError, match="without masked pictures"):
        composer(tasks=("t2i", "triplet")).compose(ONE, ["a"], mask=HALF)
    for seen in (ONE[:0], pictures(2)):
        with pytest.raises(UsageError, match="A mask belongs to one picture"):
            composer().compose(seen, ["a"], mask=HALF)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ((ONE, [" "]), "no words"),
        ((ONE, ["Red"], Negatives(texts=["red "])), "'red ' is wanted and not wanted"),
        ((ONE[:0], []), "needs a picture or words"),
    ],
)
def test_words_that_cannot_be_meant(query, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        composer().compose(*query)


def test_words_have_no_weights() -> None:
    with pytest.raises(UsageError, match="takes no weights"):
        composer().compose(ONE, ["a"], weights=Weights(texts=[2.0]))
    composer().compose(ONE, ["a"], weights=Weights(texts=[1.0]))


def test_what_a_header_says_comes_back() -> None:
    trained = composer().trained
    assert Trained.read({"compodiff": trained.said()}, "x") == replace(
        trained, prior=dict(trained.prior)
    )
    assert SimpleNamespace(**trained.said()).guidance == [1.5, 2.0]
