"""The layouts in which φ is published: tensors by name -> layers. Dimensions come from shapes."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lincir.config import PROMPT
from lincir.phi import Layer, PseudoWords
from vretr.errors import MismatchError

Tensors = Mapping[str, NDArray[Any]]

PIC2WORD_PROMPT = "a photo of $ , {}"
PHI, IMG2TEXT = "Phi", "state_dict_img2text"  # what the files of the two families hold φ under

_MLP = ("layers.0", "layers.3", "layers.6")  # between them: GELU and dropout, without tensors


def from_mlp(tensors: Tensors) -> PseudoWords:
    """LinCIR's and SEARLE's network, and ours, which has `length` and `unit` as well.

    Raises:
        MismatchError: other tensors.
    """
    own = {"length", "unit"}
    _only(tensors, [*_names(_MLP)], besides=own, what="LinCIR's or SEARLE's φ")
    length = float(tensors["length"]) if "length" in tensors else None
    return PseudoWords(
        _layers(tensors, _MLP), length=length, unit=bool(tensors.get("unit", np.bool_(False)))
    )


def from_pic2word(tensors: Tensors) -> PseudoWords:
    """Pic2Word's network: linear maps with ReLU, then `fc_out`.

    Raises:
        MismatchError: other tensors, as those of Context-I2W.
    """
    hidden = [f"layers.{n}.0" for n in range(len(tensors)) if f"layers.{n}.0.weight" in tensors]
    names = (*hidden, "fc_out")
    _only(tensors, [*_names(names)], what="Pic2Word's network")
    return PseudoWords(_layers(tensors, names), activation="relu", length=None)


def _names(layers: tuple[str, ...]) -> list[str]:
    return [f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]


def _only(
    tensors: Tensors, names: list[str], *, what: str, besides: set[str] | None = None
) -> None:
    other = sorted(set(tensors) - set(names) - (besides or set()))
    lacking = [name for name in names if name not in tensors]
    if other or lacking:
        problem = f"it has {other[0]}" if other else f"it lacks {lacking[0]}"
        raise MismatchError(f"these are not the tensors of {what}: {problem}")


def _layers(tensors: Tensors, names: tuple[str, ...]) -> tuple[Layer, ...]:
    layers = tuple(
        Layer(
            np.asarray(tensors[f"{name}.weight"], np.float32),
            np.asarray(tensors[f"{name}.bias"], np.float32),
        )
        for name in names
    )
    fit = all(
        layer.weight.ndim == 2 and layer.weight.shape[:1] == layer.bias.shape for layer in layers
    )
    if not (fit and PseudoWords(layers).fits()):
        raise MismatchError("its layers do not fit one another")
    return layers


def from_checkpoint(content: Any) -> tuple[PseudoWords, str]:
    """A checkpoint that torch saved -> φ and its authors' prompt.

    Args:
        content: nested dicts, with arrays instead of tensors.

    Raises:
        MismatchError: no φ, or one that is not read here; the message names what it is.
    """
    if not isinstance(content, Mapping):
        raise MismatchError("it holds no dictionary")
    if isinstance(tensors := content.get(PHI), Mapping):
        return from_mlp(_plain(tensors)), PROMPT
    if isinstance(tensors := content.get(IMG2TEXT), Mapping):
        if any(re.search("W_R|to_c|VT_Extractor", name) for name in tensors):
            raise MismatchError(
                "it is a network of Context-I2W, which reads patches and words: not supported"
            )
        return from_pic2word(_plain(tensors)), PIC2WORD_PROMPT
    if "CLIPTextModelWithProjection" in content:
        raise MismatchError(
            "it is RTD's text encoder, which is not supported; its φ is in a file of its own"
        )
    if "layers.0.weight" in content or "module.layers.0.weight" in content:
        return from_mlp(_plain(content)), PROMPT
    raise MismatchError(
        f"it has no {PHI} and no {IMG2TEXT}, but {', '.join(map(str, [*content][:5]))}"
    )


def _plain(tensors: Mapping[str, Any]) -> Tensors:
    """Without the prefix that DataParallel puts before names."""
    return {str(name).removeprefix("module."): value for name, value in tensors.items()}
