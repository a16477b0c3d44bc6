"""CIRCO: open-domain photos of COCO, several right ones for a query (Baldrati et al., ICCV 2023).

ROOT/annotations/{val,test}.json
ROOT/COCO2017_unlabeled/annotations/image_info_unlabeled2017.json
ROOT/COCO2017_unlabeled/unlabeled2017/000000243611.jpg ...
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vretr import metrics
from vretr.data.cir.annotations import entries, find, made, read, value, values
from vretr.data.cir.benchmark import Benchmark, Lists, Numbers, Query, Ranking, Size, by_group
from vretr.data.sources import Row
from vretr.errors import MismatchError
from vretr.metrics import Ranks
from vretr.paths import display

DEPTHS = (5, 10, 25, 50)

ASPECTS = (
    "cardinality",
    "addition",
    "negation",
    "direct_addressing",
    "compare_change",
    "comparative_statement",
    "statement_with_conjunction",
    "spatial_relations_background",
    "viewpoint",
)

SIZES = {"val": Size(220, 123_403), "test": Size(800, 123_403)}

COCO = "COCO2017_unlabeled"
LISTED = f"{COCO}/annotations/image_info_unlabeled2017.json"
ADVICE = "It is COCO's own list of the photos, image_info_unlabeled2017.zip on cocodataset.org."


def load(root: Path, split: str) -> Benchmark:
    """Reads the annotations; the gallery is COCO's whole unlabelled set, references included.

    Raises:
        MismatchError: files are missing, malformed, or of another benchmark.
    """
    file = find(root, f"annotations/{split}.json", benchmark="circo")
    listed = find(root, LISTED, benchmark="circo", advice=ADVICE)
    folder = str(root / COCO / "unlabeled2017")
    photos = _photos(listed)
    numbers = Numbers()
    numbers.pictures = [f"{folder}/{name}" for name in photos.values()]
    gallery = np.arange(len(photos))
    place = dict(zip(photos, gallery.tolist(), strict=True))

    def number(photo: int) -> int:
        known = place.get(photo)  # what is not listed is not searched
        return numbers.of(f"{folder}/{photo:012d}.jpg") if known is None else known

    def query(entry: Row) -> Query:
        targets = values(entry, "gt_img_ids", int) if split == "val" else []
        if split == "val" and (len({*targets}) < len(targets) or not targets):
            raise ValueError("gt_img_ids is empty or names a photo twice")
        if targets and value(entry, "target_img_id", int) != targets[0]:
            raise ValueError("target_img_id is not the first of gt_img_ids")
        return Query(
            id=str(value(entry, "id", int)),
            reference=number(value(entry, "reference_img_id", int)),
            texts=(value(entry, "relative_caption", str),),
            targets=tuple(map(number, targets)),
            gallery=gallery,
            groups=tuple(values(entry, "semantic_aspects", str)) if split == "val" else (),
        )

    return Benchmark(
        title=f"CIRCO {split}",
        split=split,
        queries=made(file, entries(file, benchmark="circo"), query),
        pictures=numbers.pictures,
        rankings={"truths": Ranking(listed=max(DEPTHS)), "target": Ranking(targets="first")},
        figures=figures,
        reference="kept",
        sizes={"": SIZES[split]},
        submission=submission,
        settings={"text": "relative_caption"},
    )


def figures(ranks: Mapping[str, Ranks], queries: Sequence[Query]) -> dict[str, float]:
    """mAP@k over all right photos, recall@k of the annotated target, mAP@10 of each aspect.

    `ranks` are "truths", of all right photos, and "target". A query counts for each of its aspects.
    """
    return {
        **metrics.figures(ranks["truths"], *(f"map@{k}" for k in DEPTHS)),
        **metrics.figures(ranks["target"], *(f"recall@{k}" for k in DEPTHS)),
        **by_group(ranks["truths"], queries, ASPECTS, "map@10"),
    }


def submission(queries: Sequence[Query], lists: Lists) -> dict[str, Any]:
    """The one file: query -> the first fifty photos' numbers."""
    found = zip(queries, lists["truths"], strict=True)
    return {"": {query.id: [int(name) for name in names] for query, names in found}}


def _photos(file: Path) -> dict[int, str]:
    """COCO's numbers of the gallery's photos -> their files' names."""
    try:
        listed = read(file)["images"]
        photos = {int(photo["id"]): str(photo["file_name"]) for photo in listed}
    except (KeyError, TypeError, ValueError) as error:
        raise MismatchError(
            f"{display(file)} is no list of COCO's images, each with an id and a file_name."
        ) from error
    if len(photos) < len(listed):
        raise MismatchError(f"{display(file)} lists {len(listed) - len(photos)} photos twice.")
    return photos
