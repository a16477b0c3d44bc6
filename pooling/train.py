"""Trains a pooling, a classifier and perhaps their tower: `vretr train pooling --data photos/`."""

import json
import os
from collections.abc import Sequence

from torch import Tensor, stack
from torch.nn import functional

from pooling.classifier import Classifier, Seen
from pooling.config import TrainConfig
from pooling.data import Samples, parts, whole
from pooling.gem import GGeM
from pooling.parameters import powers
from vretr import metrics
from vretr.data.labelled import Labelled
from vretr.encoders.backbones import load_backbone
from vretr.encoders.base import unit
from vretr.errors import UsageError
from vretr.paths import atomic_write
from vretr.training import Card, Run, fit, seed_all
from vretr.training.devices import device_of

CLASSES = "classes.json"  # beside the weights: the names of the scores
RETRIEVAL = ("map@r", "recall@1")


def train(config: TrainConfig) -> Run:
    """Trains on labelled photos and leaves a Run that is an Encoder of pictures.

    Raises:
        UsageError: an unknown pooling or tower; a pooling that the tower has no tokens for.
        MismatchError: data that are missing, malformed or unreadable.
        VretrError: the tower's weights are not here.
    """
    trained, held_out = parts(config)
    place = device_of(config)
    backbone = load_backbone(config.backbone, size=config.size, frozen=config.frozen, device=place)
    seed_all(config.seed)
    model = Classifier(backbone, config.pooling, classes=len(trained.names), frozen=config.frozen)
    if getattr(model.pool, "reads_prefix", False) and not backbone.prefix:
        raise UsageError(f"{backbone.name} has no class token: choose avg, max, gem or ggem.")
    samples = Samples(trained, backbone, config)
    run = Run.create(
        config, method="pooling", kind="encoder", encoder=backbone.name, identity=backbone.identity
    )
    _write_classes(run, trained.names)

    def validate(model: Classifier) -> dict[str, float]:
        assert held_out is not None
        vectors = whole(model, held_out, config, backbone)
        return figures(vectors, model.linear(vectors), held_out)

    result = fit(
        model,
        step,
        samples,
        run,
        config,
        validate=validate if held_out else None,
        select="accuracy",
        groups=lambda model: model.groups(
            lr=config.lr,
            weight_decay=config.weight_decay,
            backbone_lr=config.backbone_lr,
            pooling_lr=config.pooling_lr,
        ),
        collate=samples.collate,
    )
    card = _card(config, trained, held_out, powers(model))
    return run.finish(model, card=card, metrics=result.metrics)


def step(model: Classifier, batch: tuple[Seen, Tensor]) -> dict[str, Tensor]:
    """Cross entropy; beside it the accuracy and, where there are any, the powers p."""
    seen, labels = batch
    scores = model(seen).float()
    found = {
        "loss": functional.cross_entropy(scores, labels),
        "accuracy": (scores.argmax(1) == labels).float().mean(),
    }
    held = [part.powers.detach() for part in model.pool.modules() if isinstance(part, GGeM)]
    if held:
        p = stack([each for part in held for each in part])
        found |= {"p_mean": p.mean(), "p_min": p.min(), "p_max": p.max()}
    return found


def figures(vectors: Tensor, scores: Tensor | None, data: Labelled) -> dict[str, float]:
    """Accuracy, where there are scores, and retrieval of each photo among the others.

    Args:
        vectors: [N, W], of any length.
        scores: [N, classes].
    """
    found: dict[str, float] = {}
    if scores is not None:
        guesses = scores.argmax(1).cpu().numpy()
        found["accuracy"] = float((guesses == data.labels).mean())
    ranks = metrics.ranks_from_labels(unit(vectors.cpu().numpy()), data.labels)
    if len(ranks.relevant):  # some class has two photos
        found |= metrics.figures(ranks, *RETRIEVAL)
    return found


def _write_classes(run: Run, names: Sequence[str]) -> None:
    if os.environ.get("RANK", "0") == "0":  # of several processes the first one writes
        with atomic_write(run.folder / CLASSES) as file:
            file.write(json.dumps(names, ensure_ascii=False).encode())


def _card(
    config: TrainConfig,
    trained: Labelled,
    held_out: Labelled | None,
    p: dict[str, list[float]],
) -> Card:
    chosen = (
        f"The step with the best accuracy on {len(held_out.paths):,} held-out photos was kept; the "
        "figures below are of these. For retrieval each is searched among the others."
        if held_out
        else "The last step was kept."
    )
    shown = "; ".join(
        f"{name}: {', '.join(f'{value:.3g}' for value in values[:16])}"
        + (", …" if len(values) > 16 else "")
        for name, values in p.items()
    )
    return Card(
        summary=f"Vectors of {config.backbone}{', frozen,' if config.frozen else ''} pooled by "
        f"{config.pooling}." + (f" Powers: {shown}." if shown else ""),
        data=f"{config.data}: {len(trained.paths):,} photos of {len(trained.names):,} classes.",
        protocol=chosen,
        licence="As the photos and the tower's weights: state it before you pass the weights on.",
    )
