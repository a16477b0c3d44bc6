"""A trained network as an Encoder: what `vretr index --encoder runs/x` takes."""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from metric.config import TrainConfig
from metric.model import Embedder
from vretr.encoders.backbones import Backbone, load_backbone
from vretr.encoders.base import unit
from vretr.encoders.pixels import uint8_pixels
from vretr.encoders.precision import pick_device
from vretr.errors import MismatchError, UsageError
from vretr.images import Preprocessing
from vretr.training import Run
from vretr.training.checkpoints import read

if TYPE_CHECKING:
    from vretr.encoders.base import Images


class MetricEncoder:
    """An Encoder of pictures around an Embedder and its tower."""

    reads_text = False

    def __init__(self, name: str, embedder: Embedder, backbone: Backbone, *, weights: str) -> None:
        """`weights` is a digest of the embedder's tensors."""
        self.name, self._weights = name, weights
        self._embedder, self._backbone = embedder.eval(), backbone.eval()

    @property
    def dim(self) -> int:
        """Length of its vectors."""
        return self._embedder.dim

    @property
    def preprocessing(self) -> Preprocessing:
        """The tower's."""
        return self._backbone.preprocessing

    @cached_property
    def identity(self) -> str:
        """Digest of the trained tensors, the pooling, and the tower with its preprocessing."""
        parts = [self._weights, repr(self._embedder.pool), self._backbone.identity]
        return hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()

    def encode_images(self, images: "Images") -> NDArray[np.float32]:
        """Pictures or uint8 pixels [B, 3, S, S] -> float32 [B, dim], unit length."""
        pixels = uint8_pixels(images, self.preprocessing)
        if not len(pixels):
            return np.empty((0, self.dim), np.float32)
        with torch.inference_mode():
            return unit(self._embedder(self._backbone(pixels)).cpu().numpy())

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Raises UsageError: it has no words."""
        raise UsageError(f"{self.name} reads pictures only; search it with --image.")


def load(path: Path, device: str = "auto") -> MetricEncoder:
    """The encoder of a Run of `vretr train metric`.

    Raises:
        MismatchError: its tower is not here as it was when it was trained.
    """
    embedder, backbone = parts_of(path, str(pick_device(device)))
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(embedder.state_dict().items()):
        digest.update(name.encode() + tensor.cpu().numpy().tobytes())
    return MetricEncoder(str(path), embedder, backbone, weights=digest.hexdigest())


def parts_of(path: Path, device: str = "cpu") -> tuple[Embedder, Backbone]:
    """The network of a Run, and its tower, which is part of it unless it was frozen.

    Raises:
        MismatchError: its tower is not here as it was when it was trained.
    """
    run = Run.open(path)
    config = run.config(TrainConfig)
    backbone = load_backbone(config.backbone, size=config.size, frozen=config.frozen, device=device)
    tensors, about = read(run.weights)
    if about["encoder"]["identity"] != backbone.identity:
        raise MismatchError(
            f"{path} was trained on {config.backbone} with other weights than are here."
        )
    embedder = Embedder(config, backbone)
    embedder.load_state_dict(tensors)
    return embedder.to(device).requires_grad_(False).eval(), backbone.requires_grad_(False)
