"""Segments that lie along one line, as one: pieces of a long edge, or the same edge seen twice."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

SINE = 0.1  # of the largest angle between two pieces of a line, 5.7 degrees


def joined(ends: Array, *, near: float, share: float = 0.0) -> tuple[Array, list[NDArray[np.intp]]]:
    """Segments [M, 4] that pieces among `ends` [N, 4] make, and the numbers of the pieces of each.

    Args:
        near: pieces lie at most so far beside the line, in pixels, and miss so much between them.
        share: or they miss this share of the line that the others make already.
    """
    segments, members = [], []
    left = np.argsort(-_length(ends.reshape(-1, 2, 2)), kind="stable")
    while len(left):
        line, count = ends[left[0]], 0
        chosen = np.zeros(len(left), bool)
        chosen[0] = True
        while chosen.sum() > count:  # the longer it grows, the farther pieces it meets
            count = int(chosen.sum())
            gap = max(near, share * float(np.hypot(*(line[2:] - line[:2]))))
            chosen |= pieces(line, ends[left], near=near, gap=gap)
            line = spanning(ends[left[chosen]])
        segments.append(line)
        members.append(left[chosen])
        left = left[~chosen]
    return np.array(segments).reshape(-1, 4), members


def pieces(line: Array, others: Array, *, near: float, gap: float) -> NDArray[np.bool_]:
    """Which of the segments [N, 4] are pieces of the line that `line` [4] is one of.

    Args:
        near: in pixels: the shorter one's ends lie at most so far from the line through the longer.
        gap: at most so much is missing between the two, along the line.
    """
    first = np.broadcast_to(line.reshape(2, 2), (len(others), 2, 2)).astype(float)
    second = others.reshape(-1, 2, 2).astype(float)
    longer = (_length(first) >= _length(second))[..., None, None]
    axis, other = np.where(longer, first, second), np.where(longer, second, first)
    length = np.maximum(_length(axis), 1e-9)
    direction = ((axis[..., 1, :] - axis[..., 0, :]) / length[..., None])[..., None, :]
    offset = other - axis[..., :1, :]
    along = (offset * direction).sum(-1)
    beside = offset[..., 0] * direction[..., 1] - offset[..., 1] * direction[..., 0]
    missing = np.maximum(along.min(-1) - length, -along.max(-1))
    turned = np.abs(beside[..., 1] - beside[..., 0]) > SINE * _length(other)
    return (np.abs(beside).max(-1) <= near) & (missing <= gap) & ~turned


def _length(segments: Array) -> Array:
    return np.hypot(*np.moveaxis(segments[..., 1, :] - segments[..., 0, :], -1, 0))


def spanning(ends: Array) -> Array:
    """The one segment [4] that these [N, 4] are pieces of: between the two ends farthest apart."""
    points = ends.reshape(-1, 2)
    squares = ((points[:, None] - points[None]) ** 2).sum(-1)
    return points[list(np.unravel_index(squares.argmax(), squares.shape))].ravel()
