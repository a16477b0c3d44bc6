"""GeneCIS: focus on or change an attribute or an object (Vaze et al., CVPR 2023).

    ROOT/genecis/{focus_attribute,change_attribute,focus_object,change_object}.json
    ROOT/coco_val2017/000000121506.jpg     for the objects
    ROOT/vg_100k_all/2370799.jpg           for the attributes, of Visual Genome 1.2

Every query has a few pictures of its own to search in.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from vretr.data.cir.annotations import entries, find, made, value, values
from vretr.data.cir.benchmark import Benchmark, Numbers, Query, Ranking, Size, by_group
from vretr.data.cir.names import TASKS
from vretr.data.features import Picture
from vretr.data.sources import Row
from vretr.images import Region
from vretr.images.region import Growth
from vretr.metrics import Ranks

SIZES = {
    "focus_attribute": Size(2000, 10),
    "change_attribute": Size(2112, 15),
    "focus_object": Size(1960, 15),
    "change_object": Size(1960, 15),
}
NAMES = ("recall@1", "recall@2", "recall@3")

COCO = ("coco_val2017", "val2017", "coco/val2017", "COCO/val2017")
VISUAL_GENOME = ("vg_100k_all", "VG_All", "VG_100K", "VG_100K_2")


def load(
    root: Path,
    *,
    tasks: Sequence[str] = TASKS,
    text: Literal["condition", "zero"] = "condition",
    crop: Growth = "official",
) -> Benchmark:
    """Reads the annotations of some tasks.

    Args:
        text: `zero`: "0" instead of the condition where it is an object, as an error in the
            evaluation of LinCIR's authors has it (branch eval_genecis).
        crop: how the box of an attribute's object grows, see `Region`.

    Raises:
        MismatchError: files are missing, malformed, or of another benchmark.
    """
    numbers, queries = Numbers(), []
    for task in tasks:
        queries += _task(root, task, numbers, text=text, crop=crop)
    return Benchmark(
        title="GeneCIS",
        split="all",
        queries=queries,
        pictures=numbers.pictures,
        rankings={"targets": Ranking()},
        figures=figures,
        reference="not in the gallery",
        sizes={task: SIZES[task] for task in tasks},
        own_galleries=True,
        settings={"tasks": ", ".join(tasks), "text": text, "crop": crop},
    )


def figures(ranks: Mapping[str, Ranks], queries: Sequence[Query]) -> dict[str, float]:
    """Recall@1, 2, 3 of each task; the mean of the four recalls@1 where there are four."""
    asked = [task for task in TASKS if any(task in query.groups for query in queries)]
    found = by_group(ranks["targets"], queries, asked, *NAMES)
    if len(asked) == len(TASKS):
        found["recall@1"] = float(np.mean([found[f"{task}_recall@1"] for task in TASKS]))
    return found


def _task(root: Path, task: str, numbers: Numbers, *, text: str, crop: Growth) -> list[Query]:
    advice = "--genecis-tasks measures some of the tasks only."
    names = f"genecis/{task}.json", f"{task}.json"
    file = find(root, *names, benchmark="genecis", advice=advice)
    is_object = task.endswith("_object")
    picture = _photos(root) if is_object else _regions(root, crop)

    def query(entry: Row) -> Query:
        target = picture(value(entry, "target", dict))
        # The target goes first, and once more where the list of the others has it too, as in one
        # query of change_object.
        candidates = [target, *map(picture, values(entry, "gallery", dict))]
        gallery = numbers.gallery(candidates)
        return Query(
            id=task,
            reference=numbers.of(picture(value(entry, "reference", dict))),
            texts=("0" if is_object and text == "zero" else value(entry, "condition", str),),
            targets=(int(gallery[0]),),
            gallery=gallery,
            groups=(task,),
        )

    return made(file, entries(file, benchmark="genecis"), query)


def _photos(root: Path) -> Callable[[Row], Picture]:
    """Entry of COCO's photo -> file."""
    folder = next((root / name for name in COCO if (root / name).is_dir()), root / COCO[0])
    return lambda entry: f"{folder}/{value(entry, 'val_image_id', int):012d}.jpg"


def _regions(root: Path, crop: Growth) -> Callable[[Row], Picture]:
    """Entry of an object in Visual Genome -> region of a file."""
    folders = [root / name for name in VISUAL_GENOME if (root / name).is_dir()]
    files: dict[str, str] = {}

    def file(image: str) -> str:
        paths = [f"{folder}/{image}.jpg" for folder in folders or [root / VISUAL_GENOME[0]]]
        return next((path for path in paths if Path(path).is_file()), paths[0])

    def region(entry: Row) -> Region:
        image = str(value(entry, "image_id", str | int))  # type: ignore[arg-type]
        box = values(entry, "instance_bbox", float | int)  # type: ignore[arg-type]
        if len(box) != 4:
            raise ValueError(f"instance_bbox has {len(box)} numbers, not 4")
        if image not in files:
            files[image] = file(image)
        left, top, width, height = map(float, box)
        return Region(files[image], (left, top, width, height), growth=crop)

    return region
