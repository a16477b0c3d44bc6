"""Pictures become what an image tower takes. The only place where pixels are normalised."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vretr.encoders.arrays import uint8_array
from vretr.images import Preprocessing

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
    if isinstance(images, Tensor):
        size = preprocessing.size
        if images.dtype != torch.uint8 or tuple(images.shape[1:]) != (3, size, size):
            raise ValueError(
                f"pixels are uint8 [B, 3, {size}, {size}], not {images.dtype} {list(images.shape)}"
            )
        return images
    pixels = uint8_array(images, preprocessing)
    # torch warns of arrays that it could write to but must not
    return torch.from_numpy(pixels if pixels.flags.writeable else pixels.copy(order="K"))
