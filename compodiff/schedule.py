"""How much noise a vector has at which time."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

OFFSET = 0.008  # keeps the first steps from being too small
LARGEST = 0.999  # share of what is left that one step may replace by noise


@dataclass(frozen=True)
class Schedule:
    """x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) noise, t = 0 ... T - 1.

    `alphas_cumprod`: a_t, float32 [T]. Always computed and never read from a file: an old loader
    of the released file spoils the names of these numbers.
    """

    alphas_cumprod: Tensor

    @classmethod
    def cosine(cls, T: int = 1000) -> "Schedule":
        """Nichol and Dhariwal 2021, arXiv:2102.09672, equation 17. Computed in float64."""
        x = torch.arange(T + 1, dtype=torch.float64) / T
        curve = torch.cos((x + OFFSET) / (1 + OFFSET) * math.pi / 2) ** 2
        replaced = (1 - curve[1:] / curve[:-1]).clamp(0, LARGEST)
        return cls((1 - replaced).cumprod(0).float())

    def __len__(self) -> int:
        """T."""
        return len(self.alphas_cumprod)

    def add_noise(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """`x0` and `noise` [B, dim], times `t` [B], whole numbers -> x_t [B, dim]."""
        kept = self.alphas_cumprod.to(t.device)[t][:, None]
        return kept.sqrt() * x0 + (1 - kept).sqrt() * noise
