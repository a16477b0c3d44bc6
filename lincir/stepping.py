"""One step of the training, and the same loss on sentences that are held out."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lincir.config import TrainConfig
from lincir.data import Batch, Rows, Sentences
from lincir.losses import reconstruction
from lincir.model import Phi, noisy, read_by_phi
from vretr.encoders import PseudoTextEncoder
from vretr.training import seed_all

VALIDATION = 3  # keeps the draws of validation apart from those of the data and of the step

Step = Callable[[Phi, Batch], dict[str, Tensor]]


def step(encoder: PseudoTextEncoder, scale: float) -> Step:
    """Self-masking projection: the sentence's vector with noise becomes the pseudo words that
    stand for its key words, and the masked sentence must say what the whole one says.

    Args:
        encoder: frozen; the gradient flows through it.
        scale: of the noise.
    """

    def losses(phi: Phi, batch: Batch) -> dict[str, Tensor]:
        wanted = _whole(encoder, batch).to(phi.length.device)
        words = phi(read_by_phi(noisy(wanted, scale), phi))
        found = encoder.embed(batch.masked, words[batch.masked.rows, batch.slots])
        return {"loss": reconstruction(found, wanted)}

    return losses


def _whole(encoder: PseudoTextEncoder, batch: Batch) -> Tensor:
    """Vectors [B, dim] of the whole sentences."""
    if batch.features is not None:
        return batch.features
    with torch.no_grad():
        return encoder.embed(batch.sentences)


@dataclass(frozen=True)
class HeldOut:
    """The loss on sentences that are not trained on, always with the same noise."""

    encoder: PseudoTextEncoder
    scale: float
    sentences: Sentences
    rows: Rows
    config: TrainConfig

    def __call__(self, phi: Phi) -> dict[str, float]:
        """`{"loss"}`"""
        seed_all(self.config.seed, VALIDATION)
        one, total = step(self.encoder, self.scale), 0.0
        for start in range(0, len(self.rows), self.config.batch_size):
            rows = self.rows[start : start + self.config.batch_size]
            total += float(one(phi, self.sentences.batch(rows))["loss"]) * len(rows)
        return {"loss": total / len(self.rows)}
