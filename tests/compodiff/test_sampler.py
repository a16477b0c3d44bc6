"""The sampler: golden values, both forms, and noise that belongs to its query."""

from typing import Any

import pytest
import torch
from torch import Tensor

from compodiff import sampler
from compodiff.guidance import guided
from compodiff.sampler import coefficients, drawn, sample, times_of
from compodiff.schedule import Schedule
from tests.compodiff.golden import Inputs, close, golden_prior
from vretr.errors import UsageError

GIVEN = Inputs()
PRIOR = golden_prior()
SCHEDULE = Schedule.cosine()


def made(**other: Any) -> Tensor:
    given: dict[str, Any] = {
        "image": GIVEN.image,
        "text": GIVEN.text,
        "negative": GIVEN.negative,
        "mask": GIVEN.mask,
        "scales": (1.5, 7.5),
    }
    return sample(PRIOR, SCHEDULE, **{**given, **other})


def test_golden_result_without_fresh_noise() -> None:
    found = made(steps=3, schedule_form="original", noise=GIVEN.start[None])
    close(
        found,
        [3.2899, 2.9941, -0.1629, 1.7875, -0.6968, -0.0789],
        [4.7153, -2.3777, 0.8931, -3.1494, 2.0154, -5.4256],
    )


def test_golden_result_with_fresh_noise_of_zeros() -> None:
    noise = torch.stack([GIVEN.start, torch.zeros(2, 16), torch.zeros(2, 16)])
    found = made(steps=3, schedule_form="original", eta=1.0, noise=noise)
    close(found, [3.4224, 3.4646, -1.0204, 2.1662], [2.1805, -7.4084, -2.3535, 0.5315])


def test_golden_steps_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []

    def watched(*given: Any, **others: Any) -> Any:
        predict = guided(*given, **others)

        def call(x: Tensor, t: float) -> Tensor:
            seen.append(x)
            return predict(x, t)

        return call

    monkeypatch.setattr(sampler, "guided", watched)
    made(steps=3, schedule_form="original", noise=GIVEN.start[None])
    for x, wanted in zip(
        seen[1:], ([-2.1704, 1.2378, -3.8922], [1.1810, 4.2457, -2.5327]), strict=True
    ):
        torch.testing.assert_close(x[0, :3], torch.tensor(wanted), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("now", "then", "eta", "c1", "c2"),
    [
        (749, 499, 0, 0, 0.710351),
        (499, 249, 0, 0, 0.389701),
        (749, 499, 1, 0.645891, 0.295674),
        (499, 249, 1, 0.353793, 0.163395),
    ],
)
def test_golden_coefficients(now: int, then: int, eta: float, c1: float, c2: float) -> None:
    before = [1.0, *SCHEDULE.alphas_cumprod.tolist()]  # the original form takes one time earlier
    assert coefficients(before[now], before[then], eta) == pytest.approx((c1, c2), abs=1e-5)


@pytest.mark.parametrize(
    ("steps", "times"),
    [
        (1, [499, -1]),
        (2, [666, 332, -1]),
        (3, [749, 499, 249, -1]),
        (5, [833, 666, 499, 332, 165, -1]),
        (10, [909, 818, 727, 636, 545, 454, 363, 272, 181, 90, -1]),
    ],
)
def test_the_original_times(steps: int, times: list[int]) -> None:
    assert times_of(steps, "original", 1000) == times


@pytest.mark.parametrize(
    ("steps", "times"),
    [(1, [999, -1]), (2, [999, 499, -1]), (3, [999, 666, 332, -1]), (4, [999, 749, 499, 249, -1])],
)
def test_our_times_start_at_pure_noise(steps: int, times: list[int]) -> None:
    assert times_of(steps, "ours", 1000) == times


@pytest.mark.parametrize("form", ["ours", "original"])
def test_all_times_can_be_taken(form: Any) -> None:
    times = times_of(10, form, 10)
    assert times[0] <= 9 and times[-1] == -1 and times == sorted(set(times), reverse=True)
    found = sample(
        PRIOR,
        Schedule.cosine(T=10),
        image=GIVEN.image,
        text=GIVEN.text,
        negative=GIVEN.negative,
        mask=GIVEN.mask,
        scales=(1, 1),
        steps=10,
        eta=1.0,
        schedule_form=form,
        seeds=[1, 2],
    )
    assert found.isfinite().all()


def test_one_call_is_the_networks_own_word() -> None:
    noise = drawn([5, 6], 16)
    found = made(steps=1, seeds=[5, 6], scales=(1, 1))
    t = torch.full((2,), 999.0)
    with torch.no_grad():
        wanted = PRIOR(noise[0], GIVEN.image, GIVEN.text, GIVEN.mask, t)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_the_same_seeds_give_the_same_and_others_something_else(eta: float) -> None:
    before = torch.random.get_rng_state()
    found = made(eta=eta, seeds=[1, 2])
    assert torch.equal(found, made(eta=eta, seeds=[1, 2]))
    other = made(eta=eta, seeds=[3, 2])
    assert not torch.isclose(found[0], other[0]).all()
    torch.testing.assert_close(found[1], other[1])
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_a_query_alone_is_the_query_in_a_batch(eta: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "AT_ONCE", 2)  # so that the batch is worked off in parts
    order = [1, 0, 1]
    rows = {name: getattr(GIVEN, name)[order] for name in ("image", "text", "negative", "mask")}
    together = made(steps=4, eta=eta, seeds=[7, 8, 9], **rows)
    for place in range(3):
        alone = {name: value[[place]] for name, value in rows.items()}
        found = made(steps=4, eta=eta, seeds=[7 + place], **alone)[0]
        torch.testing.assert_close(found, together[place], atol=1e-4, rtol=1e-4)


def test_noise_belongs_to_the_seed() -> None:
    start = drawn([3, 4], 16)
    assert start.shape == (1, 2, 16)
    assert torch.equal(start[0, 1], drawn([4], 16)[0, 0])
    assert torch.equal(start[0], drawn([3, 4], 16, 5)[0])
    many = drawn(range(200), 16, 5)
    assert float(many.mean()) == pytest.approx(0, abs=0.03)
    assert float(many.std()) == pytest.approx(1, abs=0.03)


def test_no_query_gives_no_vector() -> None:
    rows = {name: getattr(GIVEN, name)[:0] for name in ("image", "text", "negative", "mask")}
    assert made(**rows).shape == (0, 16)


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_impossible_steps_are_refused(steps: int) -> None:
    with pytest.raises(UsageError, match="1 to 1000 steps"):
        made(steps=steps, seeds=[1, 2])


@pytest.mark.parametrize("eta", [-0.1, 1.5, float("nan")])
def test_impossible_eta_is_refused(eta: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        made(eta=eta, seeds=[1, 2])


def test_a_seed_for_each_query_is_needed() -> None:
    with pytest.raises(ValueError, match="2 queries need as many seeds, not 1"):
        made(seeds=[1])
