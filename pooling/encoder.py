"""A trained pooling and its tower as an Encoder: what `vretr index --encoder runs/x` takes."""

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from pooling.classifier import Classifier
from pooling.config import TrainConfig
from pooling.gem import GGeM
from pooling.train import CLASSES
from vretr.encoders.backbones import Backbone, load_backbone
from vretr.encoders.base import unit
from vretr.encoders.pixels import uint8_pixels
from vretr.encoders.precision import pick_device
from vretr.encoders.tensors import digest
from vretr.errors import MismatchError, UsageError
from vretr.images import Preprocessing
from vretr.training import Run
from vretr.training.checkpoints import read

if TYPE_CHECKING:
    from vretr.encoders.base import Images


class PoolingEncoder:
    """An Encoder of pictures around a Classifier and its tower.

    Attributes:
        classes: what the classifier tells apart.
    """

    reads_text = False

    def __init__(
        self, name: str, model: Classifier, backbone: Backbone, classes: Sequence[str]
    ) -> None:
        self.name, self.classes = name, list(classes)
        self.model, self._backbone = model.eval(), backbone.eval()

    @property
    def dim(self) -> int:
        """Length of its vectors."""
        return self.model.linear.in_features

    @property
    def preprocessing(self) -> Preprocessing:
        """The tower's."""
        return self._backbone.preprocessing

    @cached_property
    def identity(self) -> str:
        """Digest of the trained tensors, the pooling, and the tower with its preprocessing.

        The classifier is left out: vectors do not depend on it.
        """
        tensors = self.model.state_dict()
        kept = {name: one for name, one in tensors.items() if not name.startswith("linear.")}
        parts = [digest(kept), repr(self.model.pool), self._backbone.identity]
        return hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()

    def encode_images(self, images: "Images") -> NDArray[np.float32]:
        """Pictures or uint8 pixels [B, 3, S, S] -> float32 [B, dim], unit length."""
        return unit(self.project_images(images))

    def project_images(self, images: "Images") -> NDArray[np.float32]:
        """The same as the pooling makes them: what the classifier is given."""
        pixels = uint8_pixels(images, self.preprocessing)
        if not len(pixels):
            return np.empty((0, self.dim), np.float32)
        with torch.inference_mode():
            return self.model.vectors(self._backbone(pixels)).cpu().numpy()

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Raises UsageError: it has no words."""
        raise UsageError(f"{self.name} reads pictures only; search it with --image.")


def load(path: Path, device: str = "auto") -> PoolingEncoder:
    """The encoder of a Run of `vretr train pooling`.

    Raises:
        MismatchError: its tower is not here as it was when it was trained, or a file is damaged.
    """
    run, place = Run.open(path), str(pick_device(device))
    config = run.config(TrainConfig)
    backbone = load_backbone(config.backbone, size=config.size, frozen=config.frozen, device=place)
    tensors, about = read(run.weights)
    if about["encoder"]["identity"] != backbone.identity:
        raise MismatchError(
            f"{path} was trained on {config.backbone} with other weights than are here."
        )
    try:
        classes = json.loads((path / CLASSES).read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise MismatchError(f"{path / CLASSES} cannot be read: {problem}") from problem
    model = Classifier(backbone, config.pooling, classes=len(classes), frozen=config.frozen)
    model.load_state_dict(tensors)
    model.to(place).requires_grad_(False)
    for part in model.modules():
        if isinstance(part, GGeM):
            part.told = True  # by its training
    return PoolingEncoder(str(path), model, backbone.requires_grad_(False), classes)
