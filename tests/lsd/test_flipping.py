"""Asking about the mirror image as well."""

import numpy as np

from lsd.decode import Decoding, decode
from lsd.flipping import Flipped, mean, mirrored

SIDE = 32


def maps_of(row: int, column: int, ends: tuple[float, ...]) -> np.ndarray:
    maps = np.full((1, 5, SIDE, SIDE), -9, np.float32)
    maps[0, :, row, column] = (5, *ends)
    return maps


def ends_of(maps: np.ndarray) -> list[float]:
    (line,) = decode(maps[0], Decoding(), 2 * SIDE, 2 * SIDE).ends.tolist()
    return line


def test_mirrored_maps_have_mirrored_lines() -> None:
    maps = maps_of(8, 6, (-4.5, -2.0, 4.5, 3.0))
    x1, y1, x2, y2 = ends_of(maps)
    assert ends_of(mirrored(maps)) == [2 * SIDE - x1, y1, 2 * SIDE - x2, y2]
    assert np.array_equal(mirrored(mirrored(maps)), maps)


def test_the_mean_pairs_the_ends_that_are_near() -> None:
    maps = maps_of(8, 6, (-4.0, -2.0, 4.0, 3.0))
    turned = maps[:, [0, 3, 4, 1, 2]]
    assert np.array_equal(mean(maps, turned), maps)


def test_a_network_that_sees_the_same_in_the_mirror_gives_what_it_gave() -> None:
    """And one that is wrong by a constant to the right is right on the whole."""

    def network(pixels: np.ndarray) -> np.ndarray:
        row, column = np.argwhere(pixels[0, :, :, 0])[0] // 2
        return maps_of(row, column, (-3.0 + 0.75, 0.0, 4.0 + 0.75, 0.0))

    pixels = np.zeros((1, 2 * SIDE, 2 * SIDE, 3), np.uint8)
    pixels[0, 8, 20:22] = 255
    assert np.allclose(ends_of(network(pixels)), [15.5, 8, 29.5, 8])
    assert np.allclose(ends_of(Flipped(network)(pixels)), [14, 8, 28, 8])
