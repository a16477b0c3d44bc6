"""Mined pairs become rows: trivial and unfit photos are left out, the change is said in words."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compodiff.build_config import BuildConfig
from compodiff.building import drawing, filters
from compodiff.building.filters import Thresholds
from compodiff.building.folder import Photos
from compodiff.building.lookalikes import Signature
from compodiff.building.mining import Mined
from compodiff.building.phrasings import phrase
from compodiff.building.rows import row
from vretr.data.features import Vectors
from vretr.data.sources import Row
from vretr.encoders.base import Encoder

_BLOCK = 256  # photos whose neighbours are looked for at a time


class Judge(NamedTuple):
    """What is known of the photos beside their labels; None: not known.

    Attributes:
        signature: little pictures, where there are no vectors.
        vectors: float32 [N, dim] of an encoder.
        near: the nearest photos of each, int64 [N, K], sorted by number.
        wanted: the least and largest scores.
        words: vectors of what the changes go from and to, by text.
    """

    signature: Signature | None = None
    vectors: Vectors | None = None
    near: NDArray[np.int64] | None = None
    wanted: Thresholds = Thresholds()
    words: dict[str, Vectors] | None = None


def neighbours(vectors: Vectors, count: int) -> NDArray[np.int64]:
    """The `count` nearest other photos of each, by number."""
    count = min(count, len(vectors) - 1)
    rows = []
    for start in range(0, len(vectors), _BLOCK):
        cosines = vectors[start : start + _BLOCK] @ vectors.T
        own = np.arange(len(cosines))
        cosines[own, start + own] = -np.inf
        rows.append(np.sort(np.argpartition(-cosines, count - 1, axis=1)[:, :count], axis=1))
    return np.concatenate(rows)


def words_of(mined: Iterable[Mined], encoder: Encoder) -> dict[str, Vectors]:
    """A vector for every text that stands for a picture: its caption, or its attribute's value."""
    texts = sorted({text for each in mined for text in _said(each)})
    return dict(zip(texts, encoder.encode_texts(texts), strict=True)) if texts else {}


def _said(mined: Mined) -> tuple[str, str]:
    if mined.captions[0] and mined.captions[1]:
        return mined.captions[0], mined.captions[1]
    return " ".join(each.a for each in mined.edits), " ".join(each.b for each in mined.edits)


def rows_of(
    mined: Iterable[Mined],
    photos: Photos,
    names: Sequence[str],
    judge: Judge,
    config: BuildConfig,
    rejected: Counter[str],
) -> Iterator[Row]:
    """The triplets; `rejected` counts the targets (and the triplets) that are left out, by reason.

    Args:
        names: of the photos, as the rows have them.
    """
    # Not the whole paths: the same photos give the same triplets wherever they lie.
    keys = [f"{path.name} {number}" for number, path in enumerate(photos.paths)]
    seen: set[int] = set()
    for (number, kinds), group in groupby(mined, key=lambda m: (m.reference, _kinds(m))):
        of_reference = []
        for each in group:
            targets, scores = _fitting(each, photos, keys, judge, config, rejected)
            if len(targets):
                of_reference.append((each, targets, scores))
        kept = drawing.some(
            of_reference, config.per_reference, config.seed, "reference", keys[number], kinds
        )
        rejected["enough of this photo"] += len(of_reference) - len(kept)
        for each, targets, scores in kept:
            first = each.edits[0]
            text = phrase(each.edits, config.seed, keys[number], first.a, first.b)
            made = row(
                reference=names[number],
                targets=[names[target] for target in targets],
                text=text,
                captions=each.captions,
                edits=each.edits,
                source="mine",
                scores=scores,
                seed=config.seed,
            )
            if (digest := int(made["id"], 16)) in seen:
                rejected["triplet seen before"] += 1
                continue
            seen.add(digest)
            yield made


def _kinds(mined: Mined) -> str:
    return "+".join(edit.attribute or edit.kind for edit in mined.edits)


def _fitting(
    mined: Mined,
    photos: Photos,
    keys: Sequence[str],
    judge: Judge,
    config: BuildConfig,
    rejected: Counter[str],
) -> tuple[list[int], dict[str, float | None]]:
    """The targets that are left, the nearest first where that is known, and the first's scores."""
    targets, reference = np.array(mined.targets), mined.reference
    scores: dict[str, float | None] = {}

    def keep(mask: NDArray[np.bool_], reason: str) -> None:
        nonlocal targets
        if lost := len(targets) - int(mask.sum()):
            rejected[reason] += lost
            targets = targets[mask]

    for column in config.apart:
        value = photos.rows[reference][column]
        others = [photos.rows[target][column] != value for target in targets.tolist()]
        keep(np.array(others, bool), f"same {column}")
    if judge.signature is not None and len(targets):
        keep(~judge.signature.alike(reference, targets), "pictures too alike")
    if judge.near is not None and len(targets):
        keep(np.isin(targets, judge.near[reference]), "no neighbour")
    if judge.vectors is not None and len(targets):
        own = np.tile(judge.vectors[reference], (len(targets), 1))
        words = None
        if judge.words:
            before, after = (judge.words[text] for text in _said(mined))
            words = (np.tile(before, (len(targets), 1)), np.tile(after, (len(targets), 1)))
        found = filters.scores(own, judge.vectors[targets], words)
        why = filters.reasons(found, judge.wanted)
        rejected.update(reason for reason in why if reason)
        fit = np.flatnonzero([not reason for reason in why])
        best = fit[np.argsort(-found.img_img[fit], kind="stable")][: config.targets]
        rejected["enough targets"] += len(fit) - len(best)
        if len(best):
            scores = found.of(int(best[0]))
        return targets[best].tolist(), scores
    chosen = drawing.some(
        targets.tolist(), config.targets, config.seed, "targets", keys[reference], mined.edits[0].b
    )
    rejected["enough targets"] += len(targets) - len(chosen)
    return chosen, scores
