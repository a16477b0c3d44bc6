"""Pictures for text triplets: several pairs are drawn for each, filtered, and the best are kept."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from compodiff.build_config import BuildConfig
from compodiff.building import filters, pipelines, tables
from compodiff.building.filters import MADE_FOR_VIT_L, Scores, Thresholds
from compodiff.building.journal import Journal
from compodiff.building.phrasings import Edit
from compodiff.building.pipelines import Asked, Pipeline
from compodiff.building.rows import Made, row
from compodiff.building.splitting import TRAIN
from vretr.data.sources import Row, refuse, refuse_missing
from vretr.encoders.base import Encoder
from vretr.errors import UsageError
from vretr.paths import atomic_write, display
from vretr.progress import progress

PICTURES, JOURNAL = "pictures", "journal.jsonl"


def of_text_triplets(config: BuildConfig, encoder: Encoder | None) -> Made:
    """Draws what was not drawn by an earlier run with the same options and --out.

    Raises:
        UsageError: filters without an encoder.
        MismatchError: the file is malformed, or --out holds another generation.
    """
    if config.filter and encoder is None:
        raise UsageError("Filters need an encoder that judges: --encoder NAME, or --no-filter.")
    listed = _read(config)
    wanted = Thresholds()
    if encoder is not None:
        filters.require(encoder)
        usual = MADE_FOR_VIT_L if config.filter else Thresholds()
        wanted = filters.thresholds(config, encoder, usual)
    rejected: Counter[str] = Counter()
    steps = {"text triplets": len(listed), "pairs drawn": 0, "thresholds": asdict(wanted)}
    rows = _rows(listed, config, encoder, wanted, steps, rejected)
    return Made(rows, steps, rejected)


def _read(config: BuildConfig) -> list[Row]:
    listed: list[Row] = []
    wrong: list[str] = []
    needed = ("id", "text", "reference_caption", "target_caption")
    for number, each in tables.rows(config.source):
        if config.limit and len(listed) == config.limit:
            break
        if all(isinstance(each.get(name), str) and each[name] for name in needed):
            listed.append(each)
        else:
            wrong.append(f"line {number}")
    refuse(config.source, wrong, what=f"lines without {', '.join(needed)}")
    if config.way == "instruct":
        named = [each.get("reference") for each in listed]
        if not all(isinstance(name, str) for name in named):
            raise UsageError(
                f"--way instruct edits photos, and {display(config.source)} has rows without a "
                "reference."
            )
        refuse_missing(config.source, [config.source.parent / str(name) for name in named])
    return listed


def _rows(
    listed: list[Row],
    config: BuildConfig,
    encoder: Encoder | None,
    wanted: Thresholds,
    steps: dict[str, Any],
    rejected: Counter[str],
) -> Iterator[Row]:
    (config.out / PICTURES).mkdir(exist_ok=True)
    about = _about(config, encoder, wanted)
    pipeline = None
    with (
        Journal(config.out / JOURNAL, about) as journal,
        progress(len(listed), "Drawing", done=0) as bar,
    ):
        for each in listed:
            if each["id"] not in journal.done:
                pipeline = pipeline or pipelines.load(config)
                journal.add(each["id"], _drawn(each, pipeline, config, encoder, wanted))
            piece = journal.done[each["id"]]
            rejected.update(piece["rejected"])
            steps["pairs drawn"] += config.samples
            yield from _kept(each, piece, config)
            bar.advance()


def _about(config: BuildConfig, encoder: Encoder | None, wanted: Thresholds) -> dict[str, Any]:
    """What the pictures depend on: with other values, --out cannot be gone on with."""
    names = ("seed", "samples", "keep", "filter", "dry_run", "way", "steps", "size", "strength")
    more = ("guidance_text", "guidance_image")
    return {
        **{name: getattr(config, name) for name in (*names, *more)},
        "pipeline": None if config.pipeline is None else str(config.pipeline.resolve()),
        "encoder": None if encoder is None else encoder.identity,
        "thresholds": asdict(wanted),
    }


def _drawn(
    each: Row,
    pipeline: Pipeline,
    config: BuildConfig,
    encoder: Encoder | None,
    wanted: Thresholds,
) -> dict[str, Any]:
    """Draws, filters and writes the pairs of one row."""
    photo = each.get("reference")
    seeds = [pipelines.seed_of(config.seed, each["id"], n) for n in range(config.samples)]
    pairs = [
        pipeline.pair(
            Asked(
                each["reference_caption"],
                each["target_caption"],
                each["text"],
                config.source.parent / photo if isinstance(photo, str) else None,
                seed,
            )
        )
        for seed in seeds
    ]
    places, found, rejected = list(range(len(pairs))), None, Counter[str]()
    if encoder is not None:
        found = _scores(each, pairs, encoder)
        why = filters.reasons(found, wanted)
        rejected.update(reason for reason in why if reason)
        places = [place for place in places if not why[place]]
        places.sort(key=lambda place: (-np.nan_to_num(found.dir[place], nan=-2.0), place))
    rejected["others of the pair are better"] += max(0, len(places) - config.keep)
    kept = []
    for place in places[: config.keep]:
        names = [f"{PICTURES}/{each['id']}-{place}-{side}.png" for side in ("a", "b")]
        for name, picture in zip(names, pairs[place], strict=True):
            with atomic_write(config.out / name) as file:
                picture.save(file, "PNG")
        scores = {} if found is None else found.of(place)
        kept.append({"pictures": names, "scores": scores, "seed": seeds[place]})
    return {"kept": kept, "rejected": dict(rejected)}


def _scores(each: Row, pairs: list[tuple[Any, Any]], encoder: Encoder) -> Scores:
    before, after = encoder.encode_texts([each["reference_caption"], each["target_caption"]])
    many = (len(pairs), 1)
    return filters.scores(
        encoder.encode_images([first for first, _ in pairs]),
        encoder.encode_images([second for _, second in pairs]),
        (np.tile(before, many), np.tile(after, many)),
    )


def _kept(each: Row, piece: dict[str, Any], config: BuildConfig) -> Iterator[Row]:
    told = each.get("edit")
    edits = [
        Edit(edit["kind"], edit.get("attribute") or "", edit["from"], edit["to"])
        for edit in (told if isinstance(told, list) else [told])
        if isinstance(edit, dict)
    ]
    for number, pair in enumerate(piece["kept"]):
        reference, target = pair["pictures"]
        yield row(
            reference=reference,
            targets=[target],
            text=each["text"],
            captions=(each["reference_caption"], each["target_caption"]),
            edits=edits,
            source="generate",
            scores=pair["scores"],
            seed=pair["seed"],
            name=f"{each['id']}-{number}",
            split=each.get("split") or TRAIN,
        )
