"""Trains a line detector: `vretr train lsd --data train.json`, or from a teacher's maps."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Subset

from lsd import files
from lsd.architecture import size_of
from lsd.config import TrainConfig
from lsd.data import collate, learned, rendered, split
from lsd.folding import ENCODER
from lsd.losses import LossWeights, losses
from lsd.model import MLSD
from lsd.starting import settle
from lsd.targets import Target
from lsd.teacher import Lessons, Taught
from lsd.validation import OnPictures
from vretr.errors import UsageError
from vretr.training import Card, Run, fit, seed_all

Batch = tuple[Tensor, Target]
Samples = ConcatDataset[Any]


def train(config: TrainConfig) -> Run:
    """Trains a network and leaves a Run that `vretr detect-lines --model` takes.

    Raises:
        UsageError: nothing is left to train on.
        MismatchError: annotations that cannot be read, or a file that holds no network.
        VretrError: a released network is not here and cannot be fetched.
    """
    trained, held_out = _parts(config)
    model = new_model(config, trained)
    run = Run.create(config, method="lsd", kind="detector")
    validate = OnPictures(held_out, config) if held_out else None
    result = fit(
        model,
        step(LossWeights(**config.loss_weights)),
        trained,
        run,
        config,
        validate=validate,
        select="sap10",
        groups=lambda model: groups(model, config),
        collate=collate,
    )
    return run.finish(model, card=_card(config, trained), metrics=result.metrics)


def step(weights: LossWeights) -> Any:
    """(model, batch) -> the losses."""

    def found(model: MLSD, batch: Batch) -> dict[str, Tensor]:
        pixels, wanted = batch
        return losses(model(pixels), wanted, weights)

    return found


def new_model(config: TrainConfig, data: Samples) -> MLSD:
    """The network as it starts."""
    seed_all(config.seed)
    model = MLSD(config.network)
    if config.start is not None:
        weights = files.read(config.start)
        whole = size_of(weights) == config.network
        model.load_folded(weights, only=("",) if whole else ENCODER)
        first = DataLoader(Subset(data, range(min(len(data), 16))), 8, collate_fn=collate)
        settle(model, [pixels for pixels, _ in first])
    model.frozen = config.encoder_lr == 0
    return model.to(memory_format=torch.channels_last)  # a sixth faster on a processor


def groups(model: MLSD, config: TrainConfig) -> Iterable[dict[str, Any]]:
    """Parameters of the encoder and of the decoder; norms and biases without weight decay."""
    for encoder in (True, False):
        lr = config.lr * (config.encoder_lr if encoder else 1)
        if lr == 0:
            continue
        named = [
            parameter
            for name, parameter in model.named_parameters()
            if name.startswith(ENCODER) == encoder
        ]
        for decay in (True, False):
            yield {
                "params": [one for one in named if (one.ndim > 1) == decay],
                "lr": lr,
                "weight_decay": config.weight_decay if decay else 0.0,
            }


def _parts(config: TrainConfig) -> tuple[Samples, list[Any]]:
    """What is trained on, and what is held out."""
    parts: list[Any] = []
    held: list[Any] = []
    if config.photos:
        taught = Taught.of(
            config.photos,
            files.read(config.teacher or ""),
            size=config.teacher_size,
            crops=config.crops,
            seed=config.seed,
        )
        window = config.size if config.augment else None
        kept, out = split(taught.photos, config.holdout, config.seed)
        parts.append(Lessons(taught.take(kept), window=window))
        held.append(Lessons(taught.take(out), window=None))
    for source in config.data:
        pictures, kept_out = learned(source, config)
        parts.append(pictures)
        held.append(kept_out)
    if config.rendered:
        parts.append(rendered(config))
    if not parts:
        raise UsageError("Give what to learn from: --data, --photos with --teacher, --rendered.")
    if not sum(map(len, parts)):
        raise UsageError(f"--holdout {config.holdout} leaves no picture to train on.")
    return ConcatDataset(parts), [part for part in held if len(part)]


def _card(config: TrainConfig, data: Samples) -> Card:
    sources = [*map(str, config.data)]
    if config.photos:
        photos = ", ".join(map(str, config.photos))
        sources.append(f"photos ({photos}) with what {config.teacher} says of them")
    if config.rendered:
        sources.append(f"{config.rendered:,} rendered scenes")
    start = f" It started from {config.start}." if config.start else ""
    chosen = (
        f"The step with the best sAP10 on {config.holdout:.0%} of the pictures, kept out, was kept."
        if config.holdout
        else "The last step was kept."
    )
    return Card(
        summary=f"Line detector (M-LSD {config.network}; Gu et al. 2022, arXiv:2106.00186).",
        data=f"{len(data):,} pictures: {'; '.join(sources)}.",
        protocol=f"{chosen}{start}",
        licence="As the pictures, and the teacher where there was one: state it before you pass "
        "the weights on.",
    )
