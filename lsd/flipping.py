"""A network that is asked twice: about a picture and about its mirror image."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Maps = NDArray[np.float32]
Network = Callable[[NDArray[np.uint8]], Maps]
"""[B, S, S, 3] -> [B, 5, S/2, S/2]: the centre's logit, and the displacements."""


class Flipped:
    """The mean of both answers; takes twice the time."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def __call__(self, pixels: NDArray[np.uint8]) -> Maps:
        """uint8 [B, S, S, 3] -> float32 [B, 5, S/2, S/2]"""
        mirror_image = np.ascontiguousarray(pixels[:, :, ::-1])
        return mean(self._network(pixels), mirrored(self._network(mirror_image)))


def mirrored(maps: Maps) -> Maps:
    """Maps [B, 5, H, W] of the picture with left and right exchanged.

    A cell's displacement is counted from its left border, which becomes its right one.
    """
    maps = maps[..., ::-1].copy()
    maps[:, [1, 3]] = 1 - maps[:, [1, 3]]
    return maps


def mean(maps: Maps, other: Maps) -> Maps:
    """Of two maps; in each cell the other's ends in the order in which they are nearer."""
    turned = other[:, [0, 3, 4, 1, 2]]
    apart = [np.square(maps - each).sum(axis=1, keepdims=True) for each in (other, turned)]
    nearer = np.where(apart[1] < apart[0], turned, other)
    return np.asarray((maps + nearer) / 2, np.float32)
