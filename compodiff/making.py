"""Conditions become vectors: the network, which needs torch, at query time."""

from dataclasses import dataclass

import numpy as np
import torch

from compodiff.conditions import Vectors
from compodiff.model import Prior
from compodiff.sampler import Form, sample
from compodiff.schedule import Schedule

APART = 1_000_003  # between the seeds of one query's samples


@dataclass(frozen=True)
class Maker:
    """A network that is ready to make vectors.

    Attributes:
        scale: length of its vectors.
        form: of the sampler.
    """

    prior: Prior
    scale: float
    form: Form = "ours"

    def __call__(
        self,
        *,
        image: Vectors,
        text: Vectors,
        negative: Vectors,
        mask: Vectors,
        guidance: tuple[float, float],
        steps: int,
        eta: float,
        seed: int,
        samples: int,
    ) -> Vectors:
        """Means [B, dim] of `samples` vectors each, of any length.

        A query's noise hangs on the seed alone: it is answered alone as in a batch.

        Args:
            image: [B, dim], of length `scale`, or zero where there is none.
            text, negative: [B, L, W].
            mask: [B, S, S].
        """
        device = next(self.prior.parameters()).device
        tensors = {
            name: torch.from_numpy(np.ascontiguousarray(value, np.float32)).to(device)
            for name, value in (
                ("image", image),
                ("text", text),
                ("negative", negative),
                ("mask", mask),
            )
        }
        made = torch.stack(
            [
                sample(
                    self.prior,
                    Schedule.cosine(),
                    **tensors,
                    scales=guidance,
                    steps=steps,
                    eta=eta,
                    schedule_form=self.form,
                    seeds=[seed + APART * number] * len(image),
                )
                for number in range(samples)
            ]
        )
        return made.mean(0).float().cpu().numpy()
