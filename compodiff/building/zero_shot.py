"""Attributes of photos that nobody has labelled: what an encoder sees of the key words."""

import logging
from dataclasses import replace

import numpy as np

from compodiff.building.folder import Photos
from compodiff.building.keywords import Table
from vretr.data.features import Vectors
from vretr.encoders.base import Encoder, unit
from vretr.errors import MismatchError

log = logging.getLogger(__name__)

UNSEEN = ""  # no word of the group leads by the margin
_PROMPTS = ("a photo of {}", "a picture of something {}", "{}")


def seen(
    photos: Photos, vectors: Vectors, table: Table, encoder: Encoder, *, margin: float
) -> Photos:
    """The photos with an attribute for each group of words of which at least two values are seen.

    Args:
        vectors: float32 [N, dim] of the photos.
        margin: by how much the cosine of the best word must lead, or the value is unseen.

    Raises:
        MismatchError: nothing is seen.
    """
    rows: list[dict[str, str]] = [{} for _ in photos.paths]
    attributes = []
    for group, meanings in table.groups.items():
        said = [encoder.encode_texts([p.format(each.word) for each in meanings]) for p in _PROMPTS]
        cosines = vectors @ unit(np.mean(said, axis=0)).T
        order = np.sort(cosines, axis=1)
        sure = order[:, -1] - order[:, -2] >= margin
        best = cosines.argmax(axis=1)
        values = [meanings[b].word if s else UNSEEN for b, s in zip(best, sure, strict=True)]
        if len({*values} - {UNSEEN}) < 2:
            continue
        attributes.append(group)
        for row, value in zip(rows, values, strict=True):
            row[group] = value
    if not attributes:
        raise MismatchError(
            f"{encoder.name} is sure of no two words in these photos: lower --margin, or label "
            "them."
        )
    log.warning("%s sees %s; look at examples.html", encoder.name, ", ".join(attributes))
    return replace(photos, rows=rows, attributes=tuple(attributes))
