"""Generalised means: golden values of the closed form, numerical traps, properties."""

import logging

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pooling.gem import GeM, GGeM

TOKENS = torch.tensor([[[0.5, -1, 2, 0.1], [1.5, 0.2, 1, -0.3], [-0.5, 0.4, 3, 0.6]]])


def ggem(width: int, *p: float, **options: object) -> GGeM:
    pool = GGeM(width, groups=len(p), **options)  # type: ignore[arg-type]
    pool.p.data = torch.tensor(p)
    return pool


def naive(x: Tensor, p: Tensor, eps: float = 1e-6) -> Tensor:
    """The formula as it is written, in float64."""
    x = x.double().clamp(min=eps)
    return (x ** p.double()).mean(1) ** (1 / p.double())


@pytest.mark.parametrize(
    ("p", "f", "df_dp", "df_dx"),
    [
        (0.5, 2.1650312638, 0.3366129053, (0.4904681736, 0.3468133715, 0.2452340868)),
        (1.0, 2.3333333333, 0.3334622610, (1 / 3, 1 / 3, 1 / 3)),
        (3.0, 2.8977919511, 0.2196464882, (0.0396957802, 0.1587831206, 0.6351324824)),
    ],
)
def test_golden_values_of_gem(p: float, f: float, df_dp: float, df_dx: tuple[float, ...]) -> None:
    x = torch.tensor([1.0, 2.0, 4.0]).view(1, 3, 1).requires_grad_()
    pool = GeM(1, p=p)
    found = pool(x)
    found.sum().backward()
    assert found.item() == pytest.approx(f, rel=1e-6)
    assert pool.p.grad.item() == pytest.approx(df_dp, rel=1e-5)
    assert x.grad.flatten().tolist() == pytest.approx(df_dx, rel=1e-5)


def test_golden_values_of_ggem() -> None:
    x = TOKENS.clone().requires_grad_()
    pool = ggem(4, 3.0, 2.0)
    found = pool(x)
    found.sum().backward()
    golden = [1.0527265996, 0.2884499141, 2.1602468995, 0.3511884584]
    assert found[0].tolist() == pytest.approx(golden, rel=1e-6)
    assert pool.p.grad.tolist() == pytest.approx([0.1345124887, 0.2303585861], rel=1e-5)
    slopes = [
        [0.0751947571, 0, 0.3086066999, 0.0949157996],
        [0.6767528140, 0.1602499523, 0.1543033500, 0],
        [0, 0.6409998090, 0.4629100499, 0.5694947975],
    ]
    np.testing.assert_allclose(x.grad[0].numpy(), slopes, rtol=1e-5, atol=1e-7)


def test_p_of_1_is_the_mean_of_what_is_positive() -> None:
    golden = [0.6666670000, 0.2000003333, 2.0, 0.2333336667]
    assert ggem(4, 1.0, 1.0)(TOKENS)[0].tolist() == pytest.approx(golden, rel=1e-6)


def test_signed_p_of_1_is_the_plain_mean() -> None:
    found = ggem(4, 1.0, negatives="signed")(TOKENS)[0]
    assert found.tolist() == pytest.approx([0.5, -0.1333333333, 2, 0.1333333333], rel=1e-6)


def test_signed_powers_keep_the_sign() -> None:
    x = torch.tensor([[[-2.0, 1.0], [1.0, 0.0], [-1.0, 0.5]]])
    found = ggem(2, 3.0, negatives="signed")(x)[0].tolist()
    assert found == pytest.approx([-((8 / 3) ** (1 / 3)), (1.125 / 3) ** (1 / 3)], rel=1e-5)


def test_signed_has_a_slope_everywhere() -> None:
    x = torch.tensor([[[1.0, 0.0, 5.0], [-1.0, 0.0, -5.0]]], requires_grad=True)
    pool = ggem(3, 3.0, negatives="signed")
    found = pool(x)
    found.sum().backward()
    assert found.abs().max() < 1e-6
    assert x.grad.isfinite().all()
    assert pool.p.grad.isfinite().all()


def test_shift_takes_the_least_of_each_channel() -> None:
    found = ggem(4, 3.0, negatives="shift")(TOKENS)
    shifted = TOKENS - TOKENS.amin(1, keepdim=True) + 1e-6
    torch.testing.assert_close(found.double(), naive(shifted, torch.tensor([3.0])))


# --- numerical traps -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_neither_overflows_nor_underflows(dtype: torch.dtype) -> None:
    x = torch.tensor([[41.0, -1], [1, -2], [0.5, -3]], dtype=dtype)[None].requires_grad_()
    pool = ggem(2, 3.0)
    found = pool(x)
    assert found.dtype == dtype
    found.float().sum().backward()
    assert found[0].tolist() == pytest.approx([28.42796, 1e-6], rel=8e-3, abs=1e-7)
    assert pool.p.grad.item() == pytest.approx(3.4695, rel=8e-3)
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("p", [3.0, 8.0, 20.0])
def test_a_channel_that_is_clamped_whole_has_no_slope(p: float) -> None:
    x = -torch.rand(2, 5, 1)
    pool = GeM(1, p=p)
    found = pool(x.requires_grad_())
    found.sum().backward()
    assert found.flatten().tolist() == pytest.approx([1e-6, 1e-6], rel=1e-4)
    assert x.grad.abs().max() == 0
    assert pool.p.grad.item() == pytest.approx(0, abs=1e-9)


def test_autocast_does_not_reach_it() -> None:
    x = torch.rand(2, 7, 4) * 40
    pool = ggem(4, 3.0, 5.0)
    with torch.autocast("cpu", torch.bfloat16):
        found = pool(x)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, pool(x))


def test_p_stays_float32() -> None:
    pool = ggem(4, 3.001, 2.0)
    pool(TOKENS).sum().backward()
    model = nn.Sequential(nn.Linear(4, 4), pool)
    before = pool.p
    for turned in (model.half(), model.bfloat16(), model.to(torch.float16), model.float()):
        assert turned[1].p is before
        assert (before.dtype, before.grad.dtype) == (torch.float32, torch.float32)
        assert before.tolist() == pytest.approx([3.001, 2.0], abs=1e-7)
    assert GGeM(4, learnable=False).half().p.dtype == torch.float32


def test_p_is_held_in_its_range_and_still_has_a_slope() -> None:
    x = torch.rand(2, 6, 2) + 0.1
    for outside, edge in ((-4.0, 0.5), (70.0, 20.0)):
        pool, at_edge = GeM(2, p=edge), GeM(2, p=edge)
        pool.p.data.fill_(outside)
        found, expected = pool(x), at_edge(x)
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
        found.sum().backward()
        expected.sum().backward()
        assert pool.p.grad.item() == at_edge.p.grad.item() != 0
        assert pool.powers.tolist() == [edge]


def test_p_has_one_dimension() -> None:
    assert GGeM(12, groups=4).p.shape == (4,)  # optimisers spare those of weight decay


# --- what is said --------------------------------------------------------------------------------


def test_what_is_clamped_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    pool = GGeM(4)
    pool(TOKENS)
    pool(TOKENS)
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert record.getMessage().startswith("25.0 % of the values")
    caplog.clear()
    GGeM(4)(-TOKENS.abs())
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "100.0 % of the channels" in record.getMessage()
    caplog.clear()
    GGeM(4, negatives="signed")(-TOKENS.abs())
    GGeM(4)(TOKENS.clamp(min=0))
    assert not caplog.records
    mask = torch.tensor([[True, True, False]])
    GGeM(4)(torch.cat([TOKENS[:, 1:2].abs(), TOKENS[:, :1], TOKENS[:, :1]], 1), None, mask)
    assert caplog.records[0].getMessage().startswith("12.5 % of the values")


# --- properties ----------------------------------------------------------------------------------

tokens = st.builds(
    lambda seed, number, spread: (
        torch.rand(2, number, 6, generator=torch.Generator().manual_seed(seed)) * spread + 0.01
    ),
    st.integers(0, 10**6),
    st.integers(1, 9),
    st.floats(0.1, 50),
)
powers = st.floats(0.5, 20)


@settings(deadline=None, max_examples=40)
@given(tokens, st.lists(powers, min_size=3, max_size=3))
def test_it_is_the_formula(x: Tensor, p: list[float]) -> None:
    expected = naive(x, torch.tensor(p).repeat_interleave(2))
    torch.testing.assert_close(ggem(6, *p)(x).double(), expected, rtol=2e-5, atol=1e-7)


@settings(deadline=None, max_examples=40)
@given(tokens, powers, powers)
def test_it_grows_with_p_between_least_and_most(x: Tensor, p: float, q: float) -> None:
    low, high = ggem(6, min(p, q))(x), ggem(6, max(p, q))(x)
    slack = 1e-5 * x.amax(1)
    assert (low <= high + slack).all()
    assert (x.amin(1) <= low + slack).all()
    assert (high <= x.amax(1) + slack).all()


@settings(deadline=None, max_examples=30)
@given(tokens, powers, st.sampled_from(["clamp", "signed"]), st.floats(0.5, 20))
def test_it_scales_with_the_tokens(x: Tensor, p: float, negatives: str, factor: float) -> None:
    pool = ggem(6, p, negatives=negatives)
    torch.testing.assert_close(pool(x * factor), pool(x) * factor, rtol=1e-4, atol=1e-6)


@settings(deadline=None, max_examples=30)
@given(tokens, powers, st.sampled_from(["clamp", "shift", "signed"]), st.randoms())
def test_the_order_of_tokens_does_not_matter(x: Tensor, p: float, negatives: str, draw) -> None:
    order = list(range(x.shape[1]))
    draw.shuffle(order)
    pool = ggem(6, p, p, negatives=negatives)
    torch.testing.assert_close(pool(x[:, order]), pool(x), rtol=1e-5, atol=1e-6)


@settings(deadline=None, max_examples=30)
@given(tokens, powers, powers)
def test_a_groups_p_is_its_own(x: Tensor, p: float, q: float) -> None:
    one, other = ggem(6, p, p, p)(x), ggem(6, p, q, p)(x)
    torch.testing.assert_close(one[:, [0, 1, 4, 5]], other[:, [0, 1, 4, 5]], rtol=0, atol=0)
    torch.testing.assert_close(other[:, 2:4], ggem(2, q)(x[..., 2:4]))


@settings(deadline=None, max_examples=30)
@given(tokens, powers)
def test_groups_of_one_p_are_gem(x: Tensor, p: float) -> None:
    torch.testing.assert_close(ggem(6, p, p, p)(x), GeM(6, p=p)(x), rtol=0, atol=0)


@settings(deadline=None, max_examples=20)
@given(st.floats(0.01, 40), powers)
def test_equal_tokens_give_p_no_slope(value: float, p: float) -> None:
    pool = ggem(6, p)
    pool(torch.full((2, 5, 6), value)).sum().backward()
    assert pool.p.grad.item() == pytest.approx(0, abs=1e-4 * value)


@settings(deadline=None, max_examples=20)
@given(tokens, powers, st.sampled_from(["clamp", "shift", "signed"]))
def test_masked_tokens_are_not_there(x: Tensor, p: float, negatives: str) -> None:
    pool = ggem(6, p, negatives=negatives)
    padded = torch.cat([x, torch.full((2, 3, 6), 99.0)], 1)
    mask = torch.arange(padded.shape[1]).expand(2, -1) < x.shape[1]
    torch.testing.assert_close(pool(padded, None, mask), pool(x), rtol=1e-5, atol=1e-6)
