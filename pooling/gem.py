"""Generalised means, of all channels alike (GeM) or group by group (GGeM).

GeM: Radenovic, Tolias, Chum 2018, arXiv:1711.02512. GGeM: Ko et al. 2022, arXiv:2212.04114.
"""

import logging
import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pooling.base import Pool, counted, without
from vretr.errors import UsageError

log = logging.getLogger(__name__)

P_MIN, P_MAX = 0.5, 20.0
Negatives = Literal["clamp", "shift", "signed"]


class GGeM(Pool):
    """f_c = (mean over patches of x'_c ** p_g) ** (1 / p_g), g the group of channel c.

    p = 1 is the mean, a large p the maximum. The C channels are cut into G contiguous groups. p is
    float32 [G], whatever the model's dtype, and held in [0.5, 20]: beyond, its gradient still
    brings it back.

    Attributes:
        told: whether the log has been told how much `clamp` leaves out.
    """

    p: Tensor

    def __init__(
        self,
        width: int,
        *,
        heads: int | None = None,
        groups: int | None = None,
        p: float = 3.0,
        negatives: Negatives = "clamp",
        eps: float = 1e-6,
        learnable: bool = True,
    ) -> None:
        """Makes it.

        Args:
            width: channels.
            heads: of the attention before it.
            groups: G; None: one a head, 1 where there are no heads.
            p: at the start, for all groups.
            negatives: what counts for x <= 0: `clamp` takes max(x, eps); `shift` takes from each
                channel its least value (as SimPool does); `signed` takes sign(x) |x| ** p and the
                signed root, so that p = 1 is the plain mean.
            eps: the least value.
            learnable: whether p is a parameter.

        Raises:
            UsageError: groups that do not divide the width, p or eps out of range.
        """
        super().__init__(width)
        self.groups, self.negatives, self.eps = groups or heads or 1, negatives, eps
        if (groups is not None and groups < 1) or width % self.groups:
            raise UsageError(
                f"groups is {self.groups if groups is None else groups}, but must divide the "
                f"{width} channels."
            )
        if not P_MIN <= p <= P_MAX:
            raise UsageError(f"p is {p}, but must lie between {P_MIN} and {P_MAX:g}.")
        if not 0 < eps < 1:
            raise UsageError(f"eps is {eps}, but must lie between 0 and 1.")
        start = torch.full((self.groups,), float(p))
        if learnable:
            self.p = nn.Parameter(start)
        else:
            self.register_buffer("p", start)
        self.told = False

    @property
    def powers(self) -> Tensor:
        """p as it is used, [G]; its gradient is that of `p` also where that is out of range."""
        return self.p.clamp(P_MIN, P_MAX).detach() + (self.p - self.p.detach())

    def pool(self, patches: Tensor, prefix: Tensor | None, mask: Tensor | None) -> Tensor:
        """float32 [B, N, D] -> [B, D]."""
        p = self.powers.repeat_interleave(self.width // self.groups)
        if self.negatives == "signed":
            return _signed(patches, p, mask, self.eps)
        if self.negatives == "shift":
            least = without(patches, mask, math.inf).amin(1, keepdim=True)
            patches = patches - least + self.eps
        else:
            self._tell(patches, mask)
        logs = without(patches.clamp(min=self.eps).log(), mask, -math.inf)
        number = torch.as_tensor(counted(patches, mask), device=patches.device)
        return ((torch.logsumexp(p * logs, 1) - number.log()) / p).exp()

    def extra_repr(self) -> str:
        fixed = "" if isinstance(self.p, nn.Parameter) else f", p={self.powers.tolist()}"
        return (
            f"width={self.width}, groups={self.groups}, negatives={self.negatives}, "
            f"eps={self.eps}{fixed}"
        )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """p goes to another device, but not to another dtype: bf16 has 3 for every p near 3."""
        kept = self.p.detach().clone()
        slope = None if self.p.grad is None else self.p.grad.detach().clone()
        super()._apply(fn, recurse)
        if self.p.dtype != torch.float32:
            self.p.data = kept.to(self.p.device)
            if slope is not None:
                self.p.grad = slope.to(self.p.device)
        return self

    @torch.no_grad()
    def _tell(self, patches: Tensor, mask: Tensor | None) -> None:
        """Says once how much `clamp` leaves out. Zeros, as ReLU leaves them, lose nothing by it."""
        if self.told or torch.compiler.is_compiling():
            return
        self.told = True
        below = without(patches, mask, 0.0) < 0
        if not below.any():
            return
        number = below.numel() if mask is None else int(mask.sum()) * self.width
        lost = without(patches, mask, -math.inf).amax(1) < 0
        tell = log.warning if lost.any() else log.info
        tell(
            "%.1f %% of the values are negative and count as %g; in %.1f %% of the channels of a "
            "picture all are: negatives=signed or shift would keep them.",
            100 * int(below.sum()) / number,
            self.eps,
            100 * float(lost.float().mean()),
        )


class GeM(GGeM):
    """The generalised mean with one p for all channels: GGeM of one group."""

    def __init__(
        self,
        width: int,
        *,
        heads: int | None = None,
        p: float = 3.0,
        negatives: Negatives = "clamp",
        eps: float = 1e-6,
        learnable: bool = True,
    ) -> None:
        """See GGeM."""
        super().__init__(width, groups=1, p=p, negatives=negatives, eps=eps, learnable=learnable)


def _signed(patches: Tensor, p: Tensor, mask: Tensor | None, eps: float) -> Tensor:
    """m = mean of sign(x) |x| ** p, then sign(m) |m| ** (1 / p).

    By the largest |x| of each channel, so that no power overflows; the result does not depend on
    it. The root is bent near m = 0, where its slope has no bound; for p = 1 it is m itself.
    """
    largest = without(patches.abs(), mask, 0.0).amax(1, keepdim=True).clamp(min=eps).detach()
    x = without(patches, mask, 0.0) / largest
    powers = x.sign() * x.abs().clamp(min=eps) ** p
    mean = powers.sum(1) / counted(patches, mask)
    return largest[:, 0] * mean * (mean.square() + eps**2) ** ((1 / p - 1) / 2)
