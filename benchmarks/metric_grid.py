"""What Proxy Synthesis and MemVir add to two proxy losses, on classes that were never trained on.

    python benchmarks/metric_grid.py --data FOLDER [--set grocery fashion whole] \
        [--seeds 0 1 2 3 4] [--out FILE]

FOLDER holds grocery.zip and fashion.zip. lite's tower is frozen, what it tells of 8 views of every
training photo is kept, and 512 numbers are learned from its mean with the class weights: the same
number of steps for every arm. Each training chooses its step by MAP@R on a fifth of the training
classes; rates, scales and what the regularisers are told were chosen on such classes as well (seeds
100 to 102), never on the test classes. Grocery has 41 classes to train on and 40 to test. Of
fashion, article type and colour make the class; half of the classes are trained on with the train
split's products, the others are tested with the test split's. `whole` trains the tower as well, on
grocery at 128 pixels, 150 steps of 32 photos, one loss with and without Proxy Synthesis; there the
baseline's rate alone was chosen (seed 100). Results are kept in --out, a line a training, and not
made again.
"""

import argparse
import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from metric.config import TrainConfig
from metric.encoder import parts_of
from metric.layouts import Benchmark, load
from metric.measuring import measure
from metric.model import Embedder
from metric.train import train
from metric.validation import embed
from vretr import load_encoder
from vretr.data.features import image_features
from vretr.encoders.backbones import load_backbone

GROCERY: Mapping[str, Any] = {"data": "grocery.zip"}
FASHION: Mapping[str, Any] = {"data": "fashion.zip", "label_field": "article_type+colour"}
COMMON: Mapping[str, Any] = {"device": "cpu", "threads": 1}
FROZEN: Mapping[str, Any] = {
    "frozen": True,
    "steps": 1000,
    "batch_size": 64,
    "validate_every": 100,
    "save_every": 1000,
}
WHOLE: Mapping[str, Any] = {
    "size": 128,
    "steps": 150,
    "batch_size": 32,
    "validate_every": 50,
    "save_every": 150,
}
# Rates and scales of the losses, and what stands before them: the same for both sets.
NORM_SOFTMAX: Mapping[str, Any] = {"loss": "norm-softmax", "lr": 1e-3, "scale": 10.0}
PROXY_ANCHOR: Mapping[str, Any] = {"loss": "proxy-anchor", "lr": 1e-3}
SYNTHESIS: Mapping[str, Any] = {"synthesis": True, "alpha": 1.0}
MEMVIR: Mapping[str, Any] = {"memvir": True, "memvir_steps": 1, "memvir_gap": 50}
FRONTS: Mapping[str, Mapping[str, Any]] = {
    "": {},
    "+ Proxy Synthesis": SYNTHESIS,
    "+ MemVir": MEMVIR,
    "+ both": {**SYNTHESIS, **MEMVIR},
}


class Grid(NamedTuple):
    """A set, how it is trained on, and with what."""

    data: Mapping[str, Any]
    training: Mapping[str, Any]
    losses: tuple[Mapping[str, Any], ...]
    fronts: tuple[str, ...]


LOSSES = (NORM_SOFTMAX, PROXY_ANCHOR)
GRIDS = {
    "grocery": Grid(GROCERY, FROZEN, LOSSES, tuple(FRONTS)),
    "fashion": Grid(FASHION, FROZEN, LOSSES, tuple(FRONTS)),
    "whole": Grid(GROCERY, WHOLE, (NORM_SOFTMAX,), ("", "+ Proxy Synthesis")),
}
KS = (1, 2, 4, 8)
MEASURES = (*(f"recall@{k}" for k in KS), "r_precision", "map@r")


def main() -> None:
    """Trains what is missing and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", nargs="+", default=list(GRIDS), choices=GRIDS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--out", type=Path, default=Path("runs/metric-grid.jsonl"))
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    for name in options.set:
        grid = GRIDS[name]
        chosen = {**grid.data, "data": str(options.data / grid.data["data"])}
        data = load(**chosen)
        print(
            f"\n{name}: {len(data.train.paths):,} photos of {len(data.train.names)} classes to "
            f"train on, {len(data.test.paths):,} of {len(data.test.names)} to test; "
            f"{len(options.seeds)} seeds"
        )
        print(f"{'':32}" + "".join(f"{measure:>13}" for measure in MEASURES), flush=True)
        for title, vectors in untrained(data, grid.training.get("size")).items():
            show(title, [figures(vectors, data)])
        for loss in grid.losses:
            for front in grid.fronts:
                arm = {**grid.training, **chosen, **loss, **FRONTS[front]}
                found = [trained(arm, data, seed, options.out) for seed in options.seeds]
                show(f"{loss['loss']} {front}".strip(), found)


def untrained(data: Benchmark, size: int | None) -> dict[str, np.ndarray]:
    """The rows without training."""
    config = TrainConfig(**COMMON, **FROZEN, data="", dim=0, size=size)
    backbone = load_backbone("lite", frozen=True, size=size)
    tower = embed(Embedder(config, backbone), data.test.paths, config, backbone)
    return {
        "lite's tower, mean": tower,
        "lite": image_features(load_encoder("lite"), data.test.paths),
    }


def trained(arm: Mapping[str, Any], data: Benchmark, seed: int, out: Path) -> dict[str, float]:
    """Figures of one training on the test classes; from `out` if they are there."""
    settings = {**COMMON, **arm, "seed": seed}
    key = {name: value for name, value in settings.items() if name not in ("data", "device")}
    key["data"] = Path(arm["data"]).name
    for line in out.read_text().splitlines() if out.exists() else []:
        row = json.loads(line)
        if row["settings"] == key:
            return row["figures"]
    with TemporaryDirectory() as folder:
        config = TrainConfig(**settings, out=Path(folder) / "run")
        run = train(config)
        embedder, backbone = parts_of(run.folder)
        vectors = embed(embedder, data.test.paths, config, backbone)
    found = figures(vectors, data)
    with out.open("a") as file:
        row = {"settings": key, "figures": found, "validation": dict(run.about["metrics"])}
        file.write(json.dumps(row) + "\n")
    return found


def figures(vectors: np.ndarray, data: Benchmark) -> dict[str, float]:
    """Every test photo searched among all others."""
    return dict(measure(vectors, data.test.labels, ks=KS).figures)


def show(title: str, found: list[dict[str, float]]) -> None:
    """One row: mean and deviation over seeds, in percent."""
    cells = []
    for measure_name in MEASURES:
        values = [100 * row[measure_name] for row in found]
        spread = f" ±{statistics.stdev(values):.1f}" if len(values) > 1 else ""
        cells.append(f"{statistics.mean(values):.1f}{spread}")
    print(f"{title:32}" + "".join(f"{cell:>13}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
