"""EfficientNet-Lite0 with its ImageNet weights, and the coarse colours it does not see.

The tower gives three things of a picture: 1,280 pooled features, the probabilities of the 1,000
ImageNet classes, and a colour histogram; the heads make a vector of them.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vretr.encoders.lite.files import IMAGE_WEIGHTS, pinned
from vretr.encoders.lite.shape import COLOUR_BINS, PREPROCESSING
from vretr.encoders.names import Precision
from vretr.encoders.pixels import normalised
from vretr.encoders.precision import computing, lower, pick_device, pick_dtype


class Seen(NamedTuple):
    """What the tower tells of B pictures, float32."""

    features: Tensor  # [B, 1280]
    probabilities: Tensor  # [B, 1000], the ImageNet classes in their usual order
    colours: Tensor  # [B, 128], square roots of shares: whole picture, then its centre


class ImageTower(nn.Module):
    """uint8 pixels [B, 3, 224, 224] -> Seen."""

    def __init__(
        self, *, device: str = "cpu", precision: Precision = "fp32", folder: Path | None = None
    ) -> None:
        """Loads the pinned weights, from `folder` or from the package that carries them."""
        import timm

        super().__init__()
        self.device = pick_device(device)
        self.dtype = pick_dtype(precision, self.device)
        state = torch.load(pinned(IMAGE_WEIGHTS, folder), map_location="cpu", weights_only=True)
        self.network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        # The package's names are another port's; the 296 tensors match timm's one to one in order.
        names = self.network.state_dict()
        self.network.load_state_dict(dict(zip(names, state.values(), strict=True)))
        # The classifier is a small matrix: float32 keeps the probabilities exact.
        self.classifier, self.network.classifier = self.network.classifier, nn.Identity()
        lower(self.network, self.dtype)
        self.eval().requires_grad_(False).to(self.device)
        self.to(memory_format=torch.channels_last)

    def forward(self, pixels: Tensor) -> Seen:
        """uint8 [B, 3, 224, 224] -> Seen, float32."""
        x = normalised(pixels, PREPROCESSING, self.device)
        with computing(self.device, self.dtype):
            features = self.network(x)
        features = features.float()
        probabilities = self.classifier(features).softmax(-1)
        return Seen(features, probabilities, colour_histogram(pixels.to(self.device)))


def colour_histogram(pixels: Tensor) -> Tensor:
    """uint8 [B, 3, H, W] -> [B, 128]: shares of 4x4x4 RGB cells, in the whole and in its centre.

    Square roots, so that cosine compares them as Hellinger's distance does.
    """
    height, width = pixels.shape[-2:]
    centre = pixels[..., height // 4 : height - height // 4, width // 4 : width - width // 4]
    return torch.cat([_shares(pixels), _shares(centre)], dim=1).sqrt()


def _shares(pixels: Tensor) -> Tensor:
    red, green, blue = (pixels // 64).long().flatten(2).unbind(1)
    cells = red * 16 + green * 4 + blue
    counts = torch.zeros(len(cells), COLOUR_BINS // 2, device=pixels.device)
    counts.scatter_add_(1, cells, torch.ones_like(cells, dtype=counts.dtype))
    return counts / cells.shape[1]
