"""What `lite` sees of a picture: EfficientNet-Lite0, and the coarse colours it does not see."""

from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from vretr.encoders.devices import is_processor
from vretr.encoders.lite.image_weights import image_weights
from vretr.encoders.lite.shape import COLOUR_BINS
from vretr.encoders.names import Precision

Array = NDArray[np.float32]


class Seen(NamedTuple):
    """What the tower tells of B pictures of side S, float32."""

    features: Array  # [B, 1280], means of the last convolution
    probabilities: Array  # [B, 1000], the ImageNet classes in their usual order
    colours: Array  # [B, 128], square roots of shares: whole picture, then its centre
    map: Array  # [B, 320, S/32, S/32], what the last convolution takes
    stages: Array  # [B, 424], means of the maps of 40, 80, 112 and 192 channels before


class Network(Protocol):
    def run(self, pixels: NDArray[np.uint8]) -> list[Array]:
        """uint8 [B, 3, S, S] -> features, probabilities, map, stages."""


class ImageTower:
    """uint8 pixels [B, 3, S, S] -> Seen.

    onnxruntime computes in float32 on the processor, without torch; torch computes on other devices
    and in 16 bits. Both stay within cosine 0.999 of torch's float32 (but for bf16 and fp16, which
    nobody gets unasked), so vectors of one and the other may share an index.
    """

    def __init__(
        self, *, device: str = "auto", precision: Precision = "auto", folder: Path | None = None
    ) -> None:
        """Loads nothing yet.

        Args:
            device: "auto" is a GPU where torch finds one, else the processor.
            precision: "auto" is fp32: bf16 leaves cosines of 0.995 in these convolutions.
            folder: with the published weights; None: the package that carries them.
        """
        self._device, self._folder = device, folder
        self._precision: Precision = "fp32" if precision == "auto" else precision

    def __call__(self, pixels: NDArray[np.uint8]) -> Seen:
        """Raises:
        UsageError: a device or precision that does not exist.
        VretrError: the weights are missing or altered.
        """
        features, probabilities, last, stages = self.network.run(pixels)
        return Seen(features, probabilities, colour_histogram(pixels), last, stages)

    @cached_property
    def network(self) -> Network:
        """What computes, made when first used."""
        if self._precision == "fp32" and is_processor(self._device):
            from vretr.encoders.lite.onnx_network import OnnxNetwork

            return OnnxNetwork(image_weights(self._folder))
        from vretr.encoders.lite.torch_network import TorchNetwork

        return TorchNetwork(device=self._device, precision=self._precision, folder=self._folder)


def colour_histogram(pixels: NDArray[np.uint8]) -> Array:
    """uint8 [B, 3, H, W] -> [B, 128]: shares of 4x4x4 RGB cells, in the whole and in its centre.

    Square roots, so that cosine compares them as Hellinger's distance does.
    """
    red, green, blue = np.moveaxis(pixels >> 6, 1, 0)
    cells = red << 4 | green << 2 | blue
    height, width = cells.shape[1:]
    centre = cells[:, height // 4 : height - height // 4, width // 4 : width - width // 4]
    return np.sqrt(np.concatenate([_shares(cells), _shares(centre)], axis=1))


def _shares(cells: NDArray[np.uint8]) -> Array:
    counts = np.zeros((len(cells), COLOUR_BINS // 2), np.float32)
    for row, picture in enumerate(cells):
        counts[row] = np.bincount(picture.ravel(), minlength=COLOUR_BINS // 2)
    return counts / (cells.shape[1] * cells.shape[2])
