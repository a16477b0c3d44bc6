"""Every composer that can be had by name keeps the promises of the protocol."""

import numpy as np
import pytest

from vretr.composers import BASELINES, Composer, Negatives, load_composer
from vretr.encoders.base import unit

DIM = 16


class Words:
    dim = DIM

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        seeds = [list(text.encode()) for text in texts]
        return unit(np.array([np.random.default_rng(seed).normal(size=DIM) for seed in seeds]))


def compodiff() -> Composer:
    """CompoDiff with a random network; LinCIR's promises are tested with its φ (tests/lincir)."""
    import torch

    from compodiff.composer import CompoDiff
    from compodiff.conditions import Trained
    from compodiff.config import TASKS
    from compodiff.making import Maker
    from compodiff.model import Prior

    torch.manual_seed(0)
    prior = Prior(dim=DIM, depth=1, heads=2, head_dim=8, text_width=DIM, mask_size=4).eval()
    drops = {"text": 0.1, "image": 0.1, "both": 0.1}
    trained = Trained(
        prior=prior.settings, text="vector", scale=4, tasks=TASKS, drops=drops, guidance=(1.5, 3)
    )
    return CompoDiff(Words(), trained, lambda: Maker(prior, 4))


@pytest.fixture(params=[*sorted(BASELINES), "compodiff"])
def composer(request: pytest.FixtureRequest) -> Composer:
    return compodiff() if request.param == "compodiff" else load_composer(request.param, Words())


def references(*shape: int) -> np.ndarray:
    return unit(np.random.default_rng(3).normal(size=(*shape, DIM)))


def test_it_is_a_composer(composer: Composer) -> None:
    assert isinstance(composer, Composer)
    assert composer.name


def test_one_unit_vector(composer: Composer) -> None:
    query = composer.compose(references(2), ["in red"], Negatives(references(1), ["at night"]))
    assert query.shape == (DIM,) and query.dtype == np.float32
    assert abs(np.linalg.norm(query) - 1) < 1e-5


def test_alone_as_in_a_batch(composer: Composer) -> None:
    pictures, texts = references(4, 1), [["red"], ["blue"], ["at night", "smaller"], ["red"]]
    batch = composer.compose_batch(pictures, texts)
    assert batch.shape == (4, DIM)
    for row, picture, words in zip(batch, pictures, texts, strict=True):
        np.testing.assert_allclose(composer.compose(picture, words), row, atol=1e-5)


def test_it_changes_nothing_that_it_was_given(composer: Composer) -> None:
    pictures = references(2)
    before = pictures.copy()
    composer.compose(pictures, ["red"])
    np.testing.assert_array_equal(pictures, before)
