"""Trains embeddings: `vretr train metric --data photos/ --loss proxy-anchor --synthesis`."""

import logging

from torch import Tensor

from metric.config import TrainConfig
from metric.data import source
from metric.layouts import Benchmark, load
from metric.model import Learner, groups
from metric.splits import held_out
from metric.strips import strips
from metric.validation import SELECT, HeldOut, embed
from vretr.data.labelled import Labelled
from vretr.encoders.backbones import load_backbone
from vretr.training import Card, Run, fit, gathered, seed_all
from vretr.training.devices import device_of

log = logging.getLogger(__name__)


def train(config: TrainConfig) -> Run:
    """Trains a network on some classes, and leaves a Run that is an Encoder.

    Raises:
        UsageError: an unknown pooling or tower; a batch that the data cannot fill.
        MismatchError: data that are missing, malformed, unreadable, or have too few classes.
        VretrError: the tower's weights are not here; a memory that does not fit.
    """
    data = load(
        config.data,
        root=config.root,
        label_field=config.label_field,
        test_classes=config.test_classes,  # of the same draw for every seed of the training
    )
    trained, chosen_on = parts(data, config)
    backbone = load_backbone(
        config.backbone, size=config.size, frozen=config.frozen, device=_place(config)
    )
    seed_all(config.seed)
    model = Learner(config, backbone, classes=len(trained.names))
    samples, read = source(trained, config, backbone)
    run = Run.create(
        config,
        method="metric",
        kind="encoder",
        encoder=backbone.name,
        identity=backbone.identity,
    )
    result = fit(
        model,
        step,
        samples,
        run,
        config,
        validate=HeldOut(chosen_on, config, backbone) if chosen_on else None,
        select=SELECT,
        groups=lambda model: groups(model, config),
        collate=read,
    )
    shown = chosen_on or trained
    vectors = embed(model.embedder, shown.paths, config, backbone)
    return run.finish(
        model.embedder,
        card=_card(config, data, trained, chosen_on),
        metrics=result.metrics,
        pictures=strips(shown.paths, vectors, shown.labels, shown.names),
    )


def step(model: Learner, batch: tuple[object, Tensor]) -> dict[str, Tensor]:
    """The loss of the whole batch, whichever process saw which part of it."""
    seen, labels = batch
    embeddings = gathered(model.embedder(seen))
    return {"loss": model.loss(embeddings, gathered(labels))}


def parts(data: Benchmark, config: TrainConfig) -> tuple[Labelled, Labelled | None]:
    """The photos to train on, and those that choose the best step."""
    if config.choose_on == "test":
        log.warning("The best step is chosen on the test classes: its figures will be too good.")
        return data.train, data.test
    if not config.val_classes:
        return data.train, None
    return held_out(data.train, config.val_classes, config.seed)


def _place(config: TrainConfig) -> str:
    device = device_of(config)
    return device.partition(":")[0] if device.startswith("cpu") else device


def _card(
    config: TrainConfig, data: Benchmark, trained: Labelled, chosen_on: Labelled | None
) -> Card:
    front: list[str] = [config.loss]
    front += ["Proxy Synthesis"] if config.synthesis else []
    front += ["MemVir"] if config.memvir else []
    if chosen_on is None:
        chosen = "The last step was kept."
    else:
        which = "test" if config.choose_on == "test" else "held-out training"
        chosen = (
            f"The step with the best MAP@R on {len(chosen_on.names):,} {which} classes "
            f"({len(chosen_on.paths):,} photos) was kept; the figures below are of these."
        )
    return Card(
        summary=f"Embeddings of {config.backbone}, {config.pooling} pooling, {config.dim} numbers; "
        f"loss: {' with '.join(front)}.",
        data=f"{config.data}: {len(trained.paths):,} photos of {len(trained.names):,} classes; "
        f"{len(data.test.names):,} other classes were set aside for testing.",
        protocol=f"{chosen} Measure it on the test classes with `vretr eval metric`.",
        licence="As the photos and the tower's weights: state it before you pass the weights on.",
    )
