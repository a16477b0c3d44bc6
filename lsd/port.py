"""Reads weights of the community's PyTorch port (lhwcv/mlsd_pytorch), as far as they fit.

The port names its blocks otherwise, but registers its convolutions in the order of
`architecture.layers`. Only files that were converted from the released networks fit: they take
four channels. What the port trained itself sees other pixels and computes otherwise.
"""

import pickle
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsd.architecture import Size, layers
from lsd.folding import Folded
from vretr.errors import MismatchError
from vretr.paths import display

EPSILON = 1e-5  # of all normalisations there


def read(file: Path) -> Folded:
    """Folded weights of a converted network.

    Raises:
        MismatchError: not such a file, or one that the port trained itself.
    """
    import torch

    try:
        tensors = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise MismatchError(f"{display(file)} cannot be read as weights: {error}") from error
    tensors = tensors.get("state_dict", tensors) if isinstance(tensors, dict) else {}
    arrays = {name: tensor.numpy() for name, tensor in tensors.items() if hasattr(tensor, "numpy")}
    found = [name.removesuffix(".weight") for name, array in arrays.items() if array.ndim == 4]
    if not found:
        raise MismatchError(f"{display(file)} holds no convolutions.")
    if arrays[f"{found[0]}.weight"].shape[1] == 3:
        raise MismatchError(
            f"{display(file)} was trained by the PyTorch port, whose network sees other pixels and "
            "computes otherwise; only weights that were converted from the released ones fit."
        )
    sizes: tuple[Size, ...] = ("tiny", "large")
    for size in sizes:
        if len(found) == len(layers(size)):
            return _taken(arrays, found, size, file)
    raise MismatchError(
        f"{display(file)} has {len(found)} convolutions; M-LSD's networks have 41 or 58."
    )


def _taken(
    arrays: dict[str, NDArray[np.floating]], found: list[str], size: Size, file: Path
) -> Folded:
    names = list(arrays)
    weights: Folded = {}
    for (name, layer), own in zip(layers(size).items(), found, strict=True):
        weight = arrays[f"{own}.weight"].astype(np.float64)[:, : layer.inputs]
        bias = arrays.get(f"{own}.bias", np.zeros(len(weight))).astype(np.float64)
        if layer.normalised:
            norm = _norm_after(names, own)
            factor, shift, mean, variance = (
                arrays[f"{norm}.{part}"].astype(np.float64)
                for part in ("weight", "bias", "running_mean", "running_var")
            )
            factor = factor / np.sqrt(variance + EPSILON)
            weight, bias = weight * factor.reshape(-1, 1, 1, 1), shift + (bias - mean) * factor
        wanted = (layer.outputs, 1 if layer.depthwise else layer.inputs, layer.kernel, layer.kernel)
        if weight.shape != wanted:
            raise MismatchError(
                f"{display(file)} has {weight.shape} in {own}, where M-LSD has {wanted}."
            )
        weights[f"{name}.weight"] = weight.astype(np.float32)
        weights[f"{name}.bias"] = bias.astype(np.float32)
    return weights


def _norm_after(names: list[str], convolution: str) -> str:
    """The name of the normalisation that follows a convolution in the file."""
    start = names.index(f"{convolution}.weight")
    after = next(name for name in names[start:] if name.endswith(".running_mean"))
    return after.removesuffix(".running_mean")
