"""CompoDiff's loss: the network must tell the target from its noisy vector and the conditions.

The authors published no training. This is that of the code they build on (DALLE2-pytorch), in all
tasks alike: text to picture, triplets, and masked pictures.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from compodiff.model import Prior
from compodiff.schedule import Schedule


class Drops(NamedTuple):
    """Shares of the rows that are trained without their words, their picture, or both.

    Guidance and unwanted words need them. From memory of the paper: about a tenth each.
    """

    text: float = 0.1
    image: float = 0.1
    both: float = 0.1


DROPS = Drops()


def training_loss(
    prior: Prior,
    schedule: Schedule,
    *,
    target: Tensor,
    image: Tensor,
    text: Tensor,
    mask: Tensor,
    null_text: Tensor,
    drops: Drops = DROPS,
    cosine: float = 0.0,
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """`loss` = `mse`, the squared error over batch and numbers, + cosine * (1 - `cosine`).

    The time is drawn for each row from 0 ... T - 1, evenly.

    Args:
        target, image: [B, dim], of length sqrt(dim), so that their numbers are as large as the
            noise; zeros where there is no picture.
        text: [B, L, text_width]; null_text: [L, text_width], of the empty string.
        mask: [B, mask_size, mask_size].
        cosine: weight of a term for the direction alone; ours.
        generator: None: torch's global one.
    """
    image, text = dropped(image, text, null_text, drops, generator)
    t = _uniform(len(target), generator).mul(len(schedule)).long().to(target.device)
    noise = _normal(target, generator)
    found = prior(schedule.add_noise(target, noise, t), image, text, mask, t.float()).float()
    mse = F.mse_loss(found, target)
    losses = {"loss": mse, "mse": mse.detach()}
    if cosine:
        alike = F.cosine_similarity(found, target, dim=1).mean()
        losses |= {"loss": mse + cosine * (1 - alike), "cosine": alike.detach()}
    return losses


def dropped(
    image: Tensor,
    text: Tensor,
    null_text: Tensor,
    drops: Drops,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """The pictures and words, in some rows replaced by the zero vector and the empty string.

    Raises:
        ValueError: `null_text` is not padded like `text`, or the shares are none.
    """
    if min(drops) < 0 or sum(drops) > 1:
        raise ValueError(f"{drops} must be shares, together at most 1")
    if null_text.shape != text.shape[1:]:
        raise ValueError(
            f"the empty string has {list(null_text.shape)}, texts have {list(text.shape[1:])}"
        )
    lot = _uniform(len(image), generator).to(image.device)
    no_text, no_image = drops.text, drops.text + drops.image
    both = (lot >= no_image) & (lot < no_image + drops.both)
    without_text = (lot < no_text) | both
    without_image = ((lot >= no_text) & (lot < no_image)) | both
    return (
        image.masked_fill(without_image[:, None], 0),
        torch.where(without_text[:, None, None], null_text, text),
    )


def _uniform(count: int, generator: torch.Generator | None) -> Tensor:
    return torch.rand(count, generator=generator, device=_device(generator))


def _normal(like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(like.shape, generator=generator, device=_device(generator)).to(like)


def _device(generator: torch.Generator | None) -> torch.device | str:
    return "cpu" if generator is None else generator.device
