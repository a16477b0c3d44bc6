"""The losses by name, what they are and what can be set. No torch."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Loss(NamedTuple):
    """A loss as `make_loss` makes it."""

    what: str
    options: Mapping[str, float]  # with their defaults


# Scales and margins are those of Proxy Synthesis and MemVir on CARS196 where they are known, else
# those of the loss's own authors. The scale multiplies cosines (squared distances in proxy-nca).
LOSSES: Mapping[str, Loss] = MappingProxyType(
    {
        "softmax": Loss("cross entropy over x·w, nothing normalised, no bias", {}),
        "norm-softmax": Loss("cross entropy over cosines", {"scale": 23}),
        "cosface": Loss("a margin off the right cosine", {"scale": 23, "margin": 0.1}),
        "arcface": Loss("a margin (radians) on the right angle", {"scale": 23, "margin": 0.1}),
        "sphereface": Loss("the right angle times the margin", {"scale": 1, "margin": 4}),
        "softtriple": Loss(
            "several centres a class",
            {"scale": 20, "margin": 0.01, "gamma": 0.1, "centres": 10, "tau": 0.2},
        ),
        "proxy-nca": Loss(
            "cross entropy over squared distances; equals norm-softmax of twice the scale",
            {"scale": 12},
        ),
        "proxy-anchor": Loss(
            "each class against the batch's samples", {"scale": 32, "margin": 0.1}
        ),
        "circle": Loss("cosines weighted by what they lack", {"scale": 80, "margin": 0.4}),
    }
)
