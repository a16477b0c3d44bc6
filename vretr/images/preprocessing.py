"""How a picture becomes the pixels of a tower's input."""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vretr.images.decode import FULL_SIZE, MAX_PIXELS

# Above this aspect ratio only what the crop keeps is resized, whatever the gap: 4000 x 1 would
# become 896,000 x 224.
_LONG = 8

TARGET_RATIO = 1.25  # SEARLE's and CIReVL's `targetpad`


@dataclass(frozen=True)
class Preprocessing:
    """Resize, then crop or pad to a square, as open_clip and timm do with Pillow.

    Attributes:
        size: side S of the square input.
        mean, std: per channel for pixels in 0..1; applied by the encoder, not here.
        interpolation: of the resize, with antialiasing.
        fit: `crop`: shorter side to S, centre crop; `squash`: to S x S without keeping the aspect
            ratio; `pad`: longer side to S, centred on black (open_clip's `longest`);
            `targetpad`: as `crop`, but long pictures first get black bars (`target_padding`).
        crop_fraction: with `crop` and `targetpad`, share of the shorter side that is kept (timm's
            `crop_pct`): it is resized to floor(S / crop_fraction), then S is cropped.
        gap: large pictures are first shrunk cheaply (JPEG: by decoding at 1/2, 1/4 or 1/8;
            others: by averaging whole blocks) but not below `gap` times the resize's result.
            0: never, which gives the same pixels as the reference bit for bit.
    """

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: Literal["bilinear", "bicubic"] = "bicubic"
    fit: Literal["crop", "squash", "pad", "targetpad"] = "crop"
    crop_fraction: float = 1.0
    gap: float = 2.0

    @property
    def target(self) -> int | None:
        """The least side that the decoder should deliver: for `images.open(target=...)`."""
        return math.ceil(self.gap * self._side) if self.gap else None

    def describe(self) -> str:
        """All that decides the pixels and their scaling, for an encoder's identity."""
        return repr(self)

    def target_padded(self) -> "Preprocessing":
        """This one behind `targetpad`; pictures are decoded at full size, as the bars count pixels.

        Raises:
            ValueError: this one does not crop, so the bars would change what it does.
        """
        if self.fit != "crop":
            raise ValueError(f"targetpad comes before a centre crop, not before {self.fit!r}")
        return replace(self, fit="targetpad", gap=0.0)

    def pixels(self, image: Image.Image) -> NDArray[np.uint8]:
        """An RGB picture -> uint8 [S, S, 3]."""
        if self.fit == "squash":
            image = self._resize(image, self.size, self.size)
        elif self.fit == "pad":
            image = self._pad(image)
        elif self.fit == "targetpad":
            image = self._crop(target_padded(image))
        else:
            image = self._crop(image)
        return np.asarray(image)

    @property
    def _side(self) -> int:
        crops = self.fit in ("crop", "targetpad")
        return math.floor(self.size / self.crop_fraction) if crops else self.size

    def _resize(
        self,
        image: Image.Image,
        width: int,
        height: int,
        *,
        box: tuple[float, float, float, float] | None = None,
    ) -> Image.Image:
        method = Image.Resampling[self.interpolation.upper()]
        return image.resize((width, height), method, box=box, reducing_gap=self.gap or None)

    def _crop(self, image: Image.Image) -> Image.Image:
        full = _full_size(image)
        # Rounding of torchvision's Resize (down) and CenterCrop (half to even).
        width, height = (int(self._side * length / min(full)) for length in full)
        left, top = (round((length - self.size) / 2) for length in (width, height))
        if self.gap or max(full) > _LONG * min(full):
            # Only what the crop keeps: up to a third cheaper. Pillow takes the box as 32-bit
            # numbers, which makes a difference of 1 in some pixels of ten thousand.
            across, down = image.width / width, image.height / height
            right, bottom = left + self.size, top + self.size
            box = (left * across, top * down, right * across, bottom * down)
            return self._resize(image, self.size, self.size, box=box)
        image = self._resize(image, width, height)
        return image.crop((left, top, left + self.size, top + self.size))

    def _pad(self, image: Image.Image) -> Image.Image:
        full = _full_size(image)
        ratio = max(full) / self.size
        width, height = (max(1, round(length / ratio)) for length in full)
        canvas = Image.new("RGB", (self.size, self.size))
        offset = (self.size - width) // 2, (self.size - height) // 2
        canvas.paste(self._resize(image, width, height), offset)
        return canvas


def target_padding(width: int, height: int) -> tuple[int, int]:
    """Black pixels on the left and on the right, and above and below (SEARLE, `TargetPad(1.25)`).

    So much that the shorter side becomes 1 / 1.25 of the longer one, rounded down; none where the
    sides differ less.
    """
    longer, shorter = max(width, height), min(width, height)
    if longer / shorter < TARGET_RATIO:
        return 0, 0
    side = longer / TARGET_RATIO
    return max(int((side - width) / 2), 0), max(int((side - height) / 2), 0)


def target_padded(image: Image.Image) -> Image.Image:
    """The picture with `target_padding` around it.

    Raises:
        OSError: so long a strip that it would become larger than any picture may be.
    """
    across, down = target_padding(*image.size)
    if not across and not down:
        return image
    size = image.width + 2 * across, image.height + 2 * down
    if size[0] * size[1] > MAX_PIXELS:
        raise OSError(f"{image.width} x {image.height} pixels are too long to be padded")
    canvas = Image.new("RGB", size)
    canvas.paste(image, (across, down))
    return canvas


def _full_size(image: Image.Image) -> tuple[int, int]:
    """Size of the picture before it was decoded at reduced scale (and not cut or resized since)."""
    full: tuple[int, int] = image.info.get(FULL_SIZE, image.size)
    scales = (tuple(math.ceil(length / scale) for length in full) for scale in (2, 4, 8))
    return full if image.size in scales else image.size
