"""How photos and their classes become batches: from pictures, or from a frozen tower's views."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metric.config import TrainConfig
from metric.sampling import Balanced
from vretr.data.labelled import Labelled
from vretr.data.views import Pool, Views, random_crops
from vretr.encoders.backbones import Backbone, Tokens
from vretr.poolings import make_pooling

Seen = Tokens | Tensor  # tokens; uint8 pixels [B, 3, S, S]; or vectors [B, W], pooled already


class FromViews:
    """Numbers of photos -> (seen, labels): a random view of each, of what a frozen tower told."""

    def __init__(self, views: Views, labels: NDArray[np.int64]) -> None:
        self.views, self.labels = views, torch.from_numpy(labels)

    def __call__(self, numbers: Sequence[int]) -> tuple[Seen, Tensor]:
        drawn = torch.randint(self.views.count, (len(numbers),)).tolist()
        return seen_of(self.views, numbers, drawn), self.labels[list(numbers)]


class FromPhotos:
    """Numbers of photos -> (uint8 pixels [B, 3, S, S], labels): a random crop, perhaps mirrored."""

    def __init__(self, data: Labelled, backbone: Backbone, least: float) -> None:
        self.paths, self.labels = data.paths, torch.from_numpy(data.labels)
        self.preprocessing, self.area = backbone.preprocessing, (least, 1.0)

    def __call__(self, numbers: Sequence[int]) -> tuple[Tensor, Tensor]:
        files = [self.paths[number] for number in numbers]
        pixels = random_crops(files, self.preprocessing, area=self.area)
        return torch.from_numpy(pixels), self.labels[list(numbers)]


class Numbers:
    """A map-style data set of the numbers 0 to N - 1: what reads them is the collate function."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> int:
        return number


def source(data: Labelled, config: TrainConfig, backbone: Backbone) -> tuple[Any, Any]:
    """(data set, collate) for `vretr.training.fit`."""
    read: FromViews | FromPhotos
    if config.frozen:
        read = FromViews(look(data.paths, config, backbone, views=config.views), data.labels)
    else:
        read = FromPhotos(data, backbone, config.least_crop)
    if config.instances > 1:
        return Balanced(
            data.labels,
            instances=config.instances,
            batch_size=config.batch_size,
            seed=config.seed,
        ), read
    return Numbers(len(data.paths)), read


def look(paths: Sequence[Path], config: TrainConfig, backbone: Backbone, *, views: int) -> Views:
    """What the frozen tower tells of the photos; pooled, where the pooling has nothing to learn."""
    return Views.of(
        backbone,
        paths,
        views=views,
        seed=config.seed,
        area=(config.least_crop, 1.0),
        pool=fixed_pool(config, backbone),
    )


def seen_of(views: Views, photos: Sequence[int], chosen: Sequence[int]) -> Seen:
    """One view of each photo: its tokens, or its vector [B, W] where that was kept."""
    tokens = views.read(photos, chosen)
    return tokens.patches[:, 0] if views.pooled else tokens


def fixed_pool(config: TrainConfig, backbone: Backbone) -> tuple[str, Pool] | None:
    """The pooling, where it has nothing to learn, and what it is called in the cache."""
    pool = make_pooling(config.pooling, backbone.width, heads=backbone.heads).eval()
    if any(True for _ in pool.parameters()):
        return None
    return repr(pool), lambda tokens: pool(tokens.patches, tokens.prefix)
