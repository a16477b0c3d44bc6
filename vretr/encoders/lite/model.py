"""The heads as a torch module: the same tensors and formulas as `heads.Heads`, with gradients."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vretr.encoders.lite.shape import CLASSES, COLOUR_BINS, FEATURES, LEARNED, TEXT


class Side(nn.Module):
    """A linear map plus a small MLP beside it, to unit length."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(width, LEARNED, bias=False)
        self.hidden = nn.Linear(width, hidden)
        self.out = nn.Linear(hidden, LEARNED, bias=False)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.out.weight)  # the MLP adds to the linear map what that cannot say

    def forward(self, x: Tensor) -> Tensor:
        """[B, width] -> [B, 256], unit length."""
        x = self.dropout(x)
        return F.normalize(self.linear(x) + self.out(F.gelu(self.hidden(x))), dim=-1)


class ImageSide(Side):
    """A side that standardises what comes in."""

    mean: Tensor
    std: Tensor

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__(width, hidden, dropout)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("std", torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """[B, width] -> [B, 256], unit length."""
        return super().forward((x - self.mean) / self.std)


class HeadsModule(nn.Module):
    """What is trained: the two learned sides and the temperature.

    The buffers hold what inference needs besides: the standardisation of the image features and
    the class-name vectors with their weight.
    """

    class_names: Tensor
    named_weight: Tensor

    def __init__(self, *, hidden: int, dropout: float) -> None:
        super().__init__()
        self.image = ImageSide(FEATURES + COLOUR_BINS, hidden, dropout)
        self.text = Side(TEXT, hidden, dropout)
        self.register_buffer("class_names", torch.zeros(CLASSES, TEXT))
        self.register_buffer("named_weight", torch.tensor(0.0))
        self.log_scale = nn.Parameter(torch.tensor(20.0).log())

    def fix(self, seen: Tensor, class_names: Tensor, named_weight: float) -> None:
        """Sets the buffers: standardisation by `seen` [N, 1408], class-name vectors [1000, 384]."""
        self.image.mean.copy_(seen.mean(0))
        # A colour cell that no photo has would otherwise divide by nothing.
        self.image.std.copy_(seen.std(0) + 1e-3)
        self.class_names.copy_(class_names)
        self.named_weight.fill_(named_weight)

    def images(self, seen: Tensor) -> Tensor:
        """Features and colours [B, 1408] -> learned image vectors [B, 256]."""
        return self.image(seen)

    def texts(self, sentences: Tensor) -> Tensor:
        """MiniLM vectors [B, 384] -> learned text vectors [B, 256]."""
        return self.text(sentences)

    @property
    def scale(self) -> Tensor:
        """Inverse temperature, at most 100 as in CLIP."""
        return self.log_scale.exp().clamp(max=100)
