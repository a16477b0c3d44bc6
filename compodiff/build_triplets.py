"""`vretr build-triplets`: triplets (picture, words, picture) to train on, from what one has."""

import logging
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import asdict
from itertools import chain, islice
from pathlib import Path
from typing import Any

from compodiff.build_config import BuildConfig
from compodiff.building import report as build_report
from compodiff.building import splitting
from compodiff.building.filters import histograms
from compodiff.building.layouts import writer_of
from compodiff.building.report import Sample
from compodiff.building.rows import Made
from compodiff.building.sources import source_of
from compodiff.building.writing import PICTURES, WORDS, Count, require_folder
from vretr.data.sources import Row
from vretr.encoders import load_encoder
from vretr.encoders.base import Encoder
from vretr.errors import MismatchError, VretrError
from vretr.paths import display, json_fields

log = logging.getLogger(__name__)


def build_triplets(config: BuildConfig) -> list[dict[str, Any]]:
    """Writes the triplets, report.json and examples.html; `docs/triplets.md` lists their fields.

    Returns:
        One row, which the command prints: where the triplets are, and how many.

    Raises:
        MismatchError: the source has nothing that triplets can be made of, or is malformed.
        VretrError: the folder cannot be written to.
    """
    try:
        require_folder(config.out)
    except OSError as problem:
        reason = problem.strerror or problem
        raise VretrError(f"{display(config.out)} cannot be written to: {reason}.") from problem
    encoder = None if config.encoder is None else load_encoder(config.encoder, device=config.device)
    made = source_of(config, encoder)
    count, sample = Count(), Sample(max(build_report.QUERIES, config.examples), config.seed)
    first = next(made.rows, None)
    if first is None:
        raise MismatchError(_nothing(config, made))
    rows = chain([first], made.rows)
    with (
        closing(_split(rows, first, config, made.rejected)) as stream,
        _writer(config, first) as writer,
    ):
        for row in stream:
            writer.put(row)
            count.put(row)
            sample.put(row)
        if not sample.rows:
            raise MismatchError(_nothing(config, made))
    report = _report(config, encoder, made, count, sample, writer.files)
    return [
        {
            **json_fields(writer.files[_first(writer.files)]),
            "kind": "pictures" if first["reference"] is not None else "words",
            "triplets": report["triplets"],
            "splits": report["splits"],
            "rejected": report["rejected"],
        }
    ]


def _split(
    rows: Iterator[Row], first: Row, config: BuildConfig, rejected: Counter[str]
) -> Generator[Row]:
    if first["split"] is not None:  # its source has said it
        return (row for row in rows)
    if config.hold_out_by == "photos":
        return splitting.by_photos(
            rows, val=config.val, test=config.test, seed=config.seed, rejected=rejected
        )
    return splitting.by_components(
        rows, config.out, val=config.val, test=config.test, seed=config.seed
    )


def _writer(config: BuildConfig, first: Row) -> Any:
    name = WORDS if first["reference"] is None else PICTURES
    return writer_of(config.format, config.out, name, seed=config.seed)


def _first(files: dict[str, Path]) -> str:
    return splitting.TRAIN if splitting.TRAIN in files else min(files)


def _nothing(config: BuildConfig, made: Made) -> str:
    left_out = made.rejected.most_common()
    told = [f"{reason}: {count:,}" for reason, count in left_out if count]
    if attributes := made.steps.get("attributes"):
        told.append(f"attributes: {', '.join(attributes)}; choose them by --change and --same")
    what = {
        "captions": "No caption holds a key word that can be swapped",
        "folder": "No two photos differ in one thing alone that can be said in words",
        "generate": "No pair of pictures passed the filters",
        "import": "There is no row that can be used",
    }[config.from_]
    return f"{what} in {display(config.source)}" + (f" ({'; '.join(told)})." if told else ".")


def _report(
    config: BuildConfig,
    encoder: Encoder | None,
    made: Made,
    count: Count,
    sample: Sample,
    files: dict[str, Path],
) -> dict[str, Any]:
    counted = count.to_dict()
    settings = {name: value for name, value in asdict(config).items() if value is not None}
    report: dict[str, Any] = {
        "source": config.from_,
        **counted,
        "files": {split: file.name for split, file in files.items()},
        "steps": made.steps,
        "rejected": {reason: n for reason, n in made.rejected.most_common() if n},
        "scores of a sample": histograms([row["scores"] for row in sample.rows]),
        "settings": settings,
    }
    if encoder is not None and encoder.reads_text:
        rows = sample.rows[: build_report.QUERIES]
        found = build_report.baselines(rows, config.out, encoder, made.among)
        report["recall@1"] = {"encoder": encoder.name, "triplets": len(rows), **found}
    build_report.write_json(config.out / "report.json", report)
    facts = {name: report[name] for name in ("triplets", "splits", "kinds", "rejected")}
    facts |= {"recall@1": report["recall@1"]} if "recall@1" in report else {}
    text = "\n".join(f"{name} = {value}" for name, value in settings.items())
    shown = [*islice(sample.rows, config.examples)]
    build_report.write_examples(config.out / "examples.html", shown, facts, text)
    return report
