"""Pictures become what an image tower takes. The only place where pixels are normalised."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from vretr.images import Preprocessing
from vretr.images.modes import to_rgb

if TYPE_CHECKING:
    from vretr.encoders.base import Images


def normalised(images: "Images", preprocessing: Preprocessing, device: torch.device) -> Tensor:
    """Pictures -> float32 [B, 3, S, S] on the device, channels last, less mean, over deviation.

    Uint8 pixels cross to the device as they are, a quarter of the bytes; the rest happens there.

    Raises:
        ValueError: pixels that are not uint8 [B, 3, S, S].
    """
    pixels = uint8_pixels(images, preprocessing).to(device)
    pixels = pixels.to(torch.float32, memory_format=torch.channels_last)
    mean = torch.tensor(preprocessing.mean, device=device).view(3, 1, 1)
    std = torch.tensor(preprocessing.std, device=device).view(3, 1, 1)
    return pixels.div_(255).sub_(mean).div_(std)


def uint8_pixels(images: "Images", preprocessing: Preprocessing) -> Tensor:
    """Pictures as uint8 [B, 3, S, S]; pixels that are uint8 already pass as they are."""
    size = preprocessing.size
    if isinstance(images, Tensor):
        pixels = images
    elif isinstance(images, np.ndarray):
        # torch warns of arrays that it could write to but must not
        pixels = torch.from_numpy(images if images.flags.writeable else images.copy(order="K"))
    else:
        pictures = [preprocessing.pixels(to_rgb(picture)) for picture in images]
        stack = np.stack(pictures) if pictures else np.empty((0, size, size, 3), np.uint8)
        pixels = torch.from_numpy(stack).permute(0, 3, 1, 2)
    if pixels.dtype != torch.uint8 or tuple(pixels.shape[1:]) != (3, size, size):
        raise ValueError(
            f"pixels are uint8 [B, 3, {size}, {size}], not {pixels.dtype} {list(pixels.shape)}"
        )
    return pixels
