"""F^H and AP^H: how well the pixels of found lines are those of the true ones.

Zhou, Qi, Ma 2019, arXiv:1905.03246, section 4, after the measure of edges of Martin, Fowlkes, Malik
2004 (https://doi.org/10.1109/TPAMI.2004.1273918): pixels of lines one pixel wide are matched one to
one, no farther apart than a hundredth of the diagonal.

Theirs is an assignment of least cost by Goldberg's CSA, in which it costs much to leave a pixel
out. Ours matches as many pixels as can be, whatever they are apart: never fewer than theirs.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lsd.metrics import Curve, average_precision, best_f

FARTHEST = 0.01  # of the diagonal
THRESHOLDS = tuple(round(0.1 + 0.05 * step, 2) for step in range(15))
"""Least scores of lines that are drawn, 0.1 to 0.8: TP-LSD's (arXiv:2009.05505)."""

Mask = NDArray[np.bool_]
Places = NDArray[np.intp]


class Pixels(NamedTuple):
    """Numbers of pixels."""

    matched: int
    found: int
    true: int


def drawn(lines: ArrayLike, width: int, height: int) -> Mask:
    """The pixels [height, width] of lines [N, 4]; what lies outside the picture is left out.

    A line has as many points as it is long, rounded up, evenly spaced from end to end.
    """
    ends = np.asarray(lines, np.float64).reshape(-1, 4)
    counts = np.ceil(np.hypot(*(ends[:, 2:] - ends[:, :2]).T)).astype(int).clip(min=1)
    line = np.repeat(np.arange(len(ends)), counts)
    number = np.arange(len(line)) - np.repeat(np.cumsum(counts) - counts, counts)
    part = (number / np.maximum(counts - 1, 1)[line])[:, None]
    x, y = np.rint(ends[line, :2] * (1 - part) + ends[line, 2:] * part).astype(int).T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    mask = np.zeros((height, width), bool)
    mask[y[inside], x[inside]] = True
    return mask


class Matching:
    """As many pairs of a true and a found pixel as can be; found pixels may be added.

    A pixel is a place in the flattened picture, which has a margin as wide as a pair may be apart.
    """

    def __init__(self, truth: Mask) -> None:
        height, width = truth.shape
        reach = FARTHEST * math.hypot(height, width)
        self._margin = margin = int(reach)
        down, across = np.mgrid[-margin : margin + 1, -margin : margin + 1].reshape(2, -1)
        apart = np.hypot(down, across)
        near = np.argsort(apart, kind="stable")[: np.count_nonzero(apart <= reach)]
        self._steps = (down * (width + 2 * margin) + across)[near]  # to neighbours, nearest first
        self._true = np.flatnonzero(np.pad(truth, margin))
        self._near = np.zeros(len(self._true), bool)  # whether a found pixel is near enough
        places = truth.size + 2 * margin * (height + width + 2 * margin)
        self._found = np.zeros(places, bool)
        self._mate_of_true = np.full(places, -1)
        self._mate_of_found = np.full(places, -1)

    def add(self, found: Mask) -> int:
        """Adds found pixels; returns how many pairs there are now."""
        new = np.pad(found, self._margin).ravel()
        if new.any():
            self._found |= new
            for step in self._steps:
                near = self._true + step
                self._near |= new[near]
                free = self._found[near] & (self._mate_of_found[near] < 0)
                free &= self._mate_of_true[self._true] < 0
                self._pair(self._true[free], near[free])
            while self._exchange():
                pass
        return int(np.count_nonzero(self._mate_of_true >= 0))

    def _pair(self, true: Places, found: Places) -> None:
        self._mate_of_true[true], self._mate_of_found[found] = found, true

    def _exchange(self) -> bool:
        """Gives single true pixels a mate by exchanging others' (augmenting paths, Hopcroft and
        Karp 1973, https://doi.org/10.1137/0202019); whether that was possible for any.

        Trees grow from all of them at once, level by level; one that reaches a free found pixel
        is done.
        """
        suitor = np.full(len(self._found), -1)  # of a found pixel: the true one that reached it
        root = np.full(len(self._found), -1)  # of a true pixel: where its tree began
        done = np.zeros(len(self._found), bool)  # at roots
        edge = self._true[self._near & (self._mate_of_true[self._true] < 0)]
        root[edge] = edge
        while len(edge):
            near = edge[:, None] + self._steps
            new = self._found[near] & (suitor[near] < 0)
            reached = near[new]
            suitor[reached] = np.repeat(edge, np.count_nonzero(new, axis=1))
            reached = np.unique(reached)
            free = reached[self._mate_of_found[reached] < 0]
            ends = free[np.unique(root[suitor[free]], return_index=True)[1]]
            done[root[suitor[ends]]] = True
            taken = np.setdiff1d(reached, free, assume_unique=True)
            while len(ends):  # back to the roots, all paths abreast
                true = suitor[ends]
                before = self._mate_of_true[true]
                self._pair(true, ends)
                ends = before[before >= 0]
            edge = self._mate_of_found[taken]
            root[edge] = root[suitor[taken]]
            edge = edge[~done[root[edge]]]
        return bool(done.any())


def count(
    found: ArrayLike,
    scores: ArrayLike,
    truth: ArrayLike,
    width: int,
    height: int,
    *,
    thresholds: Sequence[float] = THRESHOLDS,
) -> list[Pixels]:
    """Of one picture, for each threshold: pixels of the lines with at least that score.

    Args:
        found: lines [N, 4] in pixels of the picture.
        scores: [N].
        truth: lines [M, 4] in pixels of the picture.
    """
    true, ends = drawn(truth, width, height), np.asarray(found).reshape(-1, 4)
    size, matching = int(np.count_nonzero(true)), Matching(true)
    mask = np.zeros_like(true)
    before, counted = np.zeros(len(ends), bool), {}
    for threshold in sorted(thresholds, reverse=True):
        lines = np.asarray(scores) >= threshold
        new = drawn(ends[lines & ~before], width, height)
        mask, before = mask | new, lines
        counted[threshold] = Pixels(matching.add(new), int(np.count_nonzero(mask)), size)
    return [counted[threshold] for threshold in thresholds]


def figures(pictures: Sequence[Sequence[Pixels]]) -> dict[str, float]:
    """`fh` and `aph` in [0, 1] of pictures' counts (`count`), summed for each threshold."""
    sums = np.array(pictures, dtype=np.float64).sum(axis=0)  # [thresholds, 3]
    right, found, true = sums[np.argsort(sums[:, 1], kind="stable")].T
    found_curve = Curve(right / np.maximum(true, 1), right / np.maximum(found, 1))
    return {"fh": best_f(found_curve), "aph": average_precision(found_curve)}
