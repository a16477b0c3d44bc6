"""What chooses the best step and the guidance: recall on triplets that were kept out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from compodiff.conditions import Rows, Texts, Trained
from compodiff.model import Prior
from compodiff.sampler import sample
from compodiff.schedule import Schedule
from vretr.data import triplets
from vretr.data.cir.benchmark import Benchmark
from vretr.data.features import Vectors, image_features
from vretr.data.triplets import Triplet
from vretr.encoders import Encoder
from vretr.encoders.base import unit
from vretr.evaluation.scoring import score
from vretr.progress import progress

Guidance = tuple[float, float]

LOOKS: tuple[Guidance, ...] = ((1, 1), (2, 2))  # at every validation
GRID: tuple[Guidance, ...] = (
    *((1, 1), (1.5, 1.5), (2, 2), (3, 3), (4, 4), (6, 6), (10, 10)),
    *((1, 1.5), (1, 2), (1.5, 2), (1.5, 3), (2, 3), (2, 1.5), (3, 2), (1.5, 7.5)),
)
"""w_I and w_T tried once the training is done; the last one is the authors' default."""

QUERIES = 1000  # asked at most
SELECT = "recall@10"


@dataclass(frozen=True)
class OnTriplets:
    """Recall and mAP of the network on triplets, with the guidance that does best."""

    benchmark: Benchmark
    vectors: Vectors  # [N, dim] of the benchmark's pictures
    texts: Rows
    places: np.ndarray  # int64 [Q] in `texts`
    null: Vectors  # [1, L, W]
    scale: float
    schedule: Schedule
    steps: int = 2

    @classmethod
    def of(
        cls,
        held: Sequence[Triplet],
        among: Sequence[Path],
        encoder: Encoder,
        texts: Texts,
        *,
        seed: int,
        variant: str,
    ) -> "OnTriplets":
        """Encodes their pictures and texts; of many triplets some are drawn."""
        order = np.sort(np.random.default_rng(seed).permutation(len(held))[:QUERIES])
        chosen = [held[number] for number in order]
        benchmark = triplets.benchmark(chosen, "triplets kept out", among=among)
        said = [one.text for one in chosen]
        distinct = {text: place for place, text in enumerate(dict.fromkeys(said))}
        return cls(
            benchmark,
            image_features(encoder, benchmark.pictures, variant=variant),
            texts.features([*distinct], variant=variant),
            np.array([distinct[text] for text in said]),
            texts([""]),
            encoder.dim**0.5,
            Schedule.cosine(),
        )

    def __call__(self, prior: Prior) -> dict[str, float]:
        """Figures of the best of LOOKS."""
        return max((self.figures(prior, scales) for scales in LOOKS), key=lambda f: f[SELECT])

    def best(self, prior: Prior, grid: Sequence[Guidance]) -> tuple[Guidance, dict[str, float]]:
        """The guidance with the best recall@10, the first of equals, and its figures."""
        found = {}
        with progress(len(grid), "Trying guidance") as bar:
            for scales in grid:
                found[scales] = self.figures(prior, scales)
                bar.advance()
        chosen = max(found, key=lambda scales: found[scales][SELECT])
        return chosen, found[chosen]

    def figures(self, prior: Prior, scales: Guidance) -> dict[str, float]:
        """The figures of `vretr eval cir --dataset triplets:FILE`."""
        device = next(prior.parameters()).device
        queries = self.benchmark.queries
        seen = self.vectors[[query.reference for query in queries]] * np.float32(self.scale)
        side = int(prior.settings["mask_size"] or 0)
        made = sample(
            prior,
            self.schedule,
            image=torch.from_numpy(seen).to(device),
            text=torch.from_numpy(self.texts[self.places]).to(device),
            negative=torch.from_numpy(self.null).to(device),
            mask=torch.zeros(len(queries), side, side, device=device),
            scales=scales,
            steps=self.steps,
            seeds=[0] * len(queries),
        )
        ranks = score(self.benchmark, unit(made.float().cpu().numpy()), self.vectors)
        return self.benchmark.figures(ranks, queries)


def allowed(trained: Trained) -> list[Guidance]:
    """The guidance of GRID that a network can be asked with."""
    return [
        (image, text)
        for image, text in GRID
        if (image == 1 or trained.without_image) and (text == 1 or trained.without_text)
    ]
