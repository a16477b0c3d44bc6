"""A tower's patches pooled in another way than it was trained to: an encoder of pictures."""

import hashlib
import logging
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from vretr.encoders.backbones import Backbone, load_backbone
from vretr.encoders.base import unit
from vretr.encoders.names import Precision, Spec
from vretr.encoders.pixels import uint8_pixels
from vretr.encoders.precision import computing, lower, pick_device, pick_dtype
from vretr.encoders.tensors import digest
from vretr.errors import UsageError
from vretr.images import Preprocessing
from vretr.poolings import make_pooling

if TYPE_CHECKING:
    from vretr.encoders.base import Images

log = logging.getLogger(__name__)


class Pooled:
    """An Encoder of NAME+POOLING: patches after the tower's last norm, pooled, at unit length.

    Nothing is trained, and the pooling's p is what its name says. Vectors have the tower's width.

    Raises:
        UsageError: no such device or precision.
    """

    reads_text = False

    def __init__(self, spec: Spec, *, device: str = "auto", precision: Precision = "auto") -> None:
        self.name = spec.name
        self._tower, self._text = spec.tower, spec.pooling
        self._device = pick_device(device)
        if spec.kind == "lite" and precision == "auto":
            precision = "fp32"  # bf16 leaves cosines of 0.995 in its convolutions
        self._dtype = pick_dtype(precision, self._device)
        if spec.kind != "timm":
            log.warning(
                "%s reads pictures only: words belong to vectors that %s pools itself.",
                spec.name,
                spec.tower,
            )

    @property
    def dim(self) -> int:
        """Length of its vectors."""
        return self._pool.out_dim

    @property
    def preprocessing(self) -> Preprocessing:
        """The tower's."""
        return self._backbone.preprocessing

    @cached_property
    def identity(self) -> str:
        """Digest of the tower and its preprocessing, the pooling with its p, and the norm's place.

        Not of the pooling's name: "gem" and "gem:p=3" are the same.
        """
        numbers = digest(self._pool.state_dict())
        whole = [self._backbone.identity, "norm before the pooling", repr(self._pool), numbers]
        return hashlib.blake2b("\n".join(whole).encode(), digest_size=16).hexdigest()

    def encode_images(self, images: "Images") -> NDArray[np.float32]:
        """Pictures or uint8 pixels [B, 3, S, S] -> float32 [B, dim], unit length."""
        pixels = uint8_pixels(images, self.preprocessing)
        if not len(pixels):
            return np.empty((0, self.dim), np.float32)
        with torch.inference_mode(), computing(self._device, self._dtype):
            patches, prefix = self._backbone(pixels)
            vectors = self._pool(patches, prefix)
        return unit(vectors.float().cpu().numpy())

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Raises UsageError: words know the model's own pooling only."""
        raise UsageError(f"{self.name} reads pictures only; search it with --image.")

    @cached_property
    def _backbone(self) -> Backbone:
        backbone = load_backbone(self._tower, frozen=True, device=str(self._device))
        lower(backbone, self._dtype)
        return backbone

    @cached_property
    def _pool(self) -> Any:
        backbone = self._backbone
        pool: Any = make_pooling(self._text, backbone.width, heads=backbone.heads)
        if getattr(pool, "needs_training", False):
            raise UsageError(
                f"The pooling {self._text} must be trained first, as `vretr train pooling` does."
            )
        if getattr(pool, "reads_prefix", False) and not backbone.prefix:
            raise UsageError(f"{self._tower} has no class token: choose avg, max, gem or ggem.")
        return pool.eval().requires_grad_(False).to(self._device)
