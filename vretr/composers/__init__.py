"""Composers: what turns pictures and words into one query vector of an encoder's space.

    composer = WeightedSum(encoder)
    query = composer.compose(encoder.encode_images([photo]), ["in the snow"])

The weighted sum is the baseline that needs no training; a trained composer has the same face.
"""

from vretr.composers.base import NO_PICTURES, NOTHING, Composer, Negatives, Vectors, Weights
from vretr.composers.loading import BASELINES, default_composer, load_composer
from vretr.composers.sums import (
    NEGATIVE_WEIGHT,
    PICTURE_WEIGHT,
    SLERP_WEIGHT,
    Slerp,
    WeightedSum,
)

__all__ = [
    "BASELINES",
    "NEGATIVE_WEIGHT",
    "NOTHING",
    "NO_PICTURES",
    "PICTURE_WEIGHT",
    "SLERP_WEIGHT",
    "Composer",
    "Negatives",
    "Slerp",
    "Vectors",
    "WeightedSum",
    "Weights",
    "default_composer",
    "load_composer",
]
