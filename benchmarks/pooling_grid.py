"""Average, maximum, GeM, GGeM and the class token: classes told apart, and photos found by class.

    python benchmarks/pooling_grid.py --data FOLDER [--part frozen cifar] [--seeds 0 1 2] \
        [--steps 600] [--out runs/pooling-grid.jsonl] [--device cpu]

FOLDER holds grocery.zip and cifar10.npz. `frozen`: lite's maps (7 x 7 patches of 1280 numbers) of
two views of each photo of grocery; pooling and a linear classifier are learned, the tower is not.
Accuracy is of the official test photos, trained on the official train photos. Retrieval is among
the photos of the 40 classes of the test split, trained on the other 41; "as it is" has p = 3,
nothing learned. `cifar`: a vision transformer (patches of 4 pixels, 128 numbers, 6 blocks, 4 heads)
from nothing on the 5,000 photos of the train split; the 1,000 queries are classified and searched
among all 15,000 others. Every arm has the same steps, rates and draws. Results are kept in --out, a
line a training, and not made again: it may be interrupted at any time. On one core a training takes
one to two minutes of the former, and of the latter half a second a step.
"""

import argparse
import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import timm
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from pooling import parameter_groups, powers, replace
from pooling.classifier import Classifier
from vretr.data.sources import folder_of, rows
from vretr.data.views import Views
from vretr.encoders.backbones import Tokens, load_backbone
from vretr.encoders.base import unit
from vretr.encoders.precision import pick_device
from vretr.metrics import figures, ranks_from_labels

FROZEN_ARMS = ("avg", "max", "gem", *(f"ggem:groups={groups}" for groups in (4, 16, 64)))
CIFAR_ARMS = (
    *("cls", "avg", "max", "gem"),
    *(f"ggem:groups={groups}" for groups in (2, 4, 128)),
    "ggem:groups=4,negatives=signed",
)
WARMUP = 0.05  # of the steps
P_RATE = 10.0  # of the learning rate
RETRIEVAL = ("map@r", "recall@1")

Batch = Callable[[], tuple[Any, Tensor]]  # drawn from torch's generator


def main() -> None:
    """Trains what is missing and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", nargs="+", default=["frozen"], choices=PARTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--out", type=Path, default=Path("runs/pooling-grid.jsonl"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    device = pick_device(options.device)
    for part in options.part:
        arms, prepare = PARTS[part]
        measured: Callable[..., dict[str, float]] | None = None
        print(f"\n{part}: {options.steps} steps, {len(options.seeds)} seeds, mean ± deviation")
        for arm in arms:
            found = []
            for seed in options.seeds:
                key = {"part": part, "pooling": arm, "seed": seed, "steps": options.steps}
                known = kept(options.out, key)
                if known is None:
                    measured = measured or prepare(options.data, device)
                    known = measured(arm, seed=seed, steps=options.steps)
                    with options.out.open("a") as file:
                        file.write(json.dumps({**key, "figures": known}) + "\n")
                found.append(known)
            show(arm, found)


def kept(out: Path, key: Mapping[str, Any]) -> dict[str, float] | None:
    """The figures of a training that was done before."""
    for line in out.read_text().splitlines() if out.exists() else []:
        row = json.loads(line)
        if {name: row[name] for name in key} == key:
            return row["figures"]
    return None


def show(arm: str, found: list[dict[str, float]]) -> None:
    """A row: the mean over the seeds and their deviation; shares in per cent."""
    cells = []
    for name in found[0]:
        values = [one[name] * (1 if name.startswith("p ") else 100) for one in found]
        spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
        cells.append(f"{name} {statistics.mean(values):.2f}{spread}")
    print(f"{arm:32} " + "; ".join(cells), flush=True)


def fit(model: nn.Module, batch: Batch, groups: list[dict[str, Any]], *, steps: int) -> None:
    """AdamW, a short warm-up, then a cosine; cross entropy."""
    optimizer = torch.optim.AdamW(groups)
    first = max(1, round(WARMUP * steps))

    def factor(step: int) -> float:
        if step < first:
            return (step + 1) / first
        return (1 + math.cos(math.pi * (step - first) / max(1, steps - first))) / 2

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    model.train()
    for _ in range(steps):
        seen, labels = batch()
        functional.cross_entropy(model(seen), labels).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    model.eval()


def learned_powers(model: nn.Module) -> dict[str, float]:
    """Mean, least and most of p."""
    values = [value for group in powers(model).values() for value in group]
    if not values:
        return {}
    return {"p mean": statistics.mean(values), "p least": min(values), "p most": max(values)}


# --- on frozen maps ------------------------------------------------------------------------------


class Part(NamedTuple):
    """Some photos of a set, and what the tower told of two views of each photo of the set."""

    views: Views
    numbers: list[int]  # places in the set
    labels: Tensor  # int64, from 0 on

    def tokens(self, places: Sequence[int], views: Sequence[int]) -> Tokens:
        """Of these of its photos."""
        return self.views.read([self.numbers[place] for place in places], views)


def frozen(data: Path, device: torch.device) -> Callable[..., dict[str, float]]:
    """Looks at the photos of grocery, or at what the cache has of them."""
    backbone = load_backbone("lite", frozen=True, device=str(device))
    folder = folder_of(data / "grocery.zip")
    table = [row for _, row in rows(folder / "labels.jsonl")]
    views = Views.of(backbone, [folder / row["file_name"] for row in table], views=2)

    def part(column: str, value: str) -> Part:
        numbers = [number for number, row in enumerate(table) if row[column] == value]
        _, labels = np.unique([table[number]["label"] for number in numbers], return_inverse=True)
        return Part(views, numbers, torch.from_numpy(labels.astype(np.int64)))

    official, disjoint = (
        {value: part(column, value) for value in ("train", "test")}
        for column in ("source_split", "split")
    )

    def measured(arm: str, *, seed: int, steps: int) -> dict[str, float]:
        model = train_on(official["train"], arm, backbone, seed=seed, steps=steps)
        with torch.inference_mode():
            right = model.linear(pooled(model, official["test"])).argmax(1)
        found = {"accuracy": float((right == official["test"].labels).float().mean())}
        model = train_on(disjoint["train"], arm, backbone, seed=seed, steps=0)
        found |= {
            f"{name} as it is": value for name, value in searched(model, disjoint["test"]).items()
        }
        model = train_on(disjoint["train"], arm, backbone, seed=seed, steps=steps)
        return found | searched(model, disjoint["test"]) | learned_powers(model)

    return measured


def train_on(part: Part, arm: str, backbone: Any, *, seed: int, steps: int) -> Classifier:
    """Pooling and classifier after so many steps."""
    torch.manual_seed(seed)
    classes = int(part.labels.max()) + 1
    model = Classifier(backbone, arm, classes=classes, frozen=True)

    def batch() -> tuple[Any, Tensor]:
        places = torch.randint(len(part.numbers), (64,))
        return part.tokens(places.tolist(), torch.randint(2, (64,)).tolist()), part.labels[places]

    groups = model.groups(lr=3e-3, weight_decay=0.05, backbone_lr=1, pooling_lr=P_RATE)
    fit(model, batch, groups, steps=steps)
    return model


def pooled(model: Classifier, part: Part) -> Tensor:
    """Vectors [N, 1280] of the photos as they are."""
    count, found = len(part.numbers), []
    with torch.inference_mode():
        for start in range(0, count, 64):
            some = range(start, min(start + 64, count))
            found.append(model.vectors(part.tokens(some, [0] * len(some))))
    return torch.cat(found)


def searched(model: Classifier, part: Part) -> dict[str, float]:
    """Each photo among the others."""
    ranks = ranks_from_labels(unit(pooled(model, part).numpy()), part.labels.numpy())
    return figures(ranks, *RETRIEVAL)


# --- a transformer from nothing ------------------------------------------------------------------


def cifar(data: Path, device: torch.device) -> Callable[..., dict[str, float]]:
    """Decodes the subset of CIFAR-10."""
    with np.load(data / "cifar10.npz", allow_pickle=False) as stored:
        bounds, stream = stored["offsets"], stored["jpeg"].tobytes()
        labels = torch.from_numpy(stored["label"].astype(np.int64)).to(device)
        split = torch.from_numpy(stored["split"])
    decoded = [
        np.asarray(Image.open(BytesIO(stream[start:end]))) for start, end in pairwise(bounds)
    ]
    pixels = torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2).to(device)
    x = pixels.float() / 127.5 - 1
    queries = split == 0
    shown, shown_labels = x[split == 1], labels[split == 1]

    def measured(arm: str, *, seed: int, steps: int) -> dict[str, float]:
        torch.manual_seed(seed)
        model: Any = timm.models.VisionTransformer(
            img_size=32, patch_size=4, embed_dim=128, depth=6, num_heads=4, num_classes=10
        ).to(device)
        replace(model, arm, norm="before")
        torch.manual_seed(seed)  # the same draws for every arm

        def batch() -> tuple[Tensor, Tensor]:
            numbers = torch.randint(len(shown), (64,)).to(device)
            return moved(shown[numbers]), shown_labels[numbers]

        fit(
            model,
            batch,
            parameter_groups(model, lr=1e-3, weight_decay=0.05, p_lr=1e-3 * P_RATE),
            steps=steps,
        )
        vectors, scores = told(model, x)
        right = scores[queries].argmax(1) == labels[queries].cpu()
        numbers = labels.cpu().numpy()
        ranks = ranks_from_labels(
            vectors[queries],
            numbers[queries],
            gallery=vectors[~queries],
            gallery_labels=numbers[~queries],
        )
        found = {"accuracy": float(right.float().mean()), **figures(ranks, "map@r", "map")}
        return found | learned_powers(model)

    return measured


def moved(pixels: Tensor) -> Tensor:
    """Mirrored by halves, and up to 4 pixels aside, all drawn for each picture."""
    count = len(pixels)
    mirrored = torch.rand(count).to(pixels.device)[:, None, None, None] < 0.5
    padded = functional.pad(torch.where(mirrored, pixels.flip(3), pixels), (4, 4, 4, 4))
    down, right = torch.randint(9, (2, count)).to(pixels.device)
    side = torch.arange(32, device=pixels.device)
    lines, columns = down[:, None] + side, right[:, None] + side
    batch = torch.arange(count, device=pixels.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[batch, lines[:, :, None], columns[:, None]].permute(
        0, 3, 1, 2
    )


def told(model: Any, x: Tensor) -> tuple[np.ndarray, Tensor]:
    """Unit vectors before the classifier, and its scores, of all pictures."""
    vectors, scores = [], []
    with torch.inference_mode():
        for some in x.split(500):
            before = model.forward_head(model.forward_features(some), pre_logits=True)
            vectors.append(before.cpu())
            scores.append(model.head(before).cpu())
    return unit(torch.cat(vectors).numpy()), torch.cat(scores)


PARTS = {"frozen": (FROZEN_ARMS, frozen), "cifar": (CIFAR_ARMS, cifar)}

if __name__ == "__main__":
    main()
