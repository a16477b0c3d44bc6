"""Proxy Synthesis: classes between the classes, for a smoother border around each.

Gu, Ko, Kim 2021, *Proxy Synthesis: Learning with Synthetic Classes for Deep Metric Learning*, AAAI,
arXiv:2103.15454.
"""

import logging
import math
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from metric.memvir import MemVir
from metric.proxies import ProxyLoss, full_precision, unit
from metric.rows import Rows
from vretr.errors import UsageError

log = logging.getLogger(__name__)

Pairing = Literal["derangement", "roll"]


class ProxySynthesis(nn.Module):
    """Adds to each batch synthetic embeddings and the synthetic proxies they belong to.

    x~ = λ x_i + (1-λ) x_j and p~ = λ p_i + (1-λ) p_j, of unit vectors, with one λ ~ Beta(α, α) a
    step; each x~ is a class of its own with proxy p~. Around it stands the unchanged loss, over
    n + k rows and C + k classes. Pairs of one class are left out, as their proxy would be a real
    one under another label. In eval() it is the plain loss.

    Of ours, as the paper does not say: with plain softmax nothing is normalised; SoftTriple mixes
    centre k with centre k; SphereFace's factor |x| is 1 in training, as all rows are unit vectors;
    behind MemVir only the batch's own rows are mixed.

    All draws are a function of (seed, number of the step), whatever else draws: processes that see
    the same gathered batch agree, and a resumed training goes on. The number is in `state_dict`.
    """

    def __init__(
        self,
        loss: nn.Module,
        *,
        alpha: float = 0.4,
        mu: float = 1.0,
        pairing: Pairing = "derangement",
        merge: bool = False,
        seed: int = 0,
    ) -> None:
        """
        Args:
            loss: with class weights, of `make_loss` or pytorch-metric-learning; or a MemVir.
            alpha: of the Beta distribution; 1 draws λ evenly, less draws it near 0 and 1.
            mu: synthetic rows for each real one, above 0 and up to 1.
            pairing: "derangement" draws partners of other classes wherever no class fills more
                than half of the batch; "roll" takes the row before, as the authors' loss does.
            merge: make rows of one ordered pair of classes one class; the authors do not.

        Raises:
            UsageError: a value out of its range, or a loss that cannot be wrapped.
        """
        super().__init__()
        if isinstance(loss, ProxySynthesis):
            raise UsageError("the loss is a ProxySynthesis already: wrap it once")
        if not (0 < alpha < math.inf and 0 < mu <= 1 and seed >= 0):
            raise UsageError(
                f"alpha {alpha}, mu {mu}, seed {seed}: alpha must be above 0, "
                "mu above 0 and at most 1, seed 0 or more"
            )
        if pairing not in get_args(Pairing):
            raise UsageError(f"pairing is {pairing!r}, but must be derangement or roll")
        self.loss = loss if isinstance(loss, ProxyLoss | MemVir) else ProxyLoss(loss)
        self.alpha, self.mu, self.pairing, self.merge = alpha, mu, pairing, merge
        self.seed, self.steps = seed, 0
        self._told = False

    @property
    def proxies(self) -> ProxyLoss:
        """The plain loss within."""
        return self.loss.proxies if isinstance(self.loss, MemVir) else self.loss

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The loss, a scalar, of embeddings [B, D] and labels [B] in 0..C-1."""
        if not self.training:
            return self.loss(embeddings, labels)
        with full_precision(embeddings):
            rows = self.proxies.directions(self.proxies.start(embeddings, labels))
            rows = self.loss.expand(rows)
            loss = self.loss.evaluate(self.expand(rows))
        self.steps += torch.is_grad_enabled()
        return loss

    def expand(self, rows: Rows) -> Rows:
        """The rows with the synthetic ones of this step behind."""
        draws = np.random.default_rng([self.seed, self.steps])
        share = float(draws.beta(self.alpha, self.alpha))
        labels = rows.labels[: rows.real]
        if self.pairing == "roll":
            partners = torch.arange(rows.real, device=labels.device).roll(1)
        else:
            partners = derangement(labels, self.proxies.classes, draws)
        first = torch.arange(floor(self.mu * rows.real), device=labels.device)
        second = partners[first]
        apart = labels[first] != labels[second]
        pairs = torch.stack([first[apart], second[apart]])
        self._tell(len(first) - pairs.shape[1], len(first))
        return synthesised(rows, pairs, share, loss=self.proxies, merge=self.merge)

    def _tell(self, dropped: int, of: int) -> None:
        if dropped and not self._told:
            log.warning(
                "Proxy Synthesis leaves out pairs of one class: %d of %d in this batch, "
                "further ones without a word",
                *(dropped, of),
            )
            self._told = True

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + "steps"] = torch.tensor(self.steps)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *others: Any) -> None:
        given = dict(state_dict)
        steps = given.pop(prefix + "steps", None)
        super()._load_from_state_dict(given, prefix, *others)
        if steps is None:
            others[2].append(prefix + "steps")  # the missing keys
        else:
            self.steps = int(steps)


def floor(value: float) -> int:
    """The whole part of a product that rounding may have left just below it: 0.29 * 100 is 29."""
    return math.floor(value + 1e-9)


def derangement(labels: Tensor, classes: int, draws: np.random.Generator) -> Tensor:
    """A partner for each row [B], drawn, of another class wherever no class has more than half.

    Rows are ordered by a random order of the classes and at random within; the partner is as many
    places further as the largest class has rows. It may be of the same class only if that is more
    than half of them. Every row is a partner once.
    """
    count, device = len(labels), labels.device
    rank = torch.from_numpy(draws.permutation(classes)).to(device)
    order = torch.from_numpy(draws.permutation(count)).to(device)
    order = order[rank[labels[order]].argsort(stable=True)]
    largest = labels.bincount(minlength=classes).max()
    places = (torch.arange(count, device=device) + largest) % count
    return torch.empty_like(order).scatter_(0, order, order[places])


def synthesised(
    rows: Rows, pairs: Tensor, share: float, *, loss: ProxyLoss, merge: bool = False
) -> Rows:
    """`rows` with one synthetic row for each pair of rows behind.

    Args:
        rows: as `directions` gives them.
        pairs: [2, k], numbers of rows of the batch.
        share: λ, of the first of each pair.
        merge: one class for all rows of an ordered pair of classes.
    """
    if not pairs.shape[1]:
        return rows
    classes = len(rows.weights) // loss.centres
    own = rows.weights.reshape(classes, loss.centres, -1).index_select(0, rows.labels[: rows.real])
    own = unit(own) if loss.layout.unit else own
    labels, kinds = torch.arange(pairs.shape[1], device=pairs.device), pairs
    if merge:
        first, second = rows.labels[pairs]
        _, merged = (first * classes + second).unique(return_inverse=True)
        some = labels.new_empty(int(merged.max()) + 1).scatter_(0, merged, labels)
        labels, kinds = merged, pairs[:, some]  # any pair of the kind has its proxy
    return rows.add(
        _between(rows.embeddings[: rows.real], pairs, share),
        classes + labels,
        _between(own, kinds, share).flatten(0, 1),
    )


def _between(vectors: Tensor, pairs: Tensor, share: float) -> Tensor:
    """Shorter than 1; a loss that compares directions scales it."""
    first, second = pairs
    return torch.lerp(vectors.index_select(0, second), vectors.index_select(0, first), share)
