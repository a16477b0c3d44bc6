"""Each normalisation folded into the convolution before it, in NumPy."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from lsd.architecture import Size, layers, size_of
from vretr.errors import MismatchError

EPSILON, DECODER_EPSILON = 1e-3, 1e-5  # of normalisations: Keras's MobileNetV2, and the decoder's
ENCODER = ("stem", "block")  # how the names of the encoder's layers begin

Tensors = Mapping[str, NDArray[np.floating]]
Folded = dict[str, NDArray[np.float32]]


def epsilon(name: str) -> float:
    """Of the normalisation of the layer of that name."""
    return EPSILON if name.startswith(ENCODER) else DECODER_EPSILON


def folded(tensors: Tensors) -> Folded:
    """Weights as inference takes them, NAME.weight [out, in, k, k] and NAME.bias [out], from those
    of `MLSD.state_dict`, or from folded ones.

    Raises:
        MismatchError: a tensor is missing or has another shape.
    """
    size = size_of(tensors)
    found: Folded = {}
    for name, layer in layers(size).items():
        shape = (layer.outputs, 1 if layer.depthwise else layer.inputs, layer.kernel, layer.kernel)
        if f"{name}.weight" in tensors or not layer.normalised:
            prefix = name if f"{name}.weight" in tensors else f"{name}.0"
            weight = _tensor(tensors, f"{prefix}.weight", shape, size)
            bias = _tensor(tensors, f"{prefix}.bias", (layer.outputs,), size)
        else:
            weight = _tensor(tensors, f"{name}.0.weight", shape, size)
            factor, shift, mean, variance = (
                _tensor(tensors, f"{name}.1.{part}", (layer.outputs,), size).astype(np.float64)
                for part in ("weight", "bias", "running_mean", "running_var")
            )
            factor = factor / np.sqrt(variance + epsilon(name))
            weight, bias = weight * factor.reshape(-1, 1, 1, 1), shift - mean * factor
        found[f"{name}.weight"] = weight.astype(np.float32)
        found[f"{name}.bias"] = bias.astype(np.float32)
    return found


def _tensor(
    tensors: Tensors, name: str, shape: tuple[int, ...], size: Size
) -> NDArray[np.floating]:
    if name not in tensors:
        raise MismatchError(f"These are no weights of M-LSD's {size} network: {name} is missing.")
    if tensors[name].shape != shape:
        raise MismatchError(
            f"These are no weights of M-LSD's {size} network: {name} has shape "
            f"{tensors[name].shape}, not {shape}."
        )
    return tensors[name]
