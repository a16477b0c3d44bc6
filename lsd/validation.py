"""What chooses the best step: the losses and sAP10 on pictures that are kept out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from lsd.architecture import CELL, Channel
from lsd.config import TrainConfig
from lsd.data import collate
from lsd.decode import Decoding, decode
from lsd.losses import LossWeights, losses
from lsd.metrics import average_precision, curve, on_grid, structural_hits
from lsd.model import MLSD
from lsd.targets import Target

TOP_K = 300
THRESHOLD = 10  # of sAP
TEACHERS = 0.2  # a teacher's lines count as true from this score on


@dataclass(frozen=True)
class OnPictures:
    """Figures on (pixels, Target) samples."""

    parts: Sequence[Any]  # map-style data sets
    config: TrainConfig

    def __call__(self, model: MLSD) -> dict[str, float]:
        """`{"sap10", "loss"}`; a teacher's lines are true where it is sure of them."""
        hits, scores, total, loss = [], [], 0, 0.0
        weights = LossWeights(**self.config.loss_weights)
        device = next(model.parameters()).device
        for sample in _all(self.parts):
            pixels, wanted = collate([sample])
            logits = model(pixels.to(device)).cpu()
            loss += float(losses(logits, wanted, weights)["loss"])
            side = CELL * logits.shape[-1]
            found = decode(
                logits[0, Channel.DETECTION].numpy(), Decoding(top_k=TOP_K, score=0.0), side, side
            )
            true = on_grid(true_lines(wanted), side, side)
            total += len(true)
            hits.append(structural_hits(on_grid(found.ends, side, side), true, THRESHOLD))
            scores.append(found.scores)
        figures = {"loss": loss / len(scores)}
        return {"sap10": average_precision(curve(hits, scores, max(total, 1))), **figures}


def _all(parts: Sequence[Any]) -> Iterator[Any]:
    for part in parts:
        for number in range(len(part)):
            yield part[number]


def true_lines(wanted: Target) -> np.ndarray:
    """Of a batch of one picture, [N, 4] in pixels of the input."""
    if wanted.lines.shape[1]:
        return CELL * wanted.lines[0].numpy()
    maps: Tensor = wanted.maps[0, Channel.DETECTION].clone()
    if not bool((wanted.weight > 0).any()):
        return np.empty((0, 4), np.float32)
    maps[0] = maps[0].clamp(1e-6, 1 - 1e-6).logit()
    side = CELL * maps.shape[-1]
    return decode(maps.numpy(), Decoding(top_k=TOP_K, score=TEACHERS), side, side).ends
