"""Whether a pair of pictures shows what its words say, by the cosines of an encoder.

The filters of instruct-pix2pix (Brooks, Holynski, Efros 2023, arXiv:2211.09800), which
SynthTriplets18M takes over. The thresholds are ViT-L's; each encoder has its own.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compodiff.build_config import Common
from vretr.data import triplets
from vretr.data.features import image_features, text_features
from vretr.data.sources import rows
from vretr.encoders.base import Encoder, unit
from vretr.errors import MismatchError
from vretr.paths import display

log = logging.getLogger(__name__)

Vectors = NDArray[np.float32]
KEPT = 0.7  # of true pairs that pass each filter, where thresholds are calibrated
NO_CHANGE = 1e-6  # a shorter difference of vectors has no direction
NAMES = ("img_img", "dir", "ref_txt", "tgt_txt")


@dataclass(frozen=True)
class Thresholds:
    """Least and largest cosines; None: any."""

    min_img_img: float | None = None
    max_img_img: float | None = None
    min_dir: float | None = None
    min_txt: float | None = None


MADE_FOR_VIT_L = Thresholds(0.70, 0.985, 0.20, 0.20)


class Scores(NamedTuple):
    """Cosines float32 [N]: of the pictures, of the changes, of each picture and its words. NaN
    where there are no words, or a difference has no direction."""

    img_img: Vectors
    dir: Vectors
    ref_txt: Vectors
    tgt_txt: Vectors

    def of(self, place: int) -> dict[str, float | None]:
        """One pair's, as a row has them."""
        values = (float(each[place]) for each in self)
        return {
            name: None if np.isnan(value) else value
            for name, value in zip(NAMES, values, strict=True)
        }


def scores(
    reference: Vectors, target: Vectors, words: tuple[Vectors, Vectors] | None = None
) -> Scores:
    """Scores of N pairs: unit vectors [N, dim] of the pictures, and of the words of each."""
    none = np.full(len(target), np.nan, np.float32)
    img_img = _cosine(reference, target)
    if words is None:
        return Scores(img_img, none, none, none)
    pictures, said = target - reference, words[1] - words[0]
    length = np.minimum(np.linalg.norm(pictures, axis=1), np.linalg.norm(said, axis=1))
    direction = np.where(length > NO_CHANGE, _cosine(unit(pictures), unit(said)), np.nan)
    return Scores(
        img_img,
        direction.astype(np.float32),
        _cosine(reference, words[0]),
        _cosine(target, words[1]),
    )


def _cosine(one: Vectors, other: Vectors) -> Vectors:
    return np.einsum("nd,nd->n", one, other)


def reasons(found: Scores, wanted: Thresholds) -> list[str]:
    """Why each pair is left out, or an empty text; the first reason counts."""
    checks: list[tuple[str, NDArray[np.bool_]]] = []
    if wanted.max_img_img is not None:
        checks.append(("pictures too alike", found.img_img > wanted.max_img_img))
    if wanted.min_img_img is not None:
        checks.append(("pictures too different", found.img_img < wanted.min_img_img))
    if wanted.min_dir is not None:
        checks.append(("nothing changes", np.isnan(found.dir)))
        checks.append(("another change than the words say", found.dir < wanted.min_dir))
    if wanted.min_txt is not None:
        checks.append(("reference is not what its words say", ~(found.ref_txt >= wanted.min_txt)))
        checks.append(("target is not what its words say", ~(found.tgt_txt >= wanted.min_txt)))
    result = [""] * len(found.img_img)
    for reason, failed in checks:
        for place in np.flatnonzero(failed).tolist():
            result[place] = result[place] or reason
    return result


def thresholds(config: Common, encoder: Encoder, usual: Thresholds) -> Thresholds:
    """What is given, else what is calibrated, else `usual`.

    Raises:
        MismatchError: the file to calibrate with has no triplets of pictures.
    """
    if config.calibrate is not None:
        usual = calibrated(config.calibrate, encoder, usual)
    elif usual.min_dir is not None and not encoder.name.startswith("ViT-L"):
        log.warning(
            "The filters' thresholds are made for ViT-L and not for %s; give it true triplets by "
            "--calibrate",
            encoder.name,
        )
    given = {
        name: value
        for name in ("min_img_img", "max_img_img", "min_dir", "min_txt")
        if (value := getattr(config, name)) is not None
    }
    return replace(usual, **given)


def calibrated(file: Path, encoder: Encoder, usual: Thresholds) -> Thresholds:
    """Quantiles of true triplets: 70 % of them pass each of the filters."""
    known = triplets.load(file)
    captions = [(row.get("reference_caption"), row.get("target_caption")) for _, row in rows(file)]
    paths = list(dict.fromkeys(p for each in known for p in (each.reference, each.targets[0])))
    place = {path: number for number, path in enumerate(paths)}
    vectors = image_features(encoder, paths)
    reference = vectors[[place[each.reference] for each in known]]
    target = vectors[[place[each.targets[0]] for each in known]]
    words = None
    if all(isinstance(a, str) and isinstance(b, str) for a, b in captions):
        before, after = ([str(caption) for caption in side] for side in zip(*captions, strict=True))
        words = (text_features(encoder, before), text_features(encoder, after))
    found = scores(reference, target, words)
    least = {"min_img_img": _least(found.img_img)}
    if words is None:
        log.warning("%s has no captions, so that only pictures are calibrated", display(file))
    else:
        texts = np.concatenate([found.ref_txt, found.tgt_txt])
        least |= {"min_dir": _least(found.dir), "min_txt": _least(texts)}
    log.warning("Calibrated: %s", json.dumps(least))
    return replace(usual, **least)


def _least(values: Vectors) -> float:
    return round(float(np.nanquantile(values, 1 - KEPT)), 4)


def histograms(collected: Sequence[dict[str, float | None]]) -> dict[str, dict[str, list[float]]]:
    """Counts of each score in twenty steps from the least to the largest."""
    found = {}
    for name in NAMES:
        values = [each[name] for each in collected if each.get(name) is not None]
        if values:
            counts, edges = np.histogram(np.asarray(values, np.float64), bins=20)
            found[name] = {"counts": counts.tolist(), "edges": np.round(edges, 4).tolist()}
    return found


def require(encoder: Encoder) -> None:
    """Raises MismatchError where the encoder cannot judge words."""
    if not encoder.reads_text:
        raise MismatchError(
            f"{encoder.name} reads no words, and filters need an encoder that does."
        )
