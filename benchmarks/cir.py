"""Evaluation at CIRCO's size: 220 queries in 123,403 photos, from cached features to all figures.

    python benchmarks/cir.py [--data FOLDER] [--photos 123403] [--dim 768] [--rounds 5]

With FOLDER/cir_annotations/circo.zip the queries are the official ones of the val split, else made
up. Photos are empty files and their vectors random (normal, unit length): how long it takes does
not depend on what they are. The features are in vretr's cache on disk and in the system's memory.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch
from zipfile import ZipFile

import numpy as np

from vretr.composers import WeightedSum
from vretr.data.cir import circo
from vretr.data.cir.complete import complete
from vretr.data.features import Vectors, image_features
from vretr.encoders import unit
from vretr.evaluation import scoring
from vretr.images import Batch, File, Preprocessing

QUERIES = 220


class Random:
    """An encoder that takes no time."""

    name, identity, reads_text = "random", "random", True
    preprocessing = Preprocessing(224, (0.5,) * 3, (0.5,) * 3)

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self.draw = np.random.default_rng(0)

    def encode_images(self, images: Sequence[Any]) -> Vectors:
        return unit(self.draw.standard_normal((len(images), self.dim), dtype=np.float32))

    encode_texts = encode_images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("."))
    parser.add_argument("--photos", type=int, default=circo.SIZES["val"].gallery)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    encoder = Random(options.dim)
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, {"VRETR_HOME": folder}):
        root = Path(folder) / "circo"
        official = lay_out(root, options.data / "cir_annotations" / "circo.zip", options.photos)
        with patch("vretr.images.batches", undecoded):
            evaluate(root, encoder)  # fills the cache
        rounds = [evaluate(root, encoder) for _ in range(options.rounds)]
    kind = "official" if official else "made-up"
    print(f"{QUERIES} {kind} queries in {options.photos:,} photos, {options.dim} dimensions; "
          f"median of {options.rounds}, {os.cpu_count()} cores")  # fmt: skip
    print(f"{'':40}  wall s  processor s")
    medians = {
        part: [statistics.median(each[part][clock] for each in rounds) for clock in (0, 1)]
        for part in rounds[0]
    }
    features = [sum(column) for column in zip(*[*medians.values()][2:], strict=True)]
    medians["from cached features to all figures"] = features
    medians["all of it"] = [sum(column) for column in zip(*[*medians.values()][:-1], strict=True)]
    for part, (wall, processor) in medians.items():
        print(f"{part:40} {wall:7.2f} {processor:12.2f}")


def evaluate(root: Path, encoder: Random) -> dict[str, tuple[float, float]]:
    """What `vretr eval cir --dataset circo` does, part by part -> seconds, and of processors."""
    seconds: dict[str, tuple[float, float]] = {}

    def timed(part: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter(), time.process_time()
        result = work()
        seconds[part] = time.perf_counter() - start[0], time.process_time() - start[1]
        return result

    read = timed("annotations and COCO's list of photos", lambda: circo.load(root, "val"))
    whole = timed("whether all photos are there", lambda: complete(read, allow_missing=True))
    vectors = timed("keys and reading of the cached features",
                    lambda: image_features(encoder, whole.pictures))  # fmt: skip
    references = vectors[[query.reference for query in whole.queries]]
    composer = WeightedSum(encoder)
    queries = timed("queries", lambda: scoring.compose(composer, whole.queries, references))
    ranks = timed("ranks", lambda: scoring.score(whole, queries, vectors))
    timed("figures", lambda: whole.figures(ranks, whole.queries))
    return seconds


def undecoded(paths: Sequence[Path], *_: Any, **__: Any) -> Iterator[Batch]:
    """Instead of decoding: as many empty pictures as there are paths."""
    yield Batch([File(path, 0, 0, b"") for path in paths], np.empty((len(paths), 0)), [])


def lay_out(root: Path, archive: Path, photos: int) -> bool:
    """CIRCO's folder with empty photos; whether the annotations are the official ones."""
    draw = np.random.default_rng(0)
    if official := archive.is_file():
        with ZipFile(archive) as file:
            file.extract("annotations/val.json", root)
        entries = json.loads((root / "annotations/val.json").read_bytes())
    else:
        entries = [made_up(number, draw) for number in range(QUERIES)]
        (root / "annotations").mkdir(parents=True)
        (root / "annotations/val.json").write_text(json.dumps(entries))
    named = {entry["reference_img_id"] for entry in entries}
    named |= {photo for entry in entries for photo in entry["gt_img_ids"]}
    others = (int(n) for n in draw.permutation(600_000) if n not in named)
    numbers = sorted({*named, *(next(others) for _ in range(photos - len(named)))})
    folder = root / circo.COCO / "unlabeled2017"
    folder.mkdir(parents=True)
    for number in numbers:
        (folder / f"{number:012d}.jpg").touch()
    (root / circo.LISTED).parent.mkdir()
    (root / circo.LISTED).write_text(json.dumps({"images": [as_listed(n) for n in numbers]}))
    return official


def made_up(number: int, draw: np.random.Generator) -> dict[str, Any]:
    reference, *right = draw.choice(600_000, 5, replace=False).tolist()
    return {
        "id": number, "reference_img_id": reference, "target_img_id": right[0],
        "gt_img_ids": right, "relative_caption": f"is {number}", "semantic_aspects": ["addition"],
    }  # fmt: skip


def as_listed(number: int) -> dict[str, Any]:
    """A photo with all that COCO says of one: the list is of the true length."""
    name = f"{number:012d}.jpg"
    return {
        "license": 1, "file_name": name, "height": 480, "width": 640, "id": number,
        "coco_url": f"http://images.cocodataset.org/unlabeled2017/{name}",
        "date_captured": "2013-11-14 00:00:00",
        "flickr_url": "http://farm8.staticflickr.com/7000/8400000000_0a0a0a0a0a_z.jpg",
    }  # fmt: skip


if __name__ == "__main__":
    main()
