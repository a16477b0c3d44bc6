"""The noise schedule against golden values."""

import math

import pytest
import torch

from compodiff.schedule import Schedule


@pytest.mark.parametrize(
    ("t", "wanted"),
    [
        (0, 0.9999587),
        (1, 0.9999126),
        (10, 0.9992789),
        (100, 0.9715757),
        (250, 0.8458880),
        (500, 0.4922852),
        (750, 0.1431786),
        (900, 0.0236161),
        (909, 0.0195444),
        (990, 1.96717e-4),
        (999, 2.42877e-9),
    ],
)
def test_golden_values(t: int, wanted: float) -> None:
    assert float(Schedule.cosine().alphas_cumprod[t]) == pytest.approx(wanted, rel=2e-6, abs=6e-8)


def test_a_naive_product_agrees() -> None:
    def curve(x: float) -> float:
        return math.cos((x / 50 + 0.008) / 1.008 * math.pi / 2) ** 2

    product = 1.0
    for t, found in enumerate(Schedule.cosine(T=50).alphas_cumprod.tolist()):
        product *= 1 - min(max(1 - curve(t + 1) / curve(t), 0), 0.999)
        assert found == pytest.approx(product, rel=1e-6)


def test_noise_keeps_the_size_of_what_is_as_large_as_it() -> None:
    torch.manual_seed(0)
    schedule = Schedule.cosine()
    x0, noise = torch.randn(2, 4000, 16)
    t = torch.randint(len(schedule), (4000,))
    found = schedule.add_noise(x0, noise, t)
    assert float(found.square().mean()) == pytest.approx(1, abs=0.02)
    for row in (0, 1, 2):
        kept = float(schedule.alphas_cumprod[t[row]])
        wanted = math.sqrt(kept) * x0[row] + math.sqrt(1 - kept) * noise[row]
        torch.testing.assert_close(found[row], wanted)
