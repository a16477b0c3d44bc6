"""Guidance by two scales: how much the picture and the words pull."""

import logging
import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from compodiff.model import Keys, Prior
from vretr.errors import UsageError

log = logging.getLogger(__name__)


class Scales(NamedTuple):
    """w_I and w_T. (1, 1) is no guidance."""

    image: float
    text: float


class Shares(NamedTuple):
    """What each branch has of the guided vector; together 1."""

    full: float
    picture: float
    null: float


def shares_of(scales: tuple[float, float]) -> Shares:
    """p_null + w_T (p_full - p_img) + w_I (p_img - p_null), sorted by branches.

    Raises:
        UsageError: not two finite numbers.
    """
    if len(scales) != 2 or not all(math.isfinite(scale) for scale in scales):
        raise UsageError(
            f"Guidance has two scales, of the picture and of the words, not {scales!r}."
        )
    image, text = scales
    return Shares(text, image - text, 1 - image)


def guided(
    prior: Prior,
    *,
    image: Tensor,
    text: Tensor,
    negative: Tensor,
    mask: Tensor,
    scales: tuple[float, float],
) -> Callable[[Tensor, float], Tensor]:
    """The guided network, which has read its conditions: (noisy [B, dim], t) -> x0 [B, dim].

        p_full = F(x, I, c, M, t)    p_img = F(x, I, n, M, t)    p_null = F(x, 0, n, M, t)

    The branches are computed as one batch, those whose share is zero not at all: (1, 1) costs one
    forward, equal scales or w_I = 1 two, others three.

    Args:
        image: I, [B, dim].
        text: c, [B, L, text_width].
        negative: n, the words that are not wanted, else those of the empty string; as `text`, or
            [1, L, text_width] for all.
        mask: M, [B, mask_size, mask_size]; the same in all branches.

    Raises:
        ValueError: `text` and `negative` have different lengths: padding is attended to, so all
            texts must be padded alike.
    """
    if text.shape[1:] != negative.shape[1:]:
        raise ValueError(
            f"words of {list(text.shape[1:])} and unwanted ones of {list(negative.shape[1:])}: "
            "both need the same number of tokens"
        )
    count = len(image)
    shares = {name: share for name, share in shares_of(scales)._asdict().items() if share}
    words = text if [*shares] == ["full"] else torch.cat([text, negative])
    of_words = prior.keys(prior.text(words))
    pictures = torch.cat([image, torch.zeros_like(image)])
    others = [prior.picture_token(pictures), prior.mask_token(mask).repeat(2, 1, 1)]
    of_others = prior.keys(torch.cat(others, dim=1))

    def branch(name: str, words: Tensor, others: Tensor) -> Tensor:
        words = words[:count] if name == "full" else words[count:].expand(count, *words.shape[1:])
        others = others[count:] if name == "null" else others[:count]
        return torch.cat([words, others], dim=3)

    keys: Keys = [
        torch.cat([branch(name, *layer) for name in shares])
        for layer in zip(of_words, of_others, strict=True)
    ]
    weights = image.new_tensor([*shares.values()])[:, None, None]

    def predict(noisy: Tensor, t: float) -> Tensor:
        times = noisy.new_full((len(shares) * count,), t)
        found = prior.denoise(noisy.repeat(len(shares), 1), times, keys)
        if len(shares) == 1:  # exactly what the network says
            return found
        return (weights * found.unflatten(0, (len(shares), count))).sum(0)

    return predict


def warn_of_unheard_words(scales: tuple[float, float]) -> None:
    """Says once that unwanted words do nothing, or next to it, where the words' scale is at most 1.

    To be called where such words are given.
    """
    if scales[1] <= 1:
        _warn(scales[1])


@cache
def _warn(scale: float) -> None:
    log.warning(
        "Words that are not wanted have no effect with a text guidance of %g: it must be above 1.",
        scale,
    )
