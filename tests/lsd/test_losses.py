"""Losses against the paper's formulas in loops, by hand, and where they must be 0."""

from math import exp, hypot, inf, log
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lsd.data import collate
from lsd.losses import MATCHED, LossWeights, degree, displacement, entropy, length, losses, matching
from lsd.targets import Target, targets

SIDE = 32
LINES = [
    np.array([[4.2, 5.1, 20.6, 8.3], [25.0, 4.0, 26.5, 30.2], [2.0, 28.0, 15.0, 20.0]], np.float32),
    np.empty((0, 4), np.float32),
    np.array([[1.0, 1.0, 30.0, 29.0]], np.float32),
]


@pytest.fixture(scope="module")
def wanted() -> Target:
    picture = torch.zeros(3, 2 * SIDE, 2 * SIDE, dtype=torch.uint8)
    return collate([(picture, targets(lines, SIDE)) for lines in LINES])[1]


@pytest.fixture
def logits() -> Tensor:
    return torch.randn(3, 16, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def perfect(wanted: Target) -> Tensor:
    """The logits that say just what is wanted."""
    maps = wanted.maps.clone()
    for channel in (0, 1, 2, 7, 12, 13, 14, 15):
        maps[:, channel] = torch.logit(maps[:, channel], eps=1e-7)
    return maps


def test_entropy_of_hard_targets_is_the_papers() -> None:
    z = [1.5, -0.3, 0.2, -2.0, 4.0]
    t = [1, 1, 0, 0, 0]
    said = [1 / (1 + exp(-x)) for x in z]
    positive = -sum(log(p) for p, wanted in zip(said, t, strict=True) if wanted) / 2
    negative = -sum(log(1 - p) for p, wanted in zip(said, t, strict=True) if not wanted) / 3
    found = entropy(torch.tensor(z), torch.tensor(t, dtype=torch.float32), (1.0, 30.0))
    assert found.item() == pytest.approx(positive + 30 * negative, rel=1e-6)


def test_entropy_of_soft_targets_against_a_loop() -> None:
    z, t = [3.0, -1.0, 0.5], [1.0, 0.25, 0.0]
    p = [1 / (1 + exp(-x)) for x in z]
    positive = -sum(b * log(a) for a, b in zip(p, t, strict=True)) / sum(t)
    negative = -sum((1 - b) * log(1 - a) for a, b in zip(p, t, strict=True)) / (3 - sum(t))
    found = entropy(torch.tensor(z), torch.tensor(t), (2.0, 5.0))
    assert found.item() == pytest.approx(2 * positive + 5 * negative, rel=1e-6)


@pytest.mark.parametrize("t", [0.0, 1.0])
def test_entropy_where_all_or_nothing_is_wanted(t: float) -> None:
    found = entropy(torch.zeros(4), torch.full((4,), t), (1.0, 30.0))
    assert found.item() == pytest.approx(log(2) * (1 if t else 30), rel=1e-6)


def test_displacement_takes_the_better_order_of_each_cell() -> None:
    target = torch.tensor([[1.0, 2, 3, 4], [5, 6, 7, 8], [9, 9, 9, 9]]).T[None, :, None]
    found = torch.tensor([[3.5, 4, 1, 2], [5, 6, 7, 10], [0, 0, 0, 0]]).T[None, :, None]
    weight = torch.tensor([[[1.0, 0.5, 0.0]]])
    # Swapped: 0.5²/2; as it is: 2 - 1/2; not counted.
    wanted = (0.125 + 0.5 * 1.5) / 1.5
    assert displacement(found, target, weight).item() == pytest.approx(wanted)


def test_length_is_compared_after_the_sigmoid() -> None:
    z, target = torch.tensor([[[0.0, 2.0]]]), torch.tensor([[[0.1, 0.5]]])
    off = 1 / (1 + exp(-2)) - 0.5
    assert length(z, target, torch.ones(1, 1, 2)).item() == pytest.approx((0.08 + off**2 / 2) / 2)


def test_an_upright_line_has_two_degrees() -> None:
    z = torch.logit(torch.tensor([[[0.26, 0.74, 0.6]]]))
    target = torch.tensor([[[0.74, 0.26, 0.5]]])
    size = degree(z, target, torch.tensor([[[1.0, 1, 0]]]))
    assert size.item() == pytest.approx(0.02**2 / 2, abs=1e-6)
    size = degree(z, target, torch.tensor([[[0.0, 0, 1]]]))
    assert size.item() == pytest.approx(0.1**2 / 2, abs=1e-6)


def test_matching_against_loops(wanted: Target, logits: Tensor) -> None:
    exact = perfect(wanted)
    ends = exact[:, 8:12] + logits[:, 8:12]
    z = exact[:, 7].clamp(-6, 6) + 0.1 * logits[:, 7]
    expected = _matching(z.numpy(), ends.numpy(), LINES)
    assert expected > 0
    assert matching(z, ends, wanted.lines).item() == pytest.approx(expected, rel=1e-4)


def test_matching_teaches_centres_and_ends(wanted: Target, logits: Tensor) -> None:
    """In the port the centre has no gradient (fault 11 of its list)."""
    exact = perfect(wanted)
    z = (exact[:, 7].clamp(-6, 6) + 0.1 * logits[:, 7]).requires_grad_()
    ends = (exact[:, 8:12] + logits[:, 8:12]).requires_grad_()
    matching(z, ends, wanted.lines).backward()
    assert z.grad[0].abs().sum() > 0 and ends.grad[0].abs().sum() > 0
    assert z.grad[1].abs().sum() == ends.grad[1].abs().sum() == 0  # a picture without lines


def test_matching_is_0_where_nothing_matches(wanted: Target) -> None:
    """In the port a constant (fault 11)."""
    z = torch.zeros(3, SIDE, SIDE, requires_grad=True)
    far = torch.full((3, 4, SIDE, SIDE), 100.0, requires_grad=True)
    for lines in (wanted.lines, torch.empty(3, 0, 4), torch.full((3, 2, 4), torch.nan)):
        loss = matching(z, far, lines)
        loss.backward()
        assert loss.item() == 0
        assert not z.grad.any() and (far.grad is None or not far.grad.any())


def test_a_perfect_answer_has_nothing_to_learn_but_soft_maps(wanted: Target) -> None:
    found = losses(perfect(wanted), wanted, LossWeights())
    for name in ("displacement", "length", "degree"):
        assert found[name].item() == pytest.approx(0, abs=1e-8)
        assert found[f"sol_{name}"].item() == pytest.approx(0, abs=1e-8)
    assert found["line"].item() == pytest.approx(0, abs=1e-5)
    # Only centres between cells are off, by half a cell in x and in y at most.
    assert 0 < found["matching"].item() < 1


def test_the_loss_is_the_weighted_sum_of_what_counts(wanted: Target, logits: Tensor) -> None:
    every = losses(logits, wanted, LossWeights())
    weights = LossWeights(centre=2.0, line=0.5, sol_matching=0.0, degree=0.0)
    found = losses(logits, wanted, weights)
    assert set(every) - set(found) == {"sol_matching", "degree"}
    assert all(found[name].item() == every[name].item() for name in found if name != "loss")
    total = sum(getattr(weights, name) * found[name].item() for name in found if name != "loss")
    assert found["loss"].item() == pytest.approx(total, rel=1e-5)


def test_which_channels_each_part_teaches(wanted: Target, logits: Tensor) -> None:
    taught = [
        ("sol_centre", {0}),
        ("line", {1}),
        ("junction", {2}),
        ("sol_displacement", {3, 4, 5, 6}),
        ("centre", {7}),
        ("displacement", {8, 9, 10, 11}),
        ("length", {12}),
        ("degree", {13}),
        ("sol_length", {14}),
        ("sol_degree", {15}),
    ]
    for name, channels in taught:
        z = logits.clone().requires_grad_()
        only = {other: float(other == name) for other in LossWeights().__dict__}
        losses(z, wanted, LossWeights(**only))["loss"].backward()
        assert {*z.grad.abs().sum((0, 2, 3)).nonzero()[:, 0].tolist()} == channels


def test_gradients_against_finite_differences(wanted: Target) -> None:
    small = Target(*(part[:1].double() for part in wanted))
    maps = perfect(small).clamp(-4, 4)
    maps = maps + 0.05 * torch.randn(
        maps.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    weight, lines = small.weight[:, 0], small.lines
    cells = (3, 6, 12)  # a row and columns around a centre

    def check(loss: Any, *channels: int) -> None:
        def of(piece: Tensor) -> Tensor:
            whole = maps.clone()
            whole[0, list(channels), cells[1], cells[2] - 1 : cells[2] + 2] = piece
            return loss(whole)

        piece = maps[0, list(channels), cells[1], cells[2] - 1 : cells[2] + 2].clone()
        assert torch.autograd.gradcheck(of, piece.requires_grad_())

    check(lambda x: entropy(x[:, 7], small.maps[:, 7], (1.0, 30.0)), 7)
    check(lambda x: displacement(x[:, 8:12], small.maps[:, 8:12], weight), 8, 9, 10, 11)
    check(lambda x: length(x[:, 12], small.maps[:, 12], weight), 12)
    check(lambda x: degree(x[:, 13], small.maps[:, 13], weight), 13)
    check(lambda x: matching(x[:, 7], x[:, 8:12], lines), 7, 8, 9, 10, 11)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_float32(
    wanted: Target, logits: Tensor, dtype: torch.dtype
) -> None:
    found = losses(logits.to(dtype), wanted, LossWeights())
    exact = losses(logits.to(dtype).double(), wanted, LossWeights())
    for name, part in found.items():
        assert part.dtype == torch.float32
        assert part.item() == pytest.approx(exact[name].item(), rel=1e-4)


def test_a_teachers_maps_are_targets_as_any_other(logits: Tensor) -> None:
    maps = torch.rand(3, 16, SIDE, SIDE, generator=torch.Generator().manual_seed(2))
    found = losses(logits, Target(maps, maps[:, [7, 0]]), LossWeights())
    assert all(part.isfinite() for part in found.values())
    assert found["matching"] == found["sol_matching"] == 0
    weight = maps[:, 7].numpy()
    off = 1 / (1 + np.exp(-logits[:, 12].numpy())) - maps[:, 12].numpy()
    expected = (weight * off**2 / 2).sum() / weight.sum()
    assert found["length"].item() == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("bad", [{"centre": -1.0}, {"line": inf}, {"length": float("nan")}])
def test_weights_that_make_no_sense(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be 0 or more"):
        LossWeights(**bad)


def test_weights_with_which_nothing_is_learned() -> None:
    with pytest.raises(ValueError, match="one at least more"):
        LossWeights(**dict.fromkeys(LossWeights().__dict__, 0.0))


def _matching(z: np.ndarray, moved: np.ndarray, truth: list[np.ndarray]) -> float:
    """Every peak of every picture, one by one."""
    off = []
    for picture, lines in enumerate(truth):
        padded = np.pad(z[picture].astype(float), 1, constant_values=-inf)
        peaks = []
        for y in range(SIDE):
            for x in range(SIDE):
                around = padded[y : y + 3, x : x + 3]
                if around[1, 1] == around.max():
                    peaks.append((around[1, 1], x, y, around))
        for _, x, y, around in sorted(peaks, key=lambda peak: -peak[0])[:200]:
            found = moved[picture, :, y, x] + [x, y, x, y]
            choices = []
            for line in lines.astype(float):
                for true in (line, line[[2, 3, 0, 1]]):
                    far = max(hypot(*(found - true)[:2]), hypot(*(found - true)[2:]))
                    choices.append((far, *true))
            if not choices or min(choices)[0] >= MATCHED:
                continue
            true = np.array(min(choices)[1:])
            share = 1 / (1 + np.exp(-around))
            share /= share.sum()
            centre = np.array(
                [x + (share.sum(0) * [-1, 0, 1]).sum(), y + (share.sum(1) * [-1, 0, 1]).sum()]
            )
            middle = (true[:2] + true[2:]) / 2
            off.append(np.abs(found - true).sum() + np.abs(centre - middle).sum())
    return sum(off) / len(off)
