"""Trains CompoDiff: `vretr train compodiff --backbone lite --triplets triplets.jsonl`."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from compodiff.conditions import Texts, Trained
from compodiff.config import TrainConfig
from compodiff.data import Samples
from compodiff.losses import Drops, training_loss
from compodiff.model import Prior
from compodiff.preparing import Sources, samples
from compodiff.schedule import Schedule
from compodiff.validation import SELECT, Guidance, OnTriplets, allowed
from vretr.encoders import load_encoder
from vretr.training import Card, Run, fit, seed_all


def train(config: TrainConfig) -> Run:
    """Trains the prior on vectors of a frozen encoder, and leaves a Run that is a Composer for it.

    Every picture, masked picture and text is encoded before the first step, and kept on disk.

    Raises:
        UsageError: the encoder reads no words, or there is nothing to train or to choose on.
        MismatchError: data are missing or malformed.
        VretrError: the encoder's weights are not here.
    """
    sources = Sources.of(config)
    encoder = load_encoder(config.backbone, device=config.device, precision=config.precision)
    texts = Texts.of(encoder, config.text)
    data = samples(config, sources, encoder, texts)
    held = None
    if sources.held:
        variant = f"{config.device} {config.precision}"
        held = OnTriplets.of(
            sources.held, sources.among, encoder, texts, seed=config.seed, variant=variant
        )
    seed_all(config.seed)
    prior = Prior(
        dim=encoder.dim,
        width=config.width or None,
        depth=config.depth,
        heads=config.heads,
        text_width=texts.width,
        mask_size=config.mask_size,
    )
    run = Run.create(
        config, method="compodiff", kind="composer", encoder=encoder.name, identity=encoder.identity
    )
    result = fit(
        prior,
        step(config, torch.from_numpy(texts([""])[0])),
        data,
        run,
        config,
        validate=held,
        select=SELECT,
        collate=data.collate,
    )
    trained = Trained(
        prior=prior.settings,
        text=texts.kind,
        scale=data.scale,
        normalise=True,
        tasks=tuple(data.names),
        drops={"text": config.drop_text, "image": config.drop_image, "both": config.drop_both},
    )
    metrics: Mapping[str, float] = result.metrics
    if held is not None:
        guidance, metrics = held.best(prior, allowed(trained))
        trained = replace(trained, guidance=guidance)
    return run.finish(
        prior,
        card=_card(config, data, sources, trained.guidance if held else None),
        metrics=metrics,
        about={"compodiff": trained.said()},
    )


def step(
    config: TrainConfig, null_text: Tensor
) -> Callable[[Prior, Mapping[str, Tensor]], Mapping[str, Tensor]]:
    """The loss of a batch of any task; `null_text` [L, W] are the tokens of the empty string."""
    schedule = Schedule.cosine()
    drops = Drops(config.drop_text, config.drop_image, config.drop_both)

    def run(prior: Prior, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return training_loss(
            prior,
            schedule,
            target=batch["target"],
            image=batch["image"],
            text=batch["text"],
            mask=batch["mask"],
            null_text=null_text.to(batch["text"]),
            drops=drops,
            cosine=config.cosine,
        )

    return run


def _card(config: TrainConfig, data: Samples, sources: Sources, guidance: Guidance | None) -> Card:
    rows = ", ".join(f"{len(task):,} of {name}" for name, task in data.tasks.items())
    named = [*config.triplets, config.captions, config.photos]
    chosen = "The last step was kept, and no guidance (1, 1): there was nothing to choose on."
    if guidance is not None:
        chosen = (
            f"The step and the guidance with the best recall@10 on {len(sources.held):,} triplets "
            f"kept out were kept: image {guidance[0]:g}, text {guidance[1]:g}, two calls."
        )
    instead = ""
    if sources.texts:
        instead = f" Of {len(sources.texts):,} triplets captions stand for the pictures."
    return Card(
        summary="Diffusion prior of CompoDiff (Gu et al. 2024, arXiv:2303.11916): a picture, words "
        "and a mask become the vector that is searched for.",
        data=f"Rows: {rows}, from {', '.join(str(each) for each in named if each)}.{instead}",
        protocol=f"{chosen} Rows without words {config.drop_text:g}, without picture "
        f"{config.drop_image:g}, without either {config.drop_both:g}.",
        licence="As the photos, their words and the encoder: state it before you pass the weights "
        "on.",
    )
