"""From noise to a vector, in a few calls of the network."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from compodiff.guidance import guided
from compodiff.model import Prior
from compodiff.schedule import Schedule
from vretr.errors import UsageError

Form = Literal["ours", "original"]

AT_ONCE = 32  # queries; ViT-L's network needs 12 MB of keys for each


def times_of(steps: int, form: Form, T: int) -> list[int]:
    """The times at which the network is called, from late to early, and -1 behind them.

    Ours start where there is nothing but noise, at T - 1. The original form starts from pure noise
    too, but tells the network an earlier time: 749 where it calls it three times.

    Raises:
        UsageError: not 1 ... T steps.
    """
    if not 1 <= steps <= T:
        raise UsageError(f"A vector is made in 1 to {T} steps, not {steps}.")
    if form == "ours":
        return [int(time) for time in np.linspace(T - 1, -1, steps + 1).round()]
    return [int(time) for time in np.linspace(-1, T, steps + 2)[:-1]][::-1]


def coefficients(now: float, then: float, eta: float) -> tuple[float, float]:
    """DDIM's c1 of fresh noise and c2 of the noise found, from `now` to `then` (both a_t).

    Song et al. 2021, arXiv:2010.02502, equations 12 and 16.
    """
    c1 = eta * math.sqrt((1 - now / then) * (1 - then) / (1 - now))
    return c1, math.sqrt(1 - then - c1**2)


def drawn(seeds: Sequence[int], dim: int, count: int = 1) -> Tensor:
    """Noise [count, B, dim], each query's by its seed alone, whatever stands beside it.

    The global random numbers stay untouched, and `count` does not change what comes first.
    """
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    rows = [[torch.randn(dim, generator=each) for each in generators] for _ in range(count)]
    return torch.stack([torch.stack(row) for row in rows])


@torch.no_grad()
def sample(
    prior: Prior,
    schedule: Schedule,
    *,
    image: Tensor,
    text: Tensor,
    negative: Tensor,
    mask: Tensor,
    scales: tuple[float, float],
    steps: int = 2,
    eta: float = 0.0,
    schedule_form: Form = "ours",
    seeds: Sequence[int] = (),
    noise: Tensor | None = None,
) -> Tensor:
    """The vectors [B, dim] that the conditions ask for, in the scale of `image`, not normalised.

        noise = (x - sqrt(a_t) x0) / sqrt(1 - a_t)        x0: guided prediction at t
        x     = sqrt(a_t') x0 + c1 fresh + c2 noise       t' the next time; x0 where there is none

    The original form takes a_t of one time earlier in c1, c2 and sqrt(a_t'), and for its time 0 no
    fresh noise. Few steps are best for ranking: x0 of one call is the mean of what fits, which is
    what ranking wants; many draw one sample.

    Args:
        image, text, negative, mask, scales: see `guided`.
        steps: calls of the network.
        eta: 0 draws nothing after the start; 1 is the original's default.
        schedule_form: "original" for released weights.
        seeds: of the queries, one each.
        noise: in place of seeds: [1, B, dim], or with eta [steps, B, dim].

    Raises:
        UsageError: impossible scales, steps or eta.
        ValueError: neither a seed for each query nor noise.
    """
    times = times_of(steps, schedule_form, len(schedule))
    if not 0 <= eta <= 1:
        raise UsageError(f"eta lies between 0 and 1, not {eta:g}.")
    if not len(image):
        return image
    if noise is None:
        if len(seeds) != len(image):
            raise ValueError(f"{len(image)} queries need as many seeds, not {len(seeds)}")
        noise = drawn(seeds, prior.dim, steps if eta else 1)
    noise = noise.to(image)
    alphas: list[float] = schedule.alphas_cumprod.tolist()
    # In the original form, one time earlier.
    steady = [1.0, *alphas[:-1]] if schedule_form == "original" else alphas
    found = []
    for first in range(0, len(image), AT_ONCE):
        rows = slice(first, first + AT_ONCE)
        predict = guided(
            prior,
            image=image[rows],
            text=text[rows],
            negative=negative if len(negative) == 1 else negative[rows],
            mask=mask[rows],
            scales=scales,
        )
        x = noise[0, rows]
        for call, (now, then) in enumerate(pairwise(times), start=1):
            x0 = predict(x, now)
            if then < 0:
                break
            c1, c2 = coefficients(steady[now], steady[then], eta)
            rest = (x - math.sqrt(alphas[now]) * x0) / math.sqrt(1 - alphas[now])
            x = math.sqrt(steady[then]) * x0 + c2 * rest
            if c1 and (then or schedule_form == "ours"):
                x = x + c1 * noise[call, rows]
        found.append(x0)
    return torch.cat(found)
