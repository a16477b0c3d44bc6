"""Guidance: golden values, its algebra, and what it costs."""

import logging
from typing import Any

import pytest
import torch
from torch import Tensor

from compodiff import guidance
from compodiff.guidance import guided, shares_of, warn_of_unheard_words
from compodiff.model import Prior
from tests.compodiff.golden import Inputs, close, golden_prior
from vretr.errors import UsageError

GIVEN = Inputs()
PRIOR = golden_prior()

pytestmark = pytest.mark.usefixtures("no_gradients")


@pytest.fixture
def no_gradients() -> Any:
    with torch.no_grad():
        yield


def conditions(**other: Tensor) -> dict[str, Tensor]:
    asked = {
        "image": GIVEN.image,
        "text": GIVEN.text,
        "negative": GIVEN.negative,
        "mask": GIVEN.mask,
    }
    return {**asked, **other}


def at(scales: tuple[float, float], prior: Prior = PRIOR, **other: Tensor) -> Tensor:
    return guided(prior, scales=scales, **conditions(**other))(GIVEN.x, 909)


def test_golden_value() -> None:
    found = guided(PRIOR, scales=(1.5, 7.5), **conditions())
    rows = torch.stack([found(GIVEN.x, 909)[0], found(GIVEN.x, 3)[1]])
    close(
        rows,
        [2.2378, 3.3975, -0.7566, 1.5091, 1.7068, 9.7778],
        [1.8008, -11.7817, -7.2716, -13.0249, 7.3320, -17.1002],
    )


@pytest.mark.parametrize("scales", [(1.5, 7.5), (3.0, 3.0), (1.0, 4.0), (1.0, 1.0), (0.0, 7.5)])
def test_it_equals_three_single_calls(scales: tuple[float, float]) -> None:
    t = torch.full((2,), 909.0)
    full = PRIOR(GIVEN.x, GIVEN.image, GIVEN.text, GIVEN.mask, t)
    picture = PRIOR(GIVEN.x, GIVEN.image, GIVEN.negative, GIVEN.mask, t)
    null = PRIOR(GIVEN.x, torch.zeros_like(GIVEN.image), GIVEN.negative, GIVEN.mask, t)
    wanted = null + scales[1] * (full - picture) + scales[0] * (picture - null)
    torch.testing.assert_close(at(scales), wanted, atol=2e-5, rtol=1e-5)


def test_no_guidance_is_the_network_itself_and_unwanted_words_do_nothing() -> None:
    t = torch.full((2,), 909.0)
    full = PRIOR(GIVEN.x, GIVEN.image, GIVEN.text, GIVEN.mask, t)
    torch.testing.assert_close(at((1, 1)), full, atol=1e-5, rtol=0)
    assert torch.equal(at((1, 1)), at((1, 1), negative=GIVEN.text))


def test_without_a_picture_its_scale_does_nothing() -> None:
    nothing = torch.zeros_like(GIVEN.image)
    torch.testing.assert_close(
        at((0, 3), image=nothing), at((5, 3), image=nothing), atol=1e-5, rtol=1e-5
    )


def test_words_that_are_wanted_and_unwanted_do_nothing() -> None:
    torch.testing.assert_close(
        at((2, 1), negative=GIVEN.text), at((2, 7), negative=GIVEN.text), atol=1e-5, rtol=1e-5
    )


def test_one_row_of_unwanted_words_is_for_all() -> None:
    one = GIVEN.negative[:1]
    torch.testing.assert_close(
        at((1.5, 3), negative=one), at((1.5, 3), negative=one.repeat(2, 1, 1))
    )


@pytest.mark.parametrize(
    ("scales", "branches"),
    [((1, 1), 1), ((3, 3), 2), ((1, 4), 2), ((1.5, 7.5), 3), ((0, 0), 1), ((2, 0), 2)],
)
def test_only_branches_that_count_are_computed(
    scales: tuple[float, float], branches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    denoise = PRIOR.denoise

    def counted(noisy: Tensor, *rest: Any) -> Tensor:
        rows.append(len(noisy))
        return denoise(noisy, *rest)

    monkeypatch.setattr(PRIOR, "denoise", counted)
    at(scales)
    assert rows == [branches * 2]


def test_shares_add_up_to_one() -> None:
    assert shares_of((1.5, 7.5)) == (7.5, -6.0, -0.5)
    assert sum(shares_of((3, 2))) == 1


@pytest.mark.parametrize("scales", [(1.0,), (1.0, 2.0, 3.0), (1.0, float("nan"))])
def test_scales_must_be_two_numbers(scales: Any) -> None:
    with pytest.raises(UsageError, match="two scales"):
        shares_of(scales)


def test_texts_must_be_padded_alike() -> None:
    with pytest.raises(ValueError, match="same number of tokens"):
        at((2, 2), negative=GIVEN.negative[:, :2])


def test_a_warning_of_unheard_words_comes_once(caplog: pytest.LogCaptureFixture) -> None:
    guidance._warn.cache_clear()
    with caplog.at_level(logging.WARNING):
        warn_of_unheard_words((1, 1.5))
        assert not caplog.messages
        for _ in range(3):
            warn_of_unheard_words((1, 1))
    assert len(caplog.messages) == 1
    assert "no effect with a text guidance of 1" in caplog.messages[0]
