"""A network with all that stands before and behind it: pictures in, line segments out."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lsd.architecture import MULTIPLE, Size, size_of
from lsd.decode import Decoding, decode
from lsd.flipping import Flipped, Network
from lsd.folding import Folded
from lsd.lines import Lines
from lsd.network import OnnxNetwork
from lsd.resizing import Resize, squashed
from vretr.encoders.devices import is_processor
from vretr.encoders.names import Precision
from vretr.images.stream import processors

Picture = Image.Image | NDArray[np.uint8]


class Detector:
    """Finds line segments.

    Args:
        weights: folded, see `folding.folded`.
        name: for messages and reports.
        size: side of the square that a picture is squashed to, a multiple of 16.
        resize: how; see `resizing.squashed`.
        flip: also look at its mirror image, and take the mean.
        device: "auto" is a GPU where torch finds one; on the processor no torch is needed.
        precision: of a GPU; "auto" is 16 bits there. The processor computes in float32.
        settings: of `Decoding`.

    Raises:
        ValueError: a size or a setting with which nothing could be found.
    """

    def __init__(
        self,
        weights: Folded,
        *,
        name: str = "mlsd",
        size: int = 512,
        resize: Resize = "area",
        flip: bool = False,
        device: str = "auto",
        precision: Precision = "auto",
        **settings: Any,
    ) -> None:
        if size < MULTIPLE or size % MULTIPLE:
            raise ValueError(f"size is {size}, but must be a multiple of {MULTIPLE}")
        self.weights, self.name, self.size, self.resize = weights, name, size, resize
        self.flip = flip
        self.decoding = Decoding(**settings)
        self._device, self._precision = device, precision

    @property
    def network_size(self) -> Size:
        """Which of the two networks it is."""
        return size_of(self.weights)

    def with_settings(self, **settings: Any) -> "Detector":
        """The same network with other settings of `Decoding`."""
        other = object.__new__(Detector)
        other.__dict__.update(self.__dict__)
        other.decoding = replace(self.decoding, **settings)
        return other

    def detect(self, image: Picture) -> Lines:
        """Line segments of a picture: RGB, as `images.open` gives it, or uint8 [H, W, 3]."""
        return self.detect_batch([image])[0]

    def detect_batch(self, pictures: Sequence[Picture]) -> list[Lines]:
        """The same of many; each comes out as it would alone."""
        if not pictures:
            return []
        opened = [as_image(picture) for picture in pictures]
        maps = self.network(np.stack([self.pixels(image) for image in opened]))
        return [
            decode(each, self.decoding, *image.size)
            for each, image in zip(maps, opened, strict=True)
        ]

    def pixels(self, image: Image.Image) -> NDArray[np.uint8]:
        """What the network sees of a picture, [S, S, 3]."""
        return squashed(image, self.size, self.resize)

    @cached_property
    def network(self) -> Network:
        """What computes, made when first used."""
        return Flipped(self._network()) if self.flip else self._network()

    def _network(self) -> Network:
        if is_processor(self._device):
            return Processor(self.weights)
        from lsd.torch_network import TorchNetwork

        return TorchNetwork(self.weights, device=self._device, precision=self._precision)


class Processor:
    """onnxruntime on the processor: one picture with all cores, several with a core each."""

    def __init__(self, weights: Folded) -> None:
        self._weights, self._cores = weights, processors()

    @cached_property
    def _together(self) -> Network:
        return OnnxNetwork(self._weights, threads=self._cores)

    @cached_property
    def _alone(self) -> Network:
        return OnnxNetwork(self._weights, threads=1)

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._cores, thread_name_prefix="vretr-forward")

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        if len(pixels) < self._cores:
            return np.concatenate([self._together(picture[None]) for picture in pixels])
        alone = self._alone  # made here, not by each thread
        return np.concatenate([*self._threads.map(lambda one: alone(one[None]), pixels)])


def as_image(picture: Picture) -> Image.Image:
    """A picture in RGB.

    Raises:
        ValueError: an array that is no picture.
    """
    if isinstance(picture, Image.Image):
        return picture if picture.mode == "RGB" else picture.convert("RGB")
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"a picture is uint8 [H, W, 3], not {picture.dtype} {picture.shape}")
    return Image.fromarray(picture)
