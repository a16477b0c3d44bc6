"""FashionIQ: dresses, shirts and tops, each category by itself (Wu et al., CVPR 2021).

    ROOT/captions/cap.{dress,shirt,toptee}.val.json
    ROOT/image_splits/split.{dress,shirt,toptee}.val.json
    ROOT/images/B0084Y8XIU.jpg (or .png, .jpeg)

Captions may lie in `json` instead.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from vretr.data.cir.annotations import entries, find, made, read, value, values
from vretr.data.cir.benchmark import Benchmark, Numbers, Query, Ranking, Size, by_group
from vretr.data.sources import Row
from vretr.errors import MismatchError, UsageError
from vretr.metrics import Ranks
from vretr.paths import display

CATEGORIES = ("dress", "shirt", "toptee")
SUFFIXES = (".jpg", ".png", ".jpeg")
NAMES = ("recall@10", "recall@50")

SIZES = {
    "original": {"dress": Size(2017, 3817), "shirt": Size(2038, 6346), "toptee": Size(1961, 5373)},
    "val": {"dress": Size(2017, 2628), "shirt": Size(2038, 3089), "toptee": Size(1961, 2902)},
}


def load(root: Path, split: str, *, gallery: Literal["original", "val"] = "original") -> Benchmark:
    """Reads the annotations of the three categories.

    Args:
        gallery: `original`: every picture of a category's split (LinCIR, SEARLE, Pic2Word); `val`:
            only those that are a reference or a target (VAL, RTIC, CoSMo).

    Raises:
        UsageError: the split is `test`, whose targets nobody has.
        MismatchError: files are missing, malformed, or of another benchmark.
    """
    if split != "val":
        raise UsageError("The targets of FashionIQ's test split were never released: --split val.")
    numbers, queries = Numbers(), []
    for category in CATEGORIES:
        queries += _category(root, category, gallery, numbers)
    return Benchmark(
        title="FashionIQ val",
        split=split,
        queries=queries,
        pictures=numbers.pictures,
        rankings={"targets": Ranking()},
        figures=figures,
        reference="kept",
        sizes=SIZES[gallery],
        settings={
            "protocol": {"original": "original split", "val": "VAL split"}[gallery],
            "text": "both orders of the two captions, averaged",
        },
    )


def figures(ranks: Mapping[str, Ranks], queries: Sequence[Query]) -> dict[str, float]:
    """Recall@10 and @50 of each category, the means over the categories, and the mean of both."""
    found = by_group(ranks["targets"], queries, CATEGORIES, *NAMES)
    means = {
        name: float(np.mean([found[f"{category}_{name}"] for category in CATEGORIES]))
        for name in NAMES
    }
    return {**found, **means, "average": float(np.mean([*means.values()]))}


def both_orders(first: str, second: str) -> tuple[str, str]:
    """The two captions as one sentence, and the other way round (LinCIR, SEARLE)."""
    first, second = first.strip(".?, "), second.strip(".?, ")
    return f"{first} and {second}", f"{second} and {first}"


def _category(root: Path, category: str, gallery: str, numbers: Numbers) -> list[Query]:
    name = f"cap.{category}.val.json"
    file = find(root, f"captions/{name}", f"json/{name}", benchmark="fashioniq")
    split = find(root, f"image_splits/split.{category}.val.json", benchmark="fashioniq")
    listed = read(split)
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise MismatchError(f"{display(split)} is no split of FashionIQ, which is a list of names.")
    annotated = entries(file, benchmark="fashioniq")
    if gallery == "val":
        used = {entry.get(part) for entry in annotated for part in ("candidate", "target")}
        listed = [each for each in listed if each in used]
    files = {each: _file(root / "images", each) for each in listed}
    searched = numbers.gallery(files.values())
    place = dict(zip(files, searched.tolist(), strict=True))

    def number(entry: Row, part: str) -> int:
        picture = value(entry, part, str)
        if picture not in place:
            raise ValueError(f"the {part} {picture} is not in the split's pictures")
        return place[picture]

    def query(entry: Row) -> Query:
        captions = values(entry, "captions", str)
        if len(captions) != 2:
            raise ValueError(f"{len(captions)} captions, not 2")
        return Query(
            id=f"{entry.get('candidate')}-{entry.get('target')}",
            reference=number(entry, "candidate"),
            texts=both_orders(*captions),
            targets=(number(entry, "target"),),
            gallery=searched,
            groups=(category,),
        )

    return made(file, annotated, query)


def _file(folder: Path, name: str) -> str:
    """The picture with the first ending that is there, or else with the usual one."""
    paths = [f"{folder}/{name}{suffix}" for suffix in SUFFIXES]
    return next((path for path in paths if Path(path).is_file()), paths[0])
