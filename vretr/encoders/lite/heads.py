"""The trained part of `lite`: what the two locked towers see, mapped into one joint space.

    learned(picture) = unit(mean over members of unit(linear + small MLP of what is seen))   255
    learned(text)    = the same of the MiniLM vector                                         255
    easy(picture)    = log-mean-exp of what everyday captions score on it                      1
    named(picture)   = unit(sum of the classes' codes, weighted by probability^0.75)         384
    named(text)      = unit(sum of the classes' codes, weighted by a softmax over the
                       cosines between the MiniLM vector and those of the class names)       384
    picture          = unit([learned, easy / 0.3, 0.7 named])
    text             = unit([learned, -0.15, trust(text) named])

The members were trained from different initial weights (an ensemble, Hansen & Salamon 1990); as
their mean is a mean of cosines, their vectors stand side by side, turned and shortened to 255 by
the principal components of photos and texts.

The second half is after ConSE (Norouzi et al. 2014, arXiv:1312.5650): what the classifier knows
reaches words without training, which captions alone would unlearn. Each class has a random code of
signs instead of the vector of its name: those of similar names lie so near together that the right
photo drowns among its neighbours. `trust` is high where the text names a class and nothing else.

Half of `easy` is taken off a picture's score, so that none comes first on whatever is asked (after
query banks: Bogolin et al. 2022, arXiv:2112.12777); as one more number of either vector, the index
need not know of it.

NumPy only: a query imports no torch.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vretr.encoders.base import unit
from vretr.encoders.words.arrays import gelu

if TYPE_CHECKING:
    from torch import nn

    from vretr.encoders.lite.image_tower import Seen

Array = NDArray[np.float32]

SHIPPED = Path(__file__).with_name("weights") / "heads.safetensors"

NAMED_WEIGHT = np.float32(0.7)  # length of a picture's class-name part; the learned part has 1
EVENNESS = np.float32(0.75)  # power of the probabilities: second guesses count for more
SHARPNESS = np.float32(40)  # inverse temperature of the softmax over the class names
TRUST = np.float32(4)  # length of a text's class-name part where it names a class and nothing else
# Cosine between a text and the class name nearest to it: half of TRUST at the first, 73 % one
# width above. Median of captions: 0.39; "a photo of a dog", which is no class: 0.73.
NAMES_AT, NAMES_WIDTH = np.float32(0.72), np.float32(0.04)
# Easily found photos: sharpness of the log-mean-exp, share that is taken off, size in the vector.
EASE_SHARPNESS, EASE_SHARE, EASE_SIZE = np.float32(20), np.float32(0.5), np.float32(0.3)
# Vectors made with other numbers are of another space: part of the encoder's identity.
CONSTANTS = np.array(
    [
        *(NAMED_WEIGHT, EVENNESS, SHARPNESS, TRUST, NAMES_AT, NAMES_WIDTH),
        *(EASE_SHARPNESS, EASE_SHARE, EASE_SIZE),
    ]
)


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
        cosines = sentences @ self.tensors["class_names"].T
        nearest = cosines.max(1, keepdims=True)
        named = unit(np.exp(SHARPNESS * (cosines - nearest)) @ self.tensors["codes"])
        names = 1 / (1 + np.exp((NAMES_AT - nearest) / NAMES_WIDTH))
        trust = TRUST * np.maximum(names, self.tensors["least_trust"])
        learned = self.united("text", sentences)
        ease = np.full_like(nearest, -EASE_SHARE * EASE_SIZE)
        return unit(np.concatenate([learned, ease, trust * named], axis=1))

    def images(self, seen: Array, probabilities: Array) -> Array:
        """What the image tower tells ([B, 1832], [B, 1000]) -> joint vectors [B, 640]."""
        x = (seen - self.tensors["image.mean"]) / self.tensors["image.std"]
        named = unit(probabilities**EVENNESS @ self.tensors["codes"])
        learned = self.united("image", x)
        ease = (self.ease(learned) - self.tensors["mean_ease"]) / EASE_SIZE
        return unit(np.concatenate([learned, ease, NAMED_WEIGHT * named], axis=1))

    def ease(self, learned: Array) -> Array:
        """How easily photos [B, 255] are found, by everyday captions: [B, 1]."""
        scores = EASE_SHARPNESS * (learned @ unit(self.tensors["everyday"]).T)
        return np.log(np.exp(scores).mean(1, keepdims=True)) / EASE_SHARPNESS

    def united(self, side: str, x: Array) -> Array:
        """The members as one: [B, width] -> [B, 255], unit length."""
        return unit(self.members(side, x) @ self.tensors["projection"])

    def members(self, side: str, x: Array) -> Array:
        """What each of the M members says: [B, width] -> [B, M * 256], each part of length 1."""
        linear, hidden, bias, out = (
            self.tensors[f"{side}.{name}"] for name in ("linear", "hidden", "bias", "out")
        )
        parts = [
            unit(x @ linear[m] + gelu(x @ hidden[m] + bias[m]) @ out[m]) for m in range(len(linear))
        ]
        return np.concatenate(parts, axis=1)


def seen_by_heads(seen: "Seen") -> Array:
    """What the image head reads of what the tower sees: [B, 1832].

    Square roots, as the features of a few classes are large and rare, and cosine after them
    compares the parts that a picture shares with others.
    """
    return np.concatenate([np.sqrt(seen.features), seen.stages, seen.colours], axis=1)


def principal_components(vectors: Array, count: int) -> Array:
    """The `count` directions [D, count] in which vectors [N, D] are longest, not centred."""
    _, directions = np.linalg.eigh(vectors.T @ vectors)
    return directions[:, : -count - 1 : -1].copy()
