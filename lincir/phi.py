"""φ in NumPy, for queries: no torch, and the file is mapped rather than read."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vretr.encoders.base import unit
from vretr.encoders.words.arrays import gelu, relu

Array = NDArray[np.float32]

UNIT = 1e-3  # a vector whose length is as near to 1 was scaled to it


@dataclass(frozen=True)
class Layer:
    """x W^T + b"""

    weight: Array  # [out, in]
    bias: Array  # [out]


@dataclass(frozen=True)
class PseudoWords:
    """Vectors of an image tower -> pseudo words.

    Args:
        layers: with the activation between each two. GELU is the exact one, as in LinCIR and
            SEARLE; Pic2Word has ReLU.
        length: mean length of the vectors it was trained on; None: not known.
        unit: whether it reads vectors of length 1.
    """

    layers: tuple[Layer, ...]
    activation: Literal["gelu", "relu"] = "gelu"
    length: float | None = None
    unit: bool = False

    @property
    def dim(self) -> int:
        """Length of what it reads."""
        return self.layers[0].weight.shape[1]

    @property
    def width(self) -> int:
        """Length of what it gives: one word embedding, or several behind one another."""
        return self.layers[-1].weight.shape[0]

    def fits(self) -> bool:
        """Whether each layer is a linear map that reads what the one before it gives."""
        return all(
            layer.weight.ndim == 2 and layer.weight.shape[:1] == layer.bias.shape
            for layer in self.layers
        ) and all(
            above.weight.shape[1] == below.weight.shape[0] for below, above in pairwise(self.layers)
        )

    def __call__(self, vectors: Array) -> Array:
        """[B, dim] -> [B, width].

        A vector of length 1, as an index keeps it, is first brought to the mean length.
        """
        x = self._as_trained(np.asarray(vectors, np.float32))
        for number, layer in enumerate(self.layers):
            if number:
                x = gelu(x) if self.activation == "gelu" else relu(x)
            x = x @ layer.weight.astype(np.float32, copy=False).T + layer.bias
        return x

    def _as_trained(self, vectors: Array) -> Array:
        if self.unit:
            return unit(vectors)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.where(np.abs(lengths - 1) < UNIT, vectors * np.float32(self.length or 1), vectors)
