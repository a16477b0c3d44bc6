"""M-LSD in torch, for GPUs."""

import numpy as np
import torch
from numpy.typing import NDArray

from lsd.architecture import Channel, size_of
from lsd.folding import Folded
from lsd.model import MLSD
from vretr.encoders.names import Precision

DTYPES = {"auto": torch.float16, "fp16": torch.float16, "bf16": torch.bfloat16}
AT_ONCE = 32  # pictures in one call


class TorchNetwork:
    """uint8 [B, S, S, 3] -> float32 [B, 5, S/2, S/2]."""

    def __init__(self, weights: Folded, *, device: str, precision: Precision) -> None:
        from vretr.encoders.precision import pick_device

        self._device = pick_device() if device == "auto" else torch.device(device)
        on_processor = self._device.type == "cpu"
        self._dtype = torch.float32 if on_processor else DTYPES.get(precision, torch.float32)
        model = MLSD(size_of(weights))
        model.load_folded(weights)
        model.eval().to(self._device, self._dtype).to(memory_format=torch.channels_last)
        self._model = model

    @torch.inference_mode()
    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        found = []
        for start in range(0, len(pixels), AT_ONCE):
            piece = torch.from_numpy(np.ascontiguousarray(pixels[start : start + AT_ONCE]))
            maps = self._model(piece.to(self._device).permute(0, 3, 1, 2))
            found.append(maps[:, Channel.DETECTION].float().cpu().numpy())
        return np.concatenate(found)
