"""What became of a building: report.json with counts and baselines, examples.html to look at."""

import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from compodiff.building.rows import targets_of
from vretr import images, pages
from vretr.composers import load_composer
from vretr.data import triplets
from vretr.data.features import image_features, text_features
from vretr.data.sources import Row
from vretr.data.triplets import Triplet
from vretr.encoders.base import Encoder, unit
from vretr.evaluation.scoring import compose, score
from vretr.paths import atomic_write, display

log = logging.getLogger(__name__)

QUERIES = 2000  # rows that the baselines are measured on, at most
SUSPICIOUS = 0.6  # of the composed recall: one part of the query gives the target away
TILE, SHOWN = 140, 2  # pixels; targets of an example
_GAP = 4


class Sample:
    """Some of a stream's rows, each as likely as another."""

    def __init__(self, size: int, seed: int) -> None:
        self.size, self.rows, self.count = size, list[Row](), 0
        self.random = Random(seed)

    def put(self, row: Row) -> None:
        """One more row."""
        self.count += 1
        if len(self.rows) < self.size:
            self.rows.append(row)
        elif (place := self.random.randrange(self.count)) < self.size:
            self.rows[place] = row


def baselines(
    sample: Sequence[Row], folder: Path, encoder: Encoder, among: Sequence[Path] | None
) -> dict[str, float]:
    """Recall@1 of the picture alone, the words alone and their weighted sum.

    Of triplets of words, the captions' vectors stand for the pictures.

    Args:
        among: the photos to search in; if not given, those that the sample names.
    """
    base = folder.resolve()

    def there(name: str) -> Path:
        return Path(os.path.normpath(base / name))

    if sample[0]["reference"] is None:
        found = _of_words(sample, encoder)
    else:
        known = [
            Triplet(there(row["reference"]), row["text"], tuple(map(there, targets_of(row))))
            for row in sample
        ]
        benchmark = triplets.benchmark(known, "sample", among=among)
        vectors = image_features(encoder, benchmark.pictures)
        references = vectors[[query.reference for query in benchmark.queries]]
        found = {}
        for name, composer in (("picture alone", "image"), ("words alone", "text"), ("sum", "sum")):
            queries = compose(load_composer(composer, encoder), benchmark.queries, references)
            ranks = score(benchmark, queries, vectors)
            found[name] = benchmark.figures(ranks, benchmark.queries)["recall@1"]
    for name, what in (
        ("words alone", "the instruction gives the target away"),
        ("picture alone", "what changes cannot be seen"),
    ):
        if found["sum"] and found[name] > SUSPICIOUS * found["sum"]:
            log.warning(
                "%s reach a recall@1 of %.3f, picture and words %.3f: in many triplets %s",
                *(name.capitalize(), found[name], found["sum"], what),
            )
    return found


def _of_words(sample: Sequence[Row], encoder: Encoder) -> dict[str, float]:
    captions = [
        text_features(encoder, [row[f"{side}_caption"] for row in sample])
        for side in ("reference", "target")
    ]
    words = text_features(encoder, [row["text"] for row in sample])
    reference, target = captions
    alike = {row["target_caption"]: place for place, row in enumerate(sample)}
    gallery = target[list(alike.values())]
    number = {caption: place for place, caption in enumerate(alike)}
    right = np.array([number[row["target_caption"]] for row in sample])

    def recall(queries: Any) -> float:
        return float(((queries @ gallery.T).argmax(axis=1) == right).mean())

    both = recall(unit(reference + words))
    return {"picture alone": recall(reference), "words alone": recall(words), "sum": both}


def write_json(file: Path, report: Mapping[str, Any]) -> None:
    """The report as JSON that people can read."""
    text = json.dumps(report, indent=2, ensure_ascii=False, default=str)
    with atomic_write(file) as out:
        out.write(text.encode("utf-8", "backslashreplace") + b"\n")


def write_examples(
    file: Path, sample: Sequence[Row], facts: Mapping[str, Any], settings: str
) -> None:
    """A page with triplets: reference, then targets; of words alone, the captions."""
    shown = {name: display(_said(value)) for name, value in facts.items()}
    pictures = []
    for number, row in enumerate(sample, start=1):
        if row["reference"] is None:
            shown[f"{number}"] = display(
                f"{row['reference_caption']} — {row['text']} — {row['target_caption']}"
            )
        else:
            names = [row["reference"], *targets_of(row)[:SHOWN]]
            strip = _strip([file.parent / name for name in names])
            pictures.append((display(row["text"]), pages.thumbnail(strip, size=max(strip.size))))
    text = pages.render(
        "run.html",
        title=display(f"Triplets in {file.parent.name}"),
        facts=shown,
        curves="",
        pictures=pictures,
        config="\n".join(map(display, settings.splitlines())),
    )
    with atomic_write(file) as out:
        out.write(text.encode("utf-8", "replace"))


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_said(each)}" for name, each in value.items()) or "none"
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _strip(paths: Sequence[Path]) -> Image.Image:
    strip = Image.new("RGB", ((TILE + _GAP) * len(paths) + _GAP, TILE), "white")
    for place, path in enumerate(paths):
        picture = images.open(path, target=TILE)
        if isinstance(picture, images.Unreadable):
            log.warning("%s cannot be shown: %s", display(path), picture.reason)
            continue
        left = place * (TILE + _GAP) + (_GAP if place else 0)  # the reference stands apart
        strip.paste(ImageOps.contain(picture, (TILE, TILE)), (left, 0))
    return strip
