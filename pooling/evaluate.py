"""Measures a pooling on labelled photos: `vretr eval pooling --data photos/ --encoder lite+gem`."""

import logging
from typing import Any

import torch
from torch import Tensor

from pooling.config import EvalConfig
from pooling.data import renamed
from pooling.encoder import PoolingEncoder
from pooling.parameters import powers
from pooling.train import figures
from vretr.data.features import image_features
from vretr.data.labelled import load
from vretr.encoders import load_encoder
from vretr.errors import MismatchError
from vretr.methods import Report
from vretr.paths import display

log = logging.getLogger(__name__)


def evaluate(config: EvalConfig) -> Report:
    """Retrieval by any encoder: MAP@R and recall@1 of each photo among the others.

    Of a Run whose classifier knows all the classes, the accuracy too. The paper's tables could not
    be obtained, so no published row stands beside.

    Raises:
        MismatchError: the data are missing or malformed, or there is nothing to measure.
    """
    data = load(config.data, split=config.split, field=config.label_field)
    encoder = load_encoder(config.encoder, device=config.device, precision=config.precision)
    settings: dict[str, Any] = {
        "photos": len(data.paths),
        "classes": len(data.names),
        "encoder": encoder.name,
        "identity": encoder.identity,
        "precision": config.precision,
    }
    trained = isinstance(encoder, PoolingEncoder)
    vectors = torch.from_numpy(
        image_features(
            encoder,
            data.paths,
            variant=config.variant,
            raw=trained,
            batch_size=config.batch_size,
            workers=config.workers,
        )
    )
    scores: Tensor | None = None
    if isinstance(encoder, PoolingEncoder):
        settings |= {"pooling": repr(encoder.model.pool), "p": powers(encoder.model.pool)}
        if unknown := set(data.names) - set(encoder.classes):
            log.warning(
                "No accuracy: the classifier does not know %s of the %s classes.",
                f"{len(unknown):,}",
                f"{len(data.names):,}",
            )
        else:
            data = renamed(data, encoder.classes)
            with torch.inference_mode():
                scores = encoder.model.linear.cpu()(vectors)
    measured = figures(vectors, scores, data)
    if not measured:
        raise MismatchError("Every class has one photo: there is nothing to measure.")
    return Report(
        dataset=display(config.data),
        split=config.split or "all",
        metrics=measured,
        settings=settings,
    )
