"""EfficientNet-Lite0 in torch: for GPUs, and for arithmetic in 16 bits."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vretr.encoders.lite.efficientnet import POOLED_STAGES
from vretr.encoders.lite.image_weights import image_weights
from vretr.encoders.lite.shape import PREPROCESSING
from vretr.encoders.names import Precision
from vretr.encoders.pixels import normalised
from vretr.encoders.precision import computing, lower, pick_device, pick_dtype


class TorchNetwork(nn.Module):
    """uint8 pixels [B, 3, S, S] -> what `efficientnet.image_graph` gives, in its order."""

    def __init__(self, *, device: str, precision: Precision, folder: Path | None = None) -> None:
        """Loads the pinned weights.

        Raises:
            UsageError: a device or precision that does not exist.
            VretrError: the weights are missing or altered.
        """
        import timm

        super().__init__()
        self.device = pick_device(device)
        self.dtype = pick_dtype(precision, self.device)
        self.network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        weights = {name: torch.tensor(value) for name, value in image_weights(folder).items()}
        # Counters of batches are the only other tensors, and nothing reads them.
        missing, unexpected = self.network.load_state_dict(weights, strict=False)
        assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing)
        # The classifier is a small matrix: float32 keeps the probabilities exact.
        self.classifier, self.network.classifier = self.network.classifier, nn.Identity()
        lower(self.network, self.dtype)
        self.eval().requires_grad_(False).to(self.device)
        self.to(memory_format=torch.channels_last)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """uint8 [B, 3, S, S] -> features, probabilities, map and stages, float32."""
        network = self.network
        x = pixels.to(self.device)
        x = normalised(x, PREPROCESSING, self.device)
        pooled = []
        with computing(self.device, self.dtype):
            x = network.bn1(network.conv_stem(x))
            for number, stage in enumerate(network.blocks):
                x = stage(x)
                if number in POOLED_STAGES:
                    pooled.append(x.float().mean((2, 3)))
            last = x.float()
            features = network.global_pool(network.bn2(network.conv_head(x))).float()
        probabilities = self.classifier(features).softmax(-1)
        return features, probabilities, last, torch.cat(pooled, 1)

    def run(self, pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """The same in NumPy."""
        with torch.inference_mode():
            return [output.cpu().numpy() for output in self(torch.tensor(pixels))]
