"""How well an encoder tells unseen classes apart, with the papers' figures beside ours."""

import csv
import io
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metric import clustering
from metric.config import EvalConfig, TrainConfig
from metric.layouts import Benchmark, load
from metric.measuring import Measured, measure
from metric.published import rows
from metric.splits import joined
from vretr.data.features import Vectors, image_features
from vretr.data.labelled import Labelled
from vretr.encoders import Encoder, load_encoder
from vretr.errors import UsageError
from vretr.methods import Report
from vretr.paths import atomic_write, display
from vretr.training import Run

log = logging.getLogger(__name__)

KS: Mapping[str, tuple[int, ...]] = {"sop": (1, 10, 100, 1000), "inshop": (1, 10, 20, 40)}


def evaluate(config: EvalConfig) -> Report:
    """Measures an encoder, trained for it or not.

    Metrics: `recall@K`, `r_precision`, `map@r`, and on request `nmi` (arithmetic mean of the
    entropies, as many clusters as classes).

    Raises:
        UsageError: there is no such encoder, or a set's root is missing.
        MismatchError: data are missing, malformed, unreadable or too few; vectors are not finite.
    """
    data = load(
        config.data,
        root=config.root,
        label_field=config.label_field,
        test_classes=config.test_classes,
        allow_shared_classes=config.allow_shared_classes,
    )
    queries, gallery = parts(data, config.split)
    encoder = load_encoder(config.encoder, device=config.device, precision=config.precision)
    trained = _trained(config)
    vectors = _encode(config, encoder, queries)
    searched = None if gallery is None else _encode(config, encoder, gallery)
    measured = measure(
        vectors,
        queries.labels,
        gallery=searched,
        gallery_labels=None if gallery is None else gallery.labels,
        ks=config.k or KS.get(config.data, (1, 2, 4, 8)),
        ties=config.ties,
    )
    figures = dict(measured.figures)
    settings: dict[str, Any] = {
        "queries": measured.queries,
        "gallery": len(queries.paths if gallery is None else gallery.paths),
        "classes": len(measured.classes),
        "lone_queries": measured.lone,
        "exact_duplicates": measured.duplicates,
        **data.settings,
        "encoder": encoder.name,
        "identity": encoder.identity,
        "precision": config.precision,
        "ties": config.ties,
        **({} if trained is None else {"chosen_on": _chosen_on(trained)}),
    }
    if config.nmi:
        items, of = (
            (vectors, queries) if searched is None or gallery is None else (searched, gallery)
        )
        figures["nmi"] = _nmi(items, of.labels, config.seed)
        settings["k_means"] = f"faiss, all vectors, {clustering.ROUNDS} rounds, seed {config.seed}"
    if config.per_class is not None:
        _write_classes(config.per_class, measured, queries.names)
    if config.page is not None:
        _write_page(config, figures, settings, queries, vectors, gallery, searched)
    return Report(
        dataset=display(config.data),
        split=config.split,
        metrics=figures,
        settings=settings,
        published=rows(config.data, "norm-softmax" if trained is None else trained.loss)
        if config.split == "test"
        else {},
    )


def parts(data: Benchmark, split: str) -> tuple[Labelled, Labelled | None]:
    """What is searched with, and in what, if not among itself."""
    if split == "test":
        return data.test, data.gallery
    if split == "train":
        return data.train, None
    whole = joined(data.train, data.test)
    return (whole if data.gallery is None else joined(whole, data.gallery)), None


def _encode(config: EvalConfig, encoder: Encoder, data: Labelled) -> Vectors:
    return image_features(
        encoder,
        data.paths,
        variant=config.variant,
        batch_size=config.batch_size,
        workers=config.workers,
    )


def _nmi(vectors: Vectors, labels: NDArray[np.int64], seed: int) -> float:
    count = len(np.unique(labels))
    return clustering.nmi(labels, clustering.clusters(vectors, count, seed=seed))


def _trained(config: EvalConfig) -> TrainConfig | None:
    """How the encoder was trained, where it is a Run of this method."""
    if not (Path(config.encoder) / "run.json").is_file():
        return None
    run = Run.open(Path(config.encoder))
    if run.method != "metric":
        return None
    trained = run.config(TrainConfig)
    assert isinstance(trained, TrainConfig)
    if trained.choose_on == "test":
        log.warning(
            "%s was chosen on its test classes: its figures on them are too good.",
            display(config.encoder),
        )
    drawn = ("label_field", "test_classes")
    if trained.data == config.data and any(
        getattr(trained, name) != getattr(config, name) for name in drawn
    ):
        log.warning(
            "%s was trained with another --label-field or --test-classes: it may have seen "
            "classes that are tested here.",
            display(config.encoder),
        )
    return trained


def _chosen_on(trained: TrainConfig) -> str:
    if trained.choose_on == "test":
        return "test classes"
    return "held-out training classes" if trained.val_classes else "nothing, the last step"


def _write_classes(file: Path, measured: Measured, names: Sequence[str]) -> None:
    """class, queries, and a column a measure."""
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["class", "queries", *measured.by_class])
    for place, label in enumerate(measured.classes.tolist()):
        values = [f"{values[place]:.6f}" for values in measured.by_class.values()]
        table.writerow([names[label], int(measured.queries_of[place]), *values])
    _write(file, text.getvalue())


def _write_page(
    config: EvalConfig,
    figures: Mapping[str, float],
    settings: Mapping[str, Any],
    queries: Labelled,
    vectors: Vectors,
    gallery: Labelled | None,
    searched: Vectors | None,
) -> None:
    from metric.strips import strips
    from vretr import pages
    from vretr.report import THUMBNAIL

    assert config.page is not None
    others = None
    if gallery is not None and searched is not None:
        others = gallery.paths, searched, gallery.labels
    shown = strips(queries.paths, vectors, queries.labels, queries.names, gallery=others)
    text = pages.render(
        "run.html",
        title=f"{settings['encoder']} on {display(config.data)}, {config.split}",
        facts={name: f"{value:.4f}" for name, value in figures.items()},
        curves="",
        pictures=[(caption, pages.thumbnail(image, size=THUMBNAIL)) for caption, image in shown],
        config="\n".join(f"{name}: {value}" for name, value in settings.items()),
    )
    _write(config.page, text)


def _write(file: Path, text: str) -> None:
    try:
        with atomic_write(file) as out:
            out.write(text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise UsageError(f"{display(file)} cannot be written: {error.strerror}.") from error
