"""One step of the training."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from lincir.data import Batch
from lincir.losses import reconstruction
from lincir.model import Phi, noisy, read_by_phi
from vretr.encoders import PseudoTextEncoder
from vretr.encoders.prompts import Prompts

Step = Callable[[Phi, Batch], dict[str, Tensor]]


def step(encoder: PseudoTextEncoder, scale: float) -> Step:
    """Self-masking projection: the sentence's vector with noise becomes the pseudo words that
    stand for its key words, and the masked sentence must say what the whole one says.

    Args:
        encoder: frozen; the gradient flows through it.
        scale: of the noise.
    """

    def losses(phi: Phi, batch: Batch) -> dict[str, Tensor]:
        device = phi.length.device
        wanted = _whole(encoder, batch, together(device)).to(device)
        with torch.autocast(device.type, enabled=False):  # φ is small, and it is what is trained
            words = phi(read_by_phi(noisy(wanted, scale), phi))
        words = words[batch.masked.rows, batch.slots]
        found = read(encoder, batch.masked, words, tokens=together(device))
        return {"loss": reconstruction(found, wanted)}

    return losses


def _whole(encoder: PseudoTextEncoder, batch: Batch, tokens: int) -> Tensor:
    """Vectors [B, dim] of the whole sentences."""
    if batch.features is not None:
        return batch.features
    with torch.no_grad():
        return read(encoder, batch.sentences, tokens=tokens)


def read(
    encoder: PseudoTextEncoder, prompts: Prompts, words: Tensor | None = None, *, tokens: int
) -> Tensor:
    """`encoder.embed` of sentences of about one length, `tokens` tokens at a time: [B, dim].

    The vectors are the same, in the order of the sentences.
    """
    numbers, vectors = [], []
    for sentences, places, part in prompts.batches(tokens):
        numbers.append(sentences)
        vectors.append(encoder.embed(part, None if words is None else words[places]))
    return torch.cat(vectors)[np.argsort(np.concatenate(numbers))]


def together(device: torch.device) -> int:
    """How many tokens go through the tower at once. Short sentences are not padded to the length of
    the longest, which saves half on a processor; a GPU wants large pieces."""
    return 256 if device.type == "cpu" else 8192
