"""What each part of M-LSD's training adds, on rendered scenes whose lines are known exactly.

    python benchmarks/lsd_ablation.py [--seeds 0 1 2] [--size 128] [--steps 300] [--batch-size 8]

The tiny network learns from nothing, from the same scenes in the same order, by four sums of
losses: the lines' centres, displacements and matching loss; these with the same of segments of
lines (SoL); these with the geometric terms (junctions, line pixels, lengths and degrees); all.
Printed is sAP10 on scenes of another seed, at 200 lines a scene, as mean ± deviation over seeds of
the initial weights and the scenes.
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from lsd.architecture import Channel
from lsd.config import TrainConfig
from lsd.data import Rendered, Sample, collate
from lsd.decode import Decoding, decode
from lsd.losses import LossWeights, losses
from lsd.metrics import average_precision, curve, on_grid, structural_hits
from lsd.model import MLSD
from vretr.data.worlds import Wireframe, wireframe
from vretr.training import Run, fit, seed_all

BASE = ("centre", "displacement", "matching")
SOL = ("sol_centre", "sol_displacement", "sol_matching")
GEOMETRIC = ("line", "junction", "length", "degree")
ALL = (*BASE, *SOL, *GEOMETRIC, "sol_length", "sol_degree")
VARIANTS = {
    "base": BASE,
    "+ SoL": (*BASE, *SOL),
    "+ geometric": (*BASE, *GEOMETRIC),
    "all": ALL,
}
TEST_SEED, TOP_K, THRESHOLD = 1_000_003, 200, 10  # sAP10


def main() -> None:
    """Trains every variant with every seed and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="not needed: the scenes are rendered")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--size", type=int, default=128, help="side of the scenes in pixels")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--test", type=int, default=200, help="scenes to measure on")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    found: dict[str, list[float]] = {name: [] for name in VARIANTS}
    test = [wireframe(number, seed=TEST_SEED, size=options.size) for number in range(options.test)]
    for seed in options.seeds:
        # Each scene is shown once, and drawn once for all variants: drawing takes most of the time.
        scenes = Rendered(
            options.steps * options.batch_size, options.size, seed=seed, augment=False
        )
        drawn = [scenes[number] for number in range(len(scenes))]
        for name, parts in VARIANTS.items():
            model = trained(parts, seed, drawn, options)
            found[name].append(100 * sap(model.eval(), test, options.size))
            print(f"seed {seed}  {name:12}  sAP10 {found[name][-1]:.2f}", flush=True)
    steps, count = options.steps, options.steps * options.batch_size
    print(f"\n{options.size} px, {steps:,} steps, {count:,} scenes, {len(options.seeds)} seeds")
    for name, values in found.items():
        deviation = statistics.stdev(values) if len(values) > 1 else 0.0
        print(f"{name:12}  {statistics.mean(values):6.2f} ± {deviation:.2f}")


def trained(
    parts: tuple[str, ...], seed: int, scenes: Sequence[Sample], options: argparse.Namespace
) -> MLSD:
    """A network that learned from the scenes by these losses alone."""
    defaults: Mapping[str, float] = LossWeights().__dict__
    weights = LossWeights(**{name: defaults[name] * (name in parts) for name in defaults})

    def step(model: MLSD, batch: Sample) -> dict[str, Tensor]:
        pixels, wanted = batch
        return losses(model(pixels), wanted, weights)

    with TemporaryDirectory() as folder:
        config = TrainConfig(
            out=Path(folder) / "run",
            rendered=len(scenes),
            seed=seed,
            size=options.size,
            steps=options.steps,
            batch_size=options.batch_size,
            lr=options.lr,
            warmup=options.steps // 20,
            augment=False,
            device=options.device,
            workers=options.workers,
            threads=options.threads,
            save_every=options.steps,
        )
        seed_all(seed)
        model = MLSD("tiny")
        run = Run.create(config, method="lsd", kind="detector")
        fit(model, step, scenes, run, config, collate=collate)
    return model


def sap(model: MLSD, scenes: Sequence[Wireframe], size: int) -> float:
    """On scenes that it has not seen."""
    hits, scores, lines = [], [], 0
    device = next(model.parameters()).device
    for scene in scenes:
        pixels = torch.from_numpy(np.array(scene.picture)).permute(2, 0, 1)[None]
        with torch.no_grad():
            maps = model(pixels.to(device))[0, Channel.DETECTION].cpu().numpy()
        found = decode(maps, Decoding(top_k=TOP_K, score=0), size, size)
        truth = on_grid(scene.lines, size, size)
        hits.append(structural_hits(on_grid(found.ends, size, size), truth, THRESHOLD))
        scores.append(found.scores)
        lines += len(truth)
    return average_precision(curve(hits, scores, lines))


if __name__ == "__main__":
    main()
