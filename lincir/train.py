"""Trains φ: `vretr train lincir --backbone ViT-L --corpus captions.txt.gz`. Sentences alone."""

from dataclasses import replace

import numpy as np
import torch
from accelerate.utils import broadcast_object_list

from lincir.backbone import load_backbone
from lincir.config import TrainConfig
from lincir.corpus import Corpus
from lincir.data import Rows, Sentences, kept_features, text_vectors
from lincir.model import Phi, noise_scale
from lincir.preparing import Recipe
from lincir.stepping import step
from lincir.tokens import load_tokens
from lincir.validation import HeldOut, OnTriplets, Pictures
from vretr.encoders import PseudoTextEncoder
from vretr.encoders.names import Precision
from vretr.encoders.precision import multiplies_bf16_fast
from vretr.errors import UsageError
from vretr.training import Card, Run, fit, seed_all
from vretr.training.devices import device_of

MEASURED = 4096  # sentences that tell how long vectors are
PASSES = 2  # over the corpus, from which on its vectors are kept


def train(config: TrainConfig) -> Run:
    """Trains φ on a frozen text tower, and leaves a Run that is a Composer for its encoder.

    Raises:
        UsageError: the backbone takes no pseudo words, or too few sentences are left to train on.
        MismatchError: the corpus holds no sentence, or no such column.
        VretrError: the backbone's weights are not here, or the corpus cannot be read.
    """
    recipe = Recipe(config.backbone, config.tagger, config.masking, config.tokens)
    reader = load_backbone(config.backbone)  # of which only the tokenizer is used
    if config.tokens > reader.context // 4:
        raise UsageError(f"--tokens {config.tokens} leaves {reader.name} no room for words.")
    cache, folder = load_tokens(Corpus.of(config.corpus, config.column), reader, recipe)
    trained, held_out = split(len(cache.sentences), config.holdout, config.seed)

    device = device_of(config)
    config = decided(config, device)
    precision = config.precision
    pictures = None
    if config.triplets is not None:  # the image tower comes and goes before the text tower
        pictures = Pictures.of(config.triplets, config.backbone, device=device, precision=precision)
    encoder = load_backbone(config.backbone, device=device, precision=precision)
    features = None
    if config.keep_features and config.steps * config.batch_size > PASSES * len(trained):
        features = kept_features(encoder, cache, folder, how=f"{device} {precision}")
    sentences = Sentences(cache, trained, tokens=config.tokens, features=features)
    measured = trained[:: max(1, len(trained) // MEASURED)][:MEASURED]
    lengths = torch.from_numpy(np.linalg.norm(text_vectors(encoder, cache, measured), axis=1))
    scale = noise_scale(config.noise, lengths, encoder.dim)
    phi = new_phi(config, encoder, float(lengths.mean()))

    run = Run.create(
        config, method="lincir", kind="composer", encoder=encoder.name, identity=encoder.identity
    )
    told = HeldOut(encoder, scale, sentences, held_out, config)
    result = fit(
        phi,
        step(encoder, scale),
        sentences,
        run,
        config,
        validate=OnTriplets(pictures, told) if pictures else told if len(held_out) else None,
        select="recall@10" if pictures else "loss",
        collate=lambda batch: batch,
    )
    return run.finish(phi, card=_card(config, len(trained), scale), metrics=result.metrics)


def decided(config: TrainConfig, device: str) -> TrainConfig:
    """The same, with what `auto` precision comes to on a processor, where speed is measured.

    The Run's config keeps it: a measurement may come out otherwise when the training is resumed.

    Raises:
        MismatchError: there is no run to resume.
    """
    if config.precision != "auto" or not device.startswith("cpu"):  # cpu:0 among several
        return config
    if config.resume and config.out:
        return replace(config, precision=Run.open(config.out).config(TrainConfig).precision)
    chosen: list[Precision] = ["bf16" if multiplies_bf16_fast("cpu") else "fp32"]
    broadcast_object_list(chosen)  # several processes must agree
    return replace(config, precision=chosen[0])


def split(count: int, holdout: int, seed: int) -> tuple[Rows, Rows]:
    """Which of `count` sentences are trained on, and which are held out.

    Raises:
        UsageError: none would be left.
    """
    if count <= holdout:
        raise UsageError(f"--holdout {holdout} leaves nothing of {count} sentences to train on.")
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[holdout:]), np.sort(order[:holdout])


def new_phi(config: TrainConfig, encoder: PseudoTextEncoder, length: float) -> Phi:
    """φ as it starts; `length` is the mean length of text vectors."""
    seed_all(config.seed)
    phi = Phi(
        encoder.dim,
        encoder.token_width,
        hidden=config.hidden,
        dropout=config.dropout,
        tokens=config.tokens,
    )
    phi.length.fill_(length)
    phi.unit.fill_(config.l2_normalize)
    return phi


def _card(config: TrainConfig, sentences: int, scale: float) -> Card:
    return Card(
        summary="φ of LinCIR (Gu et al. 2024, arXiv:2312.01998): a vector becomes pseudo words "
        "that stand for the picture in a sentence.",
        data=f"{sentences:,} sentences of {', '.join(config.corpus)}, no picture. Their terms hold "
        "for the weights as well.",
        protocol=f"{_choice(config)} The noise had scale {scale:.4g}.",
        licence="As the sentences and the encoder: state it before you pass the weights on.",
    )


def _choice(config: TrainConfig) -> str:
    if config.triplets is not None:
        return f"The step with the best recall@10 on {config.triplets} was kept."
    if config.holdout:
        return f"The step with the least loss on {config.holdout:,} sentences kept out was kept."
    return "The last step was kept."
