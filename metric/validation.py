"""What chooses the best step: retrieval among classes that are not trained on."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from metric.config import TrainConfig
from metric.data import look, seen_of
from metric.measuring import measure
from metric.model import Embedder, Learner
from vretr import images
from vretr.data.labelled import Labelled
from vretr.data.sources import refuse_unreadable
from vretr.encoders.backbones import Backbone
from vretr.encoders.base import unit

AT_ONCE = 64  # photos

SELECT = "map@r"


@dataclass(frozen=True)
class HeldOut:
    """Figures of the photos of held-out classes, each searched among all others."""

    data: Labelled
    config: TrainConfig
    backbone: Backbone

    def __call__(self, model: Learner) -> dict[str, float]:
        """`{"recall@1", "r_precision", "map@r"}`"""
        vectors = embed(model.embedder, self.data.paths, self.config, self.backbone)
        return dict(measure(vectors, self.data.labels, ks=(1,)).figures)


def embed(
    embedder: Embedder, paths: Sequence[Path], config: TrainConfig, backbone: Backbone
) -> NDArray[np.float32]:
    """Photos as they are -> float32 [N, dim], unit length.

    Raises:
        MismatchError: photos cannot be read.
    """
    source = _from_views if config.frozen else _from_photos
    embedder.eval()
    with torch.inference_mode():
        found = list(source(embedder, paths, config, backbone))
    return unit(np.concatenate(found))


def _from_views(
    embedder: Embedder, paths: Sequence[Path], config: TrainConfig, backbone: Backbone
) -> Iterator[NDArray[np.float32]]:
    views = look(paths, config, backbone, views=1)
    for start in range(0, len(paths), AT_ONCE):
        some = range(start, min(start + AT_ONCE, len(paths)))
        yield embedder(seen_of(views, some, [0] * len(some))).cpu().numpy()


def _from_photos(
    embedder: Embedder, paths: Sequence[Path], config: TrainConfig, backbone: Backbone
) -> Iterator[NDArray[np.float32]]:
    batches = images.batches(paths, backbone.preprocessing, batch_size=AT_ONCE)
    with closing(batches):  # it owns processes
        for batch in batches:
            refuse_unreadable(batch.unreadable)
            yield embedder(torch.from_numpy(batch.pixels)).cpu().numpy()
