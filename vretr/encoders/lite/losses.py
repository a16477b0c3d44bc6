"""The two losses of the heads: matching captions, and knowing what the classifier knows."""

from torch import Tensor
from torch.nn import functional as F


def contrastive(images: Tensor, texts: Tensor, same: Tensor, scale: Tensor) -> Tensor:
    """InfoNCE both ways with several positives: "something red" is true of every red thing.

    Args:
        images: unit vectors [B, D].
        texts: unit vectors [B, D]; text i was written for image i.
        same: bool [B, B]; whether text j is also true of image i (the diagonal is).
        scale: inverse temperature.
    """
    logits = scale * images @ texts.T
    targets = same.to(logits.dtype)
    rows = F.cross_entropy(logits, targets / targets.sum(1, keepdim=True))
    columns = F.cross_entropy(logits.T, targets.T / targets.T.sum(1, keepdim=True))
    return (rows + columns) / 2


def distillation(
    images: Tensor, class_texts: Tensor, probabilities: Tensor, scale: Tensor
) -> Tensor:
    """Cross-entropy between the classifier's distribution over classes and the joint space's.

    Args:
        images: unit vectors [B, D].
        class_texts: unit vectors [C, D] of the class names.
        probabilities: the classifier's [B, C], rows sum to 1.
        scale: inverse temperature.
    """
    return F.cross_entropy(scale * images @ class_texts.T, probabilities)
