"""The text side of `lite` in torch, for gradients that pass through it. Its weights stay frozen."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from vretr.encoders.lite.files import TEXT_WEIGHTS, pinned
from vretr.encoders.lite.heads import (
    EASE_SHARE,
    EASE_SIZE,
    NAMES_AT,
    NAMES_WIDTH,
    SHARPNESS,
    TRUST,
    Heads,
)
from vretr.encoders.lite.torch_bert import TorchBert
from vretr.encoders.precision import computing, pick_device
from vretr.encoders.prompts import Prompts

_TINY = float(np.finfo(np.float32).tiny)  # as `base.unit` has it


class TorchTexts:
    """Sentences with pseudo words -> joint vectors [B, 640]: `Lite.encode_with` with gradients."""

    def __init__(self, heads: Heads, *, device: str = "auto", folder: Path | None = None) -> None:
        """Raises:
        UsageError: no such device.
        VretrError: the weights are missing or altered.
        """
        self.device = pick_device(device)
        weights = load_file(pinned(TEXT_WEIGHTS, folder))  # mapped, where the device is the CPU
        self.bert = TorchBert({name: value.to(self.device) for name, value in weights.items()})
        self.heads = {
            name: torch.from_numpy(value).to(self.device)
            for name, value in heads.tensors.items()
            if not name.startswith("image.")
        }

    def __call__(self, prompts: Prompts, words: Tensor | None = None) -> Tensor:
        """Sentences with P places, and [P, 384] to stand there -> [B, 640] of unit length."""
        with computing(self.device, torch.float32):
            return texts(self.heads, _unit(self.bert(prompts, words)))


def texts(heads: Mapping[str, Tensor], sentences: Tensor) -> Tensor:
    """`Heads.texts` in torch: MiniLM vectors [B, 384] -> joint vectors [B, 640]."""
    cosines = sentences @ heads["class_names"].T
    nearest = cosines.amax(1, keepdim=True)
    named = _unit(torch.softmax(float(SHARPNESS) * cosines, 1) @ heads["codes"])
    names = torch.sigmoid((nearest - float(NAMES_AT)) / float(NAMES_WIDTH))
    trust = float(TRUST) * torch.maximum(names, heads["least_trust"])
    linear, hidden, bias, out = (
        heads[f"text.{name}"] for name in ("linear", "hidden", "bias", "out")
    )
    members = _unit(sentences @ linear + F.gelu(sentences @ hidden + bias) @ out)  # [M, B, 256]
    learned = _unit(members.transpose(0, 1).flatten(1) @ heads["projection"])
    ease = torch.full_like(nearest, -float(EASE_SHARE * EASE_SIZE))
    return _unit(torch.cat([learned, ease, trust * named], 1))


def _unit(x: Tensor) -> Tensor:
    return F.normalize(x, dim=-1, eps=_TINY)
