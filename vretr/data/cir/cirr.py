"""CIRR: real-life photos of NLVR2 in sets of six (Liu et al., ICCV 2021).

    ROOT/cirr/captions/cap.rc2.{val,test1}.json
    ROOT/cirr/image_splits/split.rc2.{val,test1}.json
    ROOT/dev/dev-244-0-img0.png, ROOT/test1/...

`cirr/` may be ROOT itself, and the pictures may lie in `img_raw` of either.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vretr import metrics
from vretr.data.cir.annotations import entries, find, made, read, value, values
from vretr.data.cir.benchmark import Benchmark, Indices, Lists, Numbers, Query, Ranking, Size
from vretr.data.features import Picture
from vretr.data.sources import Row
from vretr.errors import MismatchError
from vretr.metrics import Ranks
from vretr.paths import display

SIZES = {"val": Size(4181, 2297), "test1": Size(4148, 2315)}

MEMBERS = 6  # of a set, the reference among them


def load(root: Path, split: str) -> Benchmark:
    """Reads the annotations; the split `test` is called test1 there.

    Raises:
        MismatchError: files are missing, malformed, or of another benchmark.
    """
    split = "test1" if split == "test" else split
    file = _find(root, f"captions/cap.rc2.{split}.json")
    place, gallery, pictures = _gallery(root, _find(root, f"image_splits/split.rc2.{split}.json"))

    def number(name: str) -> int:
        if name not in place:
            raise ValueError(f"{name} is not in the split's pictures")
        return place[name]

    def query(entry: Row) -> Query:
        reference = value(entry, "reference", str)
        target = value(entry, "target_hard", str) if split == "val" else None
        members = values(value(entry, "img_set", dict), "members", str)
        if len({*members}) != MEMBERS or not {reference, target or reference} <= {*members}:
            raise ValueError(f"members are not {MEMBERS} with the reference and the target")
        return Query(
            id=str(value(entry, "pairid", int)),
            reference=number(reference),
            texts=(value(entry, "caption", str),),
            targets=() if target is None else (number(target),),
            gallery=gallery,
            members=tuple(map(number, members)),
        )

    return Benchmark(
        title=f"CIRR {split}",
        split=split,
        queries=made(file, entries(file, benchmark="cirr"), query),
        pictures=pictures,
        rankings={
            "gallery": Ranking(listed=50),
            "subset": Ranking(among="members", listed=3),
        },
        figures=figures,
        reference="removed",
        sizes={"": SIZES[split]},
        submission=submission,
    )


def figures(ranks: Mapping[str, Ranks], queries: Sequence[Query]) -> dict[str, float]:
    """Recall@k in the gallery, in the subset of the members, and the usual mean of two of them.

    `ranks` are "gallery" and "subset", both without the reference.
    """
    found = metrics.figures(ranks["gallery"], *(f"recall@{k}" for k in (1, 5, 10, 50)))
    subset = metrics.figures(ranks["subset"], *(f"recall@{k}" for k in (1, 2, 3)))
    found |= {f"subset_{name}": value for name, value in subset.items()}
    return {**found, "average": (found["recall@5"] + found["subset_recall@1"]) / 2}


def submission(queries: Sequence[Query], lists: Lists) -> dict[str, Any]:
    """The two files: pair -> the first fifty names, and the first three of the members."""

    def file(ranking: str, metric: str) -> dict[str, Any]:
        found = zip(queries, lists[ranking], strict=True)
        header = {"version": "rc2", "metric": metric}
        return header | {query.id: list(names) for query, names in found}

    return {"": file("gallery", "recall"), "subset_": file("subset", "recall_subset")}


def _find(root: Path, name: str) -> Path:
    return find(root, f"cirr/{name}", name, benchmark="cirr")


def _gallery(root: Path, file: Path) -> tuple[dict[str, int], Indices, list[Picture]]:
    """Names of the split's pictures -> numbers; the numbers; the files."""
    listed = read(file)
    if not isinstance(listed, dict) or not all(isinstance(path, str) for path in listed.values()):
        raise MismatchError(
            f"{display(file)} is no split of CIRR, which names a file for each name."
        )
    numbers = Numbers()
    base = _base(root, [*listed.values()])
    gallery = numbers.gallery(os.path.normpath(base / path) for path in listed.values())
    return dict(zip(listed, gallery.tolist(), strict=True)), gallery, numbers.pictures


def _base(root: Path, paths: Sequence[str]) -> Path:
    """The folder that the pictures' paths begin in; the first one if none has their folder."""
    bases = [root, root / "img_raw", root / "cirr" / "img_raw"]
    folder = os.path.dirname(paths[0]) if paths else ""
    return next((base for base in bases if (base / folder).is_dir()), root)
