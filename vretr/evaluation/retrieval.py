"""Photos by caption and captions by photo; photos by class name, and by photos of their class."""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from vretr import metrics
from vretr.data import captions, labelled, parquet
from vretr.data.features import Vectors, image_features, text_features
from vretr.data.sources import folder_of, rows, table_of
from vretr.encoders import Encoder, load_encoder
from vretr.errors import MismatchError, UsageError
from vretr.evaluation.config import RetrievalConfig
from vretr.methods import Report
from vretr.paths import display

CAPTIONS = "captions"
CAPTION_MEASURES = ("recall@1", "recall@5", "recall@10", "median_rank")
NAME_MEASURES = ("recall@1", "recall@5")
CLASS_MEASURES = ("recall@1", "r_precision", "map@r")


def evaluate(config: RetrievalConfig) -> Report:
    """Measures an encoder on captioned or on labelled photos, whichever the data are.

    Metrics for captions: `text_to_image_…` (each caption is a query, its photo is relevant) and
    `image_to_text_…` (each photo is a query, each of its captions is relevant; the gallery is every
    caption). For classes: `name_to_image_…` (the name in the prompt is the query, every photo of
    the class is relevant), `image_to_name_…` (zero-shot classification; recall@1 is its accuracy)
    and, where classes have several photos, `image_to_image_…` (a photo among all others).

    Raises:
        UsageError: the encoder does not read words, and the data are captions.
        MismatchError: the data are missing or malformed.
    """
    if _is_captioned(config):
        measured, encoder, counts = _by_caption(config)
    else:
        measured, encoder, counts = _by_class(config)
    settings = {
        **counts,
        "encoder": encoder.name,
        "identity": encoder.identity,
        "precision": config.precision,
        "ties": config.ties,
    }
    split = config.split or "all"
    return Report(dataset=display(config.data), split=split, metrics=measured, settings=settings)


Found = tuple[dict[str, float], Encoder, dict[str, Any]]  # metrics, of which encoder, settings


def _is_captioned(config: RetrievalConfig) -> bool:
    if config.label_field is not None or config.captions_field is not None:
        return config.captions_field is not None
    if parquet.files(config.data):
        return True
    table = table_of(folder_of(config.data), captions.TABLE)
    return table is not None and any(CAPTIONS in row for _, row in rows(table))


def _by_caption(config: RetrievalConfig) -> Found:
    field = config.captions_field or CAPTIONS
    photos = captions.load(
        config.data, split=config.split, field=field, image_field=config.image_field
    )
    encoder = _encoder(config)
    if not encoder.reads_text:
        raise UsageError(f"{encoder.name} does not read words, so captions cannot measure it.")
    sentences = list(chain.from_iterable(photo.captions for photo in photos))
    photo_of = np.repeat(np.arange(len(photos)), [len(photo.captions) for photo in photos])
    pictures = _encode(config, encoder, [photo.path for photo in photos])
    texts = text_features(encoder, sentences, variant=config.variant)
    numbers = np.arange(len(photos))
    found = {
        "text_to_image": metrics.ranks_from_labels(
            texts, photo_of, gallery=pictures, gallery_labels=numbers, ties=config.ties
        ),
        "image_to_text": metrics.ranks_from_labels(
            pictures, numbers, gallery=texts, gallery_labels=photo_of, ties=config.ties
        ),
    }
    counts = {"photos": len(photos), "captions": len(sentences), "captions_field": field}
    return _named(found, CAPTION_MEASURES), encoder, counts


def _by_class(config: RetrievalConfig) -> Found:
    data = labelled.load(config.data, split=config.split, field=config.label_field)
    encoder = _encoder(config)
    pictures = _encode(config, encoder, data.paths)
    counts: dict[str, Any] = {"photos": len(data.paths), "classes": len(data.names)}
    measured: dict[str, float] = {}
    if encoder.reads_text:
        prompts = [config.prompt.format(name) for name in data.names]
        names = text_features(encoder, prompts, variant=config.variant)
        numbers = np.arange(len(data.names))
        found = {
            "name_to_image": metrics.ranks_from_labels(
                names, numbers, gallery=pictures, gallery_labels=data.labels, ties=config.ties
            ),
            "image_to_name": metrics.ranks_from_labels(
                pictures, data.labels, gallery=names, gallery_labels=numbers, ties=config.ties
            ),
        }
        measured |= _named(found, NAME_MEASURES)
        counts["prompt"] = config.prompt
    others = metrics.ranks_from_labels(pictures, data.labels, ties=config.ties)
    if len(others.relevant):
        measured |= _named({"image_to_image": others}, CLASS_MEASURES)
        counts["alone_in_their_class"] = others.lone  # no queries of image_to_image
    if not measured:
        raise MismatchError(
            f"{encoder.name} does not read words and every class has one photo: "
            "there is nothing to measure."
        )
    return measured, encoder, counts


def _encoder(config: RetrievalConfig) -> Encoder:
    return load_encoder(config.encoder, device=config.device, precision=config.precision)


def _encode(config: RetrievalConfig, encoder: Encoder, paths: Sequence[Path]) -> Vectors:
    return image_features(
        encoder,
        paths,
        variant=config.variant,
        batch_size=config.batch_size,
        workers=config.workers,
    )


def _named(found: Mapping[str, metrics.Ranks], measures: Sequence[str]) -> dict[str, float]:
    return {
        f"{direction}_{measure}": value
        for direction, ranks in found.items()
        for measure, value in metrics.figures(ranks, *measures).items()
    }
