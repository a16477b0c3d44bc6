"""LinCIR's loss: the masked sentence with its pseudo words must say what the whole one says."""

from torch import Tensor
from torch.nn import functional as F


def reconstruction(found: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared difference over batch and dimensions, in float32; section 3.2 of the paper.

    Args:
        found: [B, dim], of the masked sentences, as the text tower gives them.
        wanted: [B, dim], of the whole ones; no gradient flows into them.
    """
    return F.mse_loss(found.float(), wanted.detach().float())
