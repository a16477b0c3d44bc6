"""The two losses of the heads: matching captions, and knowing what the classifier knows."""

from torch import Tensor
from torch.nn import functional as F


def contrastive(images: Tensor, texts: Tensor, same: Tensor, scale: Tensor) -> Tensor:
    """InfoNCE both ways with several positives: "something red" is true of every red thing.

    Args:
        images: unit vectors [M, B, D] of M members, each of which is compared with itself only.
        texts: unit vectors [M, B, D]; text i was written for image i.
        same: bool [B, B]; whether text j is also true of image i (the diagonal is).
        scale: inverse temperatures [M].

    Returns:
        The sum over the members, which so learn as if each were alone.
    """
    logits = scale[:, None, None] * images @ texts.mT
    targets = same.to(logits.dtype)
    rows = _cross_entropy(logits, targets / targets.sum(1, keepdim=True))
    columns = _cross_entropy(logits.mT, targets.T / targets.T.sum(1, keepdim=True))
    return (rows + columns) / 2


def distillation(
    images: Tensor, class_texts: Tensor, probabilities: Tensor, scale: Tensor
) -> Tensor:
    """Cross-entropy between the classifier's distribution over classes and the joint space's.

    Args:
        images: unit vectors [M, B, D].
        class_texts: unit vectors [M, C, D] of the class names.
        probabilities: the classifier's [B, C], rows sum to 1.
        scale: inverse temperatures [M].

    Returns:
        The sum over the members.
    """
    return _cross_entropy(scale[:, None, None] * images @ class_texts.mT, probabilities)


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """[M, B, C] against shares [B, C]: mean over B, sum over M."""
    flat = F.cross_entropy(logits.flatten(0, 1), targets.repeat(len(logits), 1))
    return flat * len(logits)
