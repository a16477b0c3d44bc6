"""Composed retrieval: a picture and words find pictures."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vretr.composers import Composer, load_composer
from vretr.data import triplets
from vretr.data.cir import circo, cirr, fashioniq, genecis
from vretr.data.cir.benchmark import Benchmark, by_gallery
from vretr.data.cir.complete import complete
from vretr.data.features import Picture, Vectors, image_features
from vretr.data.sources import folder_of
from vretr.encoders import Encoder, load_encoder
from vretr.errors import UsageError
from vretr.evaluation.config import CirConfig
from vretr.evaluation.scoring import compose, lists, score
from vretr.images import Preprocessing
from vretr.methods import Report
from vretr.paths import atomic_write, display

Published = Mapping[str, Mapping[str, float]]  # row -> figures by the names that ours have


def evaluate(config: CirConfig) -> Report:
    """Measures a composer on a benchmark, or on a file of triplets.

    Raises:
        UsageError: there is no such composer, or it needs words and the encoder reads none; the
            figures of the split are its server's business and no submission was asked for.
        MismatchError: annotations are missing, malformed or of another benchmark; pictures are
            missing or unreadable.
    """

    def composer(encoder: Encoder) -> Composer:
        return load_composer(config.composer, encoder, picture_weight=config.picture_weight)

    return measure(config, composer)


def measure(
    config: CirConfig,
    composer: Callable[[Encoder], Composer],
    *,
    published: Published | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Report:
    """`evaluate` with a composer of the caller's.

    A composer that sets `reads_lengths` gets references as long as the image tower makes them. What
    its figures depend on it may say as `settings`, a mapping.

    Args:
        composer: makes it, once the encoder is there.
        published: rows of figures to stand beside the measured ones.
        settings: what else the figures depend on.
    """
    benchmark = complete(load(config), allow_missing=config.allow_missing)
    if config.submission is None and not benchmark.queries[0].targets:
        raise UsageError(
            f"The answers of {benchmark.title} are not public: --submission FILE writes what its "
            "server takes."
        )
    if config.submission is not None and benchmark.settings.get("queries_lost"):
        raise UsageError(f"A submission needs every query of {benchmark.title}.")
    encoder = load_encoder(config.encoder, device=config.device, precision=config.precision)
    made = composer(encoder)
    if not encoder.reads_text and config.composer != "image":
        raise UsageError(f"{encoder.name} does not read words; only --composer image works.")
    vectors = _vectors(config, encoder, benchmark.pictures)
    queries = compose(
        made, benchmark.queries, _references(config, encoder, made, benchmark, vectors)
    )
    removed = {"official": None, "removed": True, "kept": False}[config.reference]
    figures: dict[str, float] = {}
    if benchmark.queries[0].targets:
        ranks = score(benchmark, queries, vectors, removed=removed, ties=config.ties)
        figures = benchmark.figures(ranks, benchmark.queries)
    if config.submission is not None and benchmark.submission is not None:
        listed = lists(benchmark, queries, vectors, removed=removed)
        _write(config.submission, benchmark.submission(benchmark.queries, listed))
    return Report(
        dataset=config.dataset,
        split=benchmark.split,
        # Of a group that has lost all its queries there is no figure.
        metrics={name: value for name, value in figures.items() if not math.isnan(value)},
        settings=_settings(config, benchmark, encoder, made) | dict(settings or {}),
        published=published or {},
    )


def load(config: CirConfig) -> Benchmark:
    """The benchmark that is asked for, whether or not all of it is there."""
    if config.kind == "triplets":
        file = Path(config.dataset.partition(":")[2])
        return triplets.benchmark(
            triplets.load(file, root=config.root, allow_missing=True), display(file)
        )
    assert config.root is not None  # CirConfig has seen to it
    root = folder_of(config.root)
    if config.kind == "circo":
        return circo.load(root, config.split)
    if config.kind == "cirr":
        return cirr.load(root, config.split)
    if config.kind == "fashioniq":
        return fashioniq.load(root, config.split, gallery=config.gallery)
    return genecis.load(
        root, tasks=config.genecis_tasks, text=config.genecis_text, crop=config.genecis_crop
    )


def _vectors(
    config: CirConfig, encoder: Encoder, pictures: Sequence[Picture], *, raw: bool = False
) -> Vectors:
    return image_features(
        encoder,
        pictures,
        variant=config.variant,
        preprocessing=_preprocessing(config, encoder),
        raw=raw,
        batch_size=config.batch_size,
        workers=config.workers,
    )


def _preprocessing(config: CirConfig, encoder: Encoder) -> Preprocessing | None:
    if config.preprocess == "clip":
        return None
    try:
        return encoder.preprocessing.target_padded()
    except ValueError as error:
        raise UsageError(f"{encoder.name} takes no --preprocess targetpad: {error}.") from error


def _references(
    config: CirConfig,
    encoder: Encoder,
    composer: Composer,
    benchmark: Benchmark,
    vectors: Vectors,
) -> Vectors:
    """The references' vectors [Q, dim], as the composer wants them."""
    references = [query.reference for query in benchmark.queries]
    if not getattr(composer, "reads_lengths", False):
        return vectors[references]
    place = {number: place for place, number in enumerate(dict.fromkeys(references))}
    raw = _vectors(config, encoder, [benchmark.pictures[number] for number in place], raw=True)
    return raw[[place[number] for number in references]]


def _write(file: Path, contents: Mapping[str, Any]) -> None:
    """JSON files as the servers' own examples have them, each at once or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    for prefix, content in contents.items():
        with atomic_write(file.with_name(prefix + file.name)) as out:
            out.write(json.dumps(content).encode())


def _settings(
    config: CirConfig, benchmark: Benchmark, encoder: Encoder, composer: Composer
) -> dict[str, Any]:
    kept = {"official": benchmark.reference, "removed": "removed", "kept": "kept"}
    settings = {
        "queries": len(benchmark.queries),
        "gallery": _gallery(benchmark),
        **benchmark.settings,
        "reference": benchmark.reference if benchmark.own_galleries else kept[config.reference],
        "preprocess": config.preprocess,
        "composer": composer.name,
        "picture_weight": getattr(composer, "picture_weight", None),
        **getattr(composer, "settings", {}),
        "encoder": encoder.name,
        "identity": encoder.identity,
        "precision": config.precision,
        "ties": config.ties,
        "submission": None if config.submission is None else display(config.submission),
    }
    return {name: value for name, value in settings.items() if value is not None}


def _gallery(benchmark: Benchmark) -> int | str:
    """How many pictures are searched in: "3817 + 6346" by group, "10 to 15" by query."""
    found = [len(gallery) for gallery, _ in by_gallery(benchmark.queries)]
    if len({*found}) == 1:
        return found[0]
    if benchmark.sizes and not benchmark.own_galleries:
        return " + ".join(map(str, found))
    return f"{min(found)} to {max(found)}"
