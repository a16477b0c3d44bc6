"""The image tower's weights as NumPy arrays, by timm's names.

They are published as a torch file, which only torch reads safely. The first use converts it to
safetensors in vretr's home; from then on no torch is imported.
"""

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vretr import paths
from vretr.encoders.lite.efficientnet import weight_names
from vretr.encoders.lite.files import IMAGE_WEIGHTS, PINNED, pinned
from vretr.encoders.words.arrays import map_safetensors

log = logging.getLogger(__name__)

Weights = dict[str, NDArray[np.float32]]


def image_weights(folder: Path | None = None) -> Weights:
    """The published tensors, from `folder` or from the package that carries them; read-only.

    Raises:
        VretrError: the published file is missing, or its content is not the pinned one.
    """
    published = pinned(IMAGE_WEIGHTS, folder)
    place = converted_file()
    try:
        return map_safetensors(place)
    except (OSError, ValueError) as error:
        log.info("Converting %s, since %s cannot be read: %s", published.name, place.name, error)
    weights = _published(published)
    _keep(weights, place)
    return weights


def converted_file() -> Path:
    """Where the converted weights lie; another published file would have another place."""
    *_, pin = PINNED[IMAGE_WEIGHTS]
    return paths.home() / "lite" / f"image-tower-{pin[:16]}.safetensors"


def _published(file: Path) -> Weights:
    import torch

    state = torch.load(file, map_location="cpu", weights_only=True)
    # The package's names are another port's; its 296 tensors are timm's, one to one in order.
    named = zip(weight_names(), state.values(), strict=True)
    # Some are stored with other strides, which `save` would take for the usual ones.
    return {
        name: np.ascontiguousarray(value.numpy())
        for name, value in named
        if value.is_floating_point()
    }


def _keep(weights: Weights, place: Path) -> None:
    from safetensors.numpy import save

    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with paths.atomic_write(place) as file:
            file.write(save(weights))
    except OSError as error:
        log.warning("Each use of `lite` on pictures will import torch: %s.", error)
