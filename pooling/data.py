"""Labelled photos as batches: of pictures, or of what a frozen tower tells of them."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pooling.classifier import Classifier, Seen
from pooling.config import TrainConfig
from vretr import images
from vretr.data.labelled import Labelled, load
from vretr.data.sources import refuse_unreadable
from vretr.data.views import Pool, Views, random_crops
from vretr.encoders.backbones import Backbone, Tokens
from vretr.errors import MismatchError, UsageError
from vretr.poolings import make_pooling

AT_ONCE = 64  # photos


def parts(config: TrainConfig) -> tuple[Labelled, Labelled | None]:
    """The photos to train on, and those that choose the best step; labels are of the same classes.

    Raises:
        MismatchError: data that are missing or malformed, a class of `val_split` that is not
            trained on.
        UsageError: nothing is left to train on.
    """
    data = load(config.data, split=config.split, field=config.label_field)
    if config.val_split is not None:
        other = load(config.data, split=config.val_split, field=config.label_field)
        return data, renamed(other, data.names)
    order = np.random.default_rng(config.seed).permutation(len(data.paths))
    out = round(config.holdout * len(order))
    if out == len(order):
        raise UsageError(f"--holdout {config.holdout} leaves no photo to train on.")
    return _some(data, np.sort(order[out:])), _some(data, np.sort(order[:out])) if out else None


def renamed(data: Labelled, names: Sequence[str]) -> Labelled:
    """The same with labels that are places in `names`.

    Raises:
        MismatchError: a class that is not among them.
    """
    place = {name: number for number, name in enumerate(names)}
    if unknown := [name for name in data.names if name not in place]:
        raise MismatchError(
            f"{len(unknown):,} classes are not among those trained on: {', '.join(unknown[:5])}."
        )
    labels = np.array([place[name] for name in data.names], np.int64)[data.labels]
    return replace(data, labels=labels, names=list(names))


def _some(data: Labelled, numbers: NDArray[np.int64]) -> Labelled:
    return replace(
        data, paths=[data.paths[number] for number in numbers], labels=data.labels[numbers]
    )


class Samples:
    """Numbers of photos; `collate` reads them: (what is seen of each, its label)."""

    def __init__(self, data: Labelled, backbone: Backbone, config: TrainConfig) -> None:
        self.paths, self.labels = data.paths, torch.from_numpy(data.labels)
        self.preprocessing, self.area = backbone.preprocessing, (config.least_crop, 1.0)
        self.views = look(data, config, backbone, views=config.views) if config.frozen else None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> int:
        return number

    def collate(self, numbers: Sequence[int]) -> tuple[Seen, Tensor]:
        """A random view of each, drawn from torch's generator, which the training seeds."""
        labels = self.labels[list(numbers)]
        if self.views is not None:
            drawn = torch.randint(self.views.count, (len(numbers),)).tolist()
            return seen_of(self.views, numbers, drawn), labels
        files = [self.paths[number] for number in numbers]
        pixels = random_crops(files, self.preprocessing, area=self.area)
        return torch.from_numpy(pixels), labels


def look(data: Labelled, config: TrainConfig, backbone: Backbone, *, views: int) -> Views:
    """What a frozen tower tells of photos; pooled, where the pooling has nothing to learn."""
    pool = make_pooling(config.pooling, backbone.width, heads=backbone.heads).eval()
    kept: tuple[str, Pool] | None = None
    if not any(True for _ in pool.parameters()):
        kept = repr(pool), lambda tokens: pool(tokens.patches, tokens.prefix)
    return Views.of(
        backbone,
        data.paths,
        views=views,
        seed=config.seed,
        area=(config.least_crop, 1.0),
        pool=kept,
    )


def seen_of(views: Views, photos: Sequence[int], chosen: Sequence[int]) -> Seen:
    """One view of each photo: its tokens, or its vector [B, W] where that was kept."""
    tokens = views.read(photos, chosen)
    return tokens.patches[:, 0] if views.pooled else tokens


def whole(model: Classifier, data: Labelled, config: TrainConfig, backbone: Backbone) -> Tensor:
    """Pooled vectors of photos as they are, float32 [N, W].

    Raises:
        MismatchError: photos cannot be read.
    """
    source = _from_views if config.frozen else _from_photos
    device = model.linear.weight.device
    with torch.inference_mode():
        found = [model.vectors(_to(seen, device)) for seen in source(data, config, backbone)]
        return torch.cat(found)


def _to(seen: Seen, device: torch.device) -> Seen:
    return seen.to(device) if isinstance(seen, Tensor) else Tokens(*(x.to(device) for x in seen))


def _from_views(data: Labelled, config: TrainConfig, backbone: Backbone) -> Iterator[Seen]:
    views = look(data, config, backbone, views=1)
    for start in range(0, len(data.paths), AT_ONCE):
        some = range(start, min(start + AT_ONCE, len(data.paths)))
        yield seen_of(views, some, [0] * len(some))


def _from_photos(data: Labelled, config: TrainConfig, backbone: Backbone) -> Iterator[Seen]:
    batches = images.batches(
        data.paths, backbone.preprocessing, batch_size=AT_ONCE, workers=config.workers
    )
    with closing(batches):  # it owns processes
        for batch in batches:
            refuse_unreadable(batch.unreadable)
            yield torch.from_numpy(batch.pixels)
