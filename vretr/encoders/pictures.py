"""timm's image models as encoders of pictures: no words, their pooled features as vectors."""

import hashlib
import logging
from collections.abc import Sequence
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from timm.data import resolve_data_config

from vretr.encoders.base import unit
from vretr.encoders.files import fetch
from vretr.encoders.names import RANDOM, Precision, Spec
from vretr.encoders.pixels import normalised
from vretr.encoders.precision import computing, lower, pick_device, pick_dtype
from vretr.encoders.sources import licence, sources
from vretr.encoders.tensors import open_tensors, remembered_digest
from vretr.errors import UsageError, VretrError
from vretr.images import Preprocessing

if TYPE_CHECKING:
    from vretr.encoders.base import Images

log = logging.getLogger(__name__)

SEED = 0  # of random weights


class Pictures:
    """An Encoder around one model of timm, its classifier removed and its pooling kept.

    Raises:
        UsageError: timm has no such model; no such device or precision.
        VretrError: weights that are not here, damaged, or do not fit.
    """

    reads_text = False

    def __init__(self, spec: Spec, *, device: str = "auto", precision: Precision = "auto") -> None:
        if not timm.is_model(spec.model):
            raise UsageError(_unknown(spec.model))
        self.name = spec.name
        self._model = spec.model
        self._device = pick_device(device)
        self._dtype = pick_dtype(precision, self._device)
        self._config: Any = timm.get_pretrained_cfg(spec.model)
        if spec.tag == RANDOM:
            log.warning("The weights of %s are random: for tests and timing only.", spec.name)
            self._weights = None
        else:
            self._weights = spec.path or fetch(sources(spec)[0], licence=licence(spec))

    @property
    def dim(self) -> int:
        """Length of its vectors."""
        return self.tower.head_hidden_size

    @cached_property
    def preprocessing(self) -> Preprocessing:
        """As timm evaluates these weights."""
        config = resolve_data_config({}, pretrained_cfg=self._config.to_dict())
        _, height, width = config["input_size"]
        fit, kept = config["crop_mode"], config["crop_pct"]
        if height != width or fit == "border" or (fit == "squash" and kept != 1):
            raise VretrError(
                f"{self.name} prepares pictures in a way that is not known here: "
                f"{height} x {width}, {fit}, {kept}."
            )
        return Preprocessing(
            size=height,
            mean=tuple(config["mean"]),
            std=tuple(config["std"]),
            interpolation="bilinear" if config["interpolation"] == "bilinear" else "bicubic",
            fit="squash" if fit == "squash" else "crop",
            crop_fraction=kept,
        )

    @cached_property
    def identity(self) -> str:
        """Digest of the tensors, the architecture with its pooling, and the preprocessing."""
        if self._weights:
            path = self._weights
            weights = remembered_digest(path, lambda: open_tensors(path))
        else:  # what the seed decides is known without building it
            weights = f"seed {SEED}, timm {timm.__version__}, torch {torch.__version__}"
        whole = "\n".join([weights, self._architecture, self.preprocessing.describe()])
        return hashlib.blake2b(whole.encode(), digest_size=16).hexdigest()

    def encode_images(self, images: "Images") -> NDArray[np.float32]:
        """Pictures or uint8 pixels [B, 3, S, S] -> float32 [B, dim], unit length."""
        pixels = normalised(images, self.preprocessing, self._device)
        if not len(pixels):
            return np.empty((0, self.dim), np.float32)
        with torch.inference_mode(), computing(self._device, self._dtype):
            vectors = self.tower(pixels)
        return unit(vectors.float().cpu().numpy())

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Raises UsageError: the model has no words."""
        raise UsageError(f"{self.name} reads pictures only; search it with --image.")

    @property
    def _architecture(self) -> str:
        return f"timm {self._model.partition('.')[0]}, pooling {_pooling(self._model) or 'as made'}"

    @cached_property
    def tower(self) -> Any:
        """The network, frozen, without its classifier; pixels as `normalised` makes them."""
        settings: dict[str, Any] = {}
        if self._weights:
            # With its classifier, so that every tensor of the file must have its place.
            tensors = dict(open_tensors(self._weights))
            settings |= {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": tensors}}
        if pooling := _pooling(self._model):
            settings["global_pool"] = pooling
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            try:
                tower: Any = timm.create_model(self._model, **settings)
            except RuntimeError as error:  # names or shapes of tensors
                raise VretrError(_misfit(self.name, error)) from error
        tower.reset_classifier(0)
        tower = lower(tower.eval().requires_grad_(False), self._dtype)
        return tower.to(self._device, memory_format=torch.channels_last)


def _pooling(model: str) -> str | None:
    """DINOv3's vision transformers were trained with the class token, which timm averages away."""
    architecture, _, tag = model.partition(".")
    dinov3 = architecture.startswith("vit_") and "dinov3" in architecture
    return "token" if dinov3 and tag in ("", "lvd1689m", "sat493m") else None


def _misfit(name: str, error: RuntimeError) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    return f"These weights do not fit {name}: {' '.join(lines[1:3])[:300]}"


def _unknown(model: str) -> str:
    known = timm.list_models() + timm.list_pretrained()
    close = get_close_matches(model, known, n=3, cutoff=0.5)
    hint = (
        f"did you mean {' or '.join(f'timm:{name}' for name in close)}?" if close else "see timm."
    )
    return f"timm has no model {model!r}; {hint}"
