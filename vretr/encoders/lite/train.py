"""Trains the heads of `lite`: `vretr train lite --captions flickr8k.zip --products fashion.zip`."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vretr.encoders.lite import data
from vretr.encoders.lite.config import TrainConfig
from vretr.encoders.lite.data import Pairs, Photos, Samples
from vretr.encoders.lite.heads import Heads
from vretr.encoders.lite.losses import contrastive, distillation
from vretr.encoders.lite.model import HeadsModule
from vretr.encoders.lite.shape import EVERYDAY
from vretr.errors import UsageError
from vretr.metrics import figures, ranks_from_vectors
from vretr.training import Card, Run, fit, gathered

Step = Callable[[HeadsModule, list[Pairs]], dict[str, Tensor]]


def train(config: TrainConfig) -> Run:
    """Trains the heads on what the locked towers tell, and leaves a Run that is an Encoder."""
    captioned = data.captioned(config.captions, config.split, config.views, config.seed)
    products = None
    if config.products is not None:
        products = data.products(config.products, config.views, config.seed)
    if len(captioned) <= config.holdout:
        raise UsageError(
            f"--holdout {config.holdout} leaves nothing of {len(captioned)} photos to train on."
        )
    order = torch.from_numpy(np.random.default_rng(config.seed).permutation(len(captioned)))
    held_out, trained = (
        captioned.part(order[: config.holdout]),
        captioned.part(order[config.holdout :]),
    )

    classes = torch.from_numpy(data.class_names())
    torch.manual_seed(config.seed)
    model = HeadsModule(
        members=config.members,
        hidden=config.hidden,
        image_dropout=config.image_dropout,
        text_dropout=config.text_dropout,
    )
    everything = [photos for photos in (trained, products) if photos]
    seen = torch.cat([photos.seen.flatten(0, 1).float() for photos in everything])
    model.fix(seen, classes, least_trust=config.least_trust)

    def validated(model: HeadsModule) -> dict[str, float]:
        unite(model, everything)
        return validate(model, held_out)

    run = Run.create(config, method="lite", kind="encoder")
    result = fit(
        model,
        step(config, classes),
        Samples(trained, products),
        run,
        config,
        validate=validated if config.holdout else None,
        select="text_to_image_recall@10",
        groups=groups,
        collate=lambda batch: batch,
    )
    unite(model, everything)
    return run.finish(model, card=_card(config, len(trained), products), metrics=result.metrics)


def step(config: TrainConfig, classes: Tensor) -> Step:
    """The training step: captions, product texts and the classifier's knowledge.

    Args:
        config: the weights of the losses.
        classes: MiniLM vectors [1000, 384] of the class names.
    """

    def losses(model: HeadsModule, batch: list[Pairs]) -> dict[str, Tensor]:
        named = dict(zip(("captions", "products"), batch, strict=False))
        seen = {name: everyones(model.images(pairs.seen)) for name, pairs in named.items()}
        told = {
            name: contrastive(
                seen[name],
                everyones(model.texts(pairs.sentences)),
                true_of(gathered(pairs.texts), gathered(pairs.text)),
                model.scale,
            )
            for name, pairs in named.items()
        }
        probabilities = torch.cat([gathered(pairs.probabilities) for pairs in batch])
        told["classes"] = distillation(
            torch.cat(list(seen.values()), dim=1),
            model.texts(classes.to(probabilities.device)),
            probabilities,
            model.scale,
        )
        weights = {"products": config.product_weight, "classes": config.class_weight}
        loss = sum(
            (weights.get(name, 1.0) * value for name, value in told.items()), torch.zeros(())
        )
        return {"loss": loss, **told, "scale": model.scale.mean()}

    return losses


def everyones(vectors: Tensor) -> Tensor:
    """Vectors [M, B, D] of all processes, one after another: [M, processes * B, D]."""
    return gathered(vectors.transpose(0, 1)).transpose(0, 1)


def unite(model: HeadsModule, everything: list[Photos]) -> None:
    """Makes the members one by what they say of the photos as they are, and of all their texts.

    Everyday texts are an even draw from those of the captioned photos, which come first.
    """
    seen = torch.cat([photos.seen[:, 0].float() for photos in everything])
    captions = everything[0].sentences
    drawn = torch.linspace(0, len(captions) - 1, EVERYDAY).long()  # sorted texts: spread evenly
    model.unite(seen, torch.cat([photos.sentences for photos in everything]), captions[drawn])


def true_of(texts: Tensor, text: Tensor) -> Tensor:
    """Whether text j is among the texts of photo i: ids [B, T] and [B] -> bool [B, B]."""
    return (texts[:, :, None] == text[None, None, :]).any(1)


def groups(model: HeadsModule) -> list[dict[str, Any]]:
    """AdamW's groups: weight decay for matrices only, not for biases and the temperature."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    return [{"params": matrices}, {"params": others, "weight_decay": 0.0}]


def validate(model: HeadsModule, photos: Photos) -> dict[str, float]:
    """Text-to-image recall among held-out photos: first view, every caption a query.

    In the joint space as the encoder uses it, with the class-name part.
    """
    heads = Heads.of(model)
    gallery = heads.images(
        photos.seen[:, 0].float().numpy(), photos.probabilities[:, 0].float().numpy()
    )
    queries = heads.texts(photos.sentences[photos.texts.flatten()].numpy())
    relevant = np.arange(len(photos)).repeat(photos.texts.shape[1])
    ranks = ranks_from_vectors(queries, gallery, relevant=list(relevant[:, None]))
    told = figures(ranks, "recall@1", "recall@5", "recall@10")
    return {f"text_to_image_{name}": value for name, value in told.items()}


def _card(config: TrainConfig, photos: int, products: Photos | None) -> Card:
    more = f" and {len(products)} product photos of {config.products}" if products else ""
    return Card(
        summary="Heads of the encoder `lite`: EfficientNet-Lite0 and MiniLM-L6 stay as published.",
        data=f"{photos} captioned photos of {config.captions} (split {config.split}){more}. "
        "The terms of these photos hold for the weights as well.",
        protocol=f"Text-to-image recall on {config.holdout} captioned photos kept out of the "
        "training, every caption a query; the best step by recall@10."
        if config.holdout
        else "Trained on all photos; the last step.",
        licence="As the data: state it before you pass the weights on.",
    )
