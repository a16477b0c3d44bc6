"""How well found lines are the true ones: sAP and sF, LAP, by lines.

- sAP (Zhou, Qi, Ma 2019, *End-to-End Wireframe Parsing*, arXiv:1905.03246, section 4): both ends
  are near; squared distances on a grid of 128 x 128.
- LAP (Huang et al. 2020, *TP-LSD*, arXiv:2009.05505, section 4.2): direction and overlap agree.

By pixels (F^H): `lsd.heat`. Lines are [N, 4]: x1 y1 x2 y2, and found ones stand by falling score.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

GRID = 128
"""Pictures are brought to this many cells a side, whatever their shape was."""
THRESHOLDS = (5, 10, 15)
"""Of sAP: squared distances of both ends together, in cells."""
CAMERA_HEIGHT = 24.0  # cells above the true line's centre; with the next three, TP-LSD's own values
LARGEST_ANGLE = 10.0  # degrees
LEAST_OVERLAP = 0.5
LEAST_MATCH = 0.5

Array = NDArray[np.float64]
Hits = NDArray[np.bool_]


def on_grid(lines: ArrayLike, width: int, height: int) -> Array:
    """Lines [N, 4] in pixels of a picture, in cells of the grid."""
    scale = np.array([GRID / width, GRID / height] * 2)
    return np.asarray(lines, np.float64).reshape(-1, 4) * scale


def distances(found: ArrayLike, truth: ArrayLike) -> Array:
    """Squared distances [N, M] of both ends together; of the two ways to pair them, the nearer."""
    a, b = (np.asarray(lines, np.float64).reshape(-1, 1, 4) for lines in (found, truth))
    b = b.transpose(1, 0, 2)
    straight = np.square(a - b).sum(axis=2)
    crossed = np.square(a - b[..., [2, 3, 0, 1]]).sum(axis=2)
    return np.minimum(straight, crossed)


def nearest(found: ArrayLike, truth: ArrayLike) -> tuple[NDArray[np.intp], Array]:
    """Of each found line [N] the number of the true line nearest to it, and its distance; where
    there is none, infinity."""
    apart = distances(found, truth)
    if not apart.size:
        return np.zeros(len(apart), np.intp), np.full(len(apart), np.inf)
    return apart.argmin(axis=1), apart.min(axis=1)


def structural_hits(found: ArrayLike, truth: ArrayLike, threshold: float) -> Hits:
    """Which found lines [N] on the grid are right: sAP's rule.

    The true line nearest to it is nearer than the threshold, and no found line before this one
    has taken it; there is no search for a second best.
    """
    number, apart = nearest(found, truth)
    return first_takes(number, apart < threshold)


def line_matching_hits(found: ArrayLike, truth: ArrayLike) -> Hits:
    """Which found lines [N] on the grid are right: LAP's rule, with the best matching score."""
    scores = line_matching_scores(found, truth)
    if not scores.size:
        return np.zeros(len(scores), bool)
    return first_takes(scores.argmax(axis=1), scores.max(axis=1) >= LEAST_MATCH)


def first_takes(number: NDArray[np.intp], near: Hits) -> Hits:
    """Of those that are near enough, the first one at each true line, given by its number."""
    candidates = np.flatnonzero(near)
    hits = np.zeros(len(number), bool)
    hits[candidates[np.unique(number[candidates], return_index=True)[1]]] = True
    return hits


def line_matching_scores(found: ArrayLike, truth: ArrayLike) -> Array:
    """LMS [N, M] in [0, 1]: how well the direction agrees, times how much overlaps."""
    a = np.asarray(found, np.float64).reshape(-1, 1, 2, 2)  # [N, 1, end, xy]
    b = np.asarray(truth, np.float64).reshape(1, -1, 2, 2)
    scores = _overlap(a, b)
    line, true = np.nonzero(scores)  # of few pairs anything overlaps
    scores[line, true] *= _direction(a[line, 0], b[0, true])
    return scores


def _direction(a: Array, b: Array) -> Array:
    """1 for planes through the camera and either line that are one, 0 from 10 degrees on."""
    centre = b.mean(axis=-2, keepdims=True)
    normals = [_normal((lines - centre) / CAMERA_HEIGHT) for lines in (a, b)]
    cosine = np.abs((normals[0] * normals[1]).sum(axis=-1)).clip(max=1)
    return np.maximum(1 - np.degrees(np.arccos(cosine)) / LARGEST_ANGLE, 0)


def _normal(ends: Array) -> Array:
    """Unit normal [..., 3] of the plane through the camera and a line [..., end, xy]."""
    rays = np.concatenate([ends, np.ones((*ends.shape[:-1], 1))], axis=-1)
    return _unit(np.cross(rays[..., 0, :], rays[..., 1, :]))


def _overlap(a: Array, b: Array) -> Array:
    """Mean of what shares of the true and of the found line lie beside the other; 0 if one is
    less than half."""
    along, across = (lines[..., 1, :] - lines[..., 0, :] for lines in (b, a))
    length, found_length = (np.linalg.norm(vector, axis=-1) for vector in (along, across))
    direction = _unit(along)
    projected = ((a - b[..., :1, :]) * direction[..., None, :]).sum(axis=-1)  # [N, M, end]
    projected = np.clip(projected, 0, length[..., None])
    beside = np.abs(projected[..., 1] - projected[..., 0])
    cosine = np.abs((_unit(across) * direction).sum(axis=-1))
    of_truth, of_found = _ratio(beside, length), _ratio(beside, cosine * found_length)
    enough = (of_truth >= LEAST_OVERLAP) & (of_found >= LEAST_OVERLAP)
    return np.where(enough, np.minimum((of_truth + of_found) / 2, 1), 0)


def _unit(vectors: Array) -> Array:
    return _ratio(vectors, np.linalg.norm(vectors, axis=-1, keepdims=True))


def _ratio(a: Array, b: Array) -> Array:
    """a / b; 0 where b is 0: a line without length has no direction and covers nothing."""
    a, b = np.broadcast_arrays(a, b)
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)


class Curve(NamedTuple):
    """Recall and precision [N] of all pictures' lines together, by falling score."""

    recall: Array
    precision: Array


def curve(hits: Sequence[Hits], scores: Sequence[ArrayLike], true_lines: int) -> Curve:
    """The curve of pictures' hits and scores; of equal scores the earlier picture's come first.

    Args:
        true_lines: of all pictures, those where nothing was found included; at least 1.
    """
    if true_lines < 1:
        raise ValueError("Without a true line there is no recall.")
    together = np.concatenate([np.zeros(0), *(np.asarray(score, np.float64) for score in scores)])
    right = np.concatenate([np.zeros(0, bool), *hits])
    counted = np.cumsum(right[np.argsort(-together, kind="stable")])
    return Curve(counted / true_lines, counted / np.arange(1, len(counted) + 1))


def average_precision(found: Curve) -> float:
    """Area under the curve's envelope, in [0, 1]: at a recall the best precision from there on."""
    recall = np.concatenate([[0], found.recall, [1]])
    precision = np.concatenate([[0], found.precision, [0]])
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall) * envelope[1:]))


def best_f(found: Curve) -> float:
    """The best F1 on the curve, in [0, 1]: sF for sAP's."""
    total = found.recall + found.precision
    product = 2 * found.recall * found.precision
    return float(_ratio(product, total).max(initial=0))
