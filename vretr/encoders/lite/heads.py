"""The trained part of `lite`: what the two locked towers see, mapped into one joint space.

    learned(picture) = unit(linear + small MLP over features and colours)          256 numbers
    named(picture)   = unit(sum of class-name vectors, weighted by probability)    384 numbers
    learned(text)    = unit(linear + small MLP over the MiniLM vector)             256 numbers
    named(text)      = the MiniLM vector itself                                    384 numbers
    vector           = unit([learned, weight * named])

The second half is ConSE (Norouzi et al. 2014, arXiv:1312.5650): what the classifier knows reaches
words without training, which the captions alone would unlearn. NumPy only: a query imports no
torch.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vretr.encoders.base import unit
from vretr.encoders.lite.text_tower import gelu

if TYPE_CHECKING:
    from torch import nn

Array = NDArray[np.float32]

SHIPPED = Path(__file__).with_name("weights") / "heads.safetensors"


@dataclass(frozen=True)
class Heads:
    """The heads' tensors, float32, by the names that `model.HeadsModule` trains."""

    tensors: dict[str, Array]

    @classmethod
    def load(cls, path: Path = SHIPPED) -> "Heads":
        """Reads a safetensors file; half precision on disk becomes float32."""
        from safetensors.numpy import load_file

        return cls({name: value.astype(np.float32) for name, value in load_file(path).items()})

    @classmethod
    def of(cls, module: "nn.Module") -> "Heads":
        """The heads as they stand in a torch module."""
        state = module.state_dict()
        return cls({name: value.float().cpu().numpy() for name, value in state.items()})

    def texts(self, sentences: Array) -> Array:
        """MiniLM vectors [B, 384] -> joint vectors [B, 640] of unit length."""
        return self._joint(self._learned("text", sentences), sentences)

    def images(self, features: Array, probabilities: Array, colours: Array) -> Array:
        """What the image tower tells ([B, 1280], [B, 1000], [B, 128]) -> joint vectors [B, 640]."""
        x = np.concatenate([features, colours], axis=1)
        x = (x - self.tensors["image.mean"]) / self.tensors["image.std"]
        named = unit(probabilities @ self.tensors["class_names"])
        return self._joint(self._learned("image", x), named)

    def _learned(self, side: str, x: Array) -> Array:
        t = self.tensors
        hidden = gelu(x @ t[f"{side}.hidden.weight"].T + t[f"{side}.hidden.bias"])
        return unit(x @ t[f"{side}.linear.weight"].T + hidden @ t[f"{side}.out.weight"].T)

    def _joint(self, learned: Array, named: Array) -> Array:
        return unit(np.concatenate([learned, self.tensors["named_weight"] * named], axis=1))
