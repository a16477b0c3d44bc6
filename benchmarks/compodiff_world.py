"""CompoDiff in a world of vectors, where the truth is known.

    python benchmarks/compodiff_world.py [--seeds 1 2 3] [--out FILE]

For each seed a network of 130,000 parameters learns from words, triplets and masked pictures, in
two stages. Printed, as mean and spread over seeds: composed recall@1 and @5 and that from words to
pictures, of the whole training; the composed recall by calls of the network, by where the sampler
starts, and by guidance; and shorter trainings in other ways. With --out every figure is kept as a
line of JSON, and what is there is not trained again. A seed takes about five minutes of one core.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from compodiff.losses import Drops, dropped, training_loss
from compodiff.model import Keys, Prior
from compodiff.sampler import sample
from compodiff.schedule import Schedule
from vretr.data.worlds.vectors import MASK_SIZE, Task, VectorWorld

SCHEDULE = Schedule.cosine()
SIZES = {"width": 48, "depth": 2, "heads": 4, "head_dim": 12, "cross_heads": 4}
LR, WARMUP, BATCH, CLIP, DECAY = 2e-3, 100, 128, 1.0, 0.995
MIX = (0.3, 0.5, 0.2)  # words to pictures, triplets, masked

Scales = tuple[float, float]
Figures = dict[str, float]


class TellsNoise(Prior):
    """The same network, which tells the noise; what is clean follows from it."""

    def denoise(self, noisy: Tensor, t: Tensor, keys: Keys) -> Tensor:
        kept = SCHEDULE.alphas_cumprod[t.long()][:, None]
        return (noisy - (1 - kept).sqrt() * super().denoise(noisy, t, keys)) / kept.sqrt()


@dataclass(frozen=True)
class Recipe:
    """A way to train."""

    first: int = 300  # steps from words to pictures alone
    steps: int = 1800  # in all
    mix: tuple[float, ...] = MIX
    drops: Drops = Drops()  # noqa: RUF009
    unit: bool = False  # vectors of length 1, not sqrt(dim)
    network: type[Prior] = Prior


WHOLE = Recipe()
SHORT = Recipe(first=200, steps=1100)
VARIANTS = {
    "base": SHORT,
    "unit vectors": replace(SHORT, unit=True),
    "tells the noise": replace(SHORT, network=TellsNoise),
    "no drops": replace(SHORT, drops=Drops(0, 0, 0)),
    "triplets only": Recipe(first=0, mix=(0, 1, 0)),
}


class Trained(NamedTuple):
    """A network, its world, and how long its vectors are."""

    prior: Prior
    world: VectorWorld
    length: float

    def tensors(self, task: Task) -> dict[str, Tensor]:
        """As `training_loss` wants them."""
        parts = {name: torch.from_numpy(part) for name, part in task._asdict().items()}
        return {
            **parts,
            "target": parts["target"] * self.length,
            "image": parts["image"] * self.length,
        }

    def vectors(
        self,
        *,
        image: Any = None,
        text: Any = None,
        negative: Any = None,
        mask: Any = None,
        scales: Scales = (3.0, 3.0),
        seed: int = 0,
        **options: Any,
    ) -> Any:
        """Unit vectors [B, dim] that are asked for; what is not given is absent."""
        given = next(part for part in (image, text) if part is not None)
        count, world = len(given), self.world
        empty = torch.from_numpy(world.empty)[None]
        found = sample(
            self.prior,
            SCHEDULE,
            image=torch.zeros(count, world.dim)
            if image is None
            else torch.from_numpy(image) * self.length,
            text=empty.expand(count, -1, -1) if text is None else torch.from_numpy(text),
            negative=empty if negative is None else torch.from_numpy(negative),
            mask=torch.zeros(count, MASK_SIZE, MASK_SIZE)
            if mask is None
            else torch.from_numpy(mask),
            scales=scales,
            seeds=[seed * 100_000 + number for number in range(count)],
            **options,
        )
        return torch.nn.functional.normalize(found, dim=1).numpy()


def train(recipe: Recipe, seed: int) -> Trained:
    """A network of the recipe in the world of that seed: the moving average of its weights."""
    world = VectorWorld(seed)
    random = np.random.default_rng([seed, 1])
    tasks: list[Callable[..., Task]] = [world.words_to_pictures, world.triplets, world.masked]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sizes = {"dim": world.dim, "text_width": world.dim, "mask_size": MASK_SIZE}
        prior = recipe.network(**sizes, **SIZES)
        averaged = recipe.network(**sizes, **SIZES)
        averaged.load_state_dict(prior.state_dict())
        trained = Trained(averaged.eval(), world, 1.0 if recipe.unit else world.dim**0.5)
        optimizer = torch.optim.AdamW(prior.parameters(), LR)
        rate = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: _factor(step, recipe.steps)
        )
        null = torch.from_numpy(world.empty)
        for step in range(recipe.steps):
            number = 0 if step < recipe.first else random.choice(len(tasks), p=recipe.mix)
            given = trained.tensors(tasks[number](BATCH, random))
            loss = _loss(prior, given, null, recipe.drops)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(prior.parameters(), CLIP)
            optimizer.step()
            rate.step()
            with torch.no_grad():
                decay = min(DECAY, (step + 1) / (step + 10))
                for mean, new in zip(averaged.parameters(), prior.parameters(), strict=True):
                    mean.lerp_(new, 1 - decay)
    return trained


def _factor(step: int, steps: int) -> float:
    if step < WARMUP:
        return (step + 1) / WARMUP
    return (1 + np.cos(np.pi * (step - WARMUP) / (steps - WARMUP))) / 2


def _loss(prior: Prior, given: dict[str, Tensor], null: Tensor, drops: Drops) -> Tensor:
    if not isinstance(prior, TellsNoise):
        return training_loss(prior, SCHEDULE, **given, null_text=null, drops=drops)["loss"]
    image, text = dropped(given["image"], given["text"], null, drops)
    target = given["target"]
    t = torch.randint(len(SCHEDULE), (len(target),))
    noise = torch.randn_like(target)
    clean = prior(SCHEDULE.add_noise(target, noise, t), image, text, given["mask"], t.float())
    kept = SCHEDULE.alphas_cumprod[t][:, None]
    return (kept / (1 - kept) * (clean - target).square()).mean()  # the squared error of the noise


class Asked:
    """Questions to a network, the same for one seed: 500 changes, and 500 captions."""

    def __init__(self, trained: Trained, seed: int, count: int = 500) -> None:
        random = np.random.default_rng([seed, 2])
        self.trained, self.world = trained, trained.world
        self.references = random.integers(len(self.world.items), size=count)
        self.items = self.world.items[self.references]
        self.targets, _, self.text = self.world.edits(self.items, random)
        self.pictures = self.world.gallery[self.references]

    def composed(self, scales: Scales = (3.0, 3.0), **options: Any) -> Figures:
        """Recall of the target at 1 and 5; the reference is left out."""
        given = {"image": self.pictures, "text": self.text, "scales": scales, **options}
        return self.recall(self.trained.vectors(**given))

    def recall(self, vectors: Any) -> Figures:
        """Of the targets, by unit vectors [count, dim]."""
        scores = vectors @ self.world.gallery.T
        rows = np.arange(len(scores))
        scores[rows, self.references] = -np.inf
        ranks = (scores > scores[rows, self.number(self.targets)][:, None]).sum(1)
        return {"recall@1": float((ranks < 1).mean()), "recall@5": float((ranks < 5).mean())}

    def from_words(self, **options: Any) -> float:
        """Recall@1 of the pictures that whole captions describe."""
        everything = np.ones((len(self.items), 4), bool)
        text = self.world.captions(self.items, everything)
        scores = self.trained.vectors(text=text, **options) @ self.world.gallery.T
        return float((scores.argmax(1) == self.references).mean())

    def number(self, items: Any) -> Any:
        """Where items stand in the gallery."""
        return np.ravel_multi_index(tuple(items.T), tuple(self.world.items.max(0) + 1))


def whole(seed: int) -> Figures:
    """The whole training's figures, by name."""
    started = time.process_time()
    trained = train(WHOLE, seed)
    found = {"training, s": time.process_time() - started}
    asked = Asked(trained, seed)
    alone = asked.recall(asked.pictures)
    found |= {f"picture alone, {name}": value for name, value in alone.items()}
    found |= {f"composed at (3, 3), {name}": value for name, value in asked.composed().items()}
    found["words to pictures, recall@1"] = asked.from_words()
    for steps in (1, 2, 3, 5, 10, 25):
        for form in ("ours", "original"):
            row = asked.composed((1, 2), steps=steps, schedule_form=form)
            found[f"(1, 2), {steps} calls, {form} times"] = row["recall@1"]
        found[f"(3, 3), {steps} calls"] = asked.composed(steps=steps)["recall@1"]
    found["(1, 2), 25 calls, eta 1"] = asked.composed((1, 2), steps=25, eta=1.0)["recall@1"]
    for scales in ((1, 1), (1, 2), (1.5, 3), (3, 3), (1.5, 7.5), (0, 1), (1.5, 0)):
        found[f"5 calls, guidance {scales}"] = asked.composed(scales, steps=5)["recall@1"]
    return found


def variant(seed: int, name: str) -> Figures:
    """Composed recall@1 of a shorter training by guidance, and from words to pictures."""
    asked = Asked(train(VARIANTS[name], seed), seed)
    guidance: tuple[Scales, ...] = ((1, 1), (1.5, 3), (3, 3))
    found = {f"{scales}": asked.composed(scales, steps=3)["recall@1"] for scales in guidance}
    return {**found, "words": asked.from_words(steps=3)}


def main() -> None:
    """Trains what is not in --out yet, and prints all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="not needed: the world is made")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--out", type=Path, help="lines of JSON, added to")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = options.out.read_text().splitlines() if options.out and options.out.exists() else []
    known = {(row["seed"], row["name"]): row["figures"] for row in map(json.loads, lines)}
    for seed in options.seeds:
        for name in ("whole", *VARIANTS):
            if (seed, name) in known:
                continue
            figures = whole(seed) if name == "whole" else variant(seed, name)
            known[seed, name] = figures
            if options.out:
                with options.out.open("a") as file:
                    file.write(json.dumps({"seed": seed, "name": name, "figures": figures}) + "\n")
    rows = {name: [known[seed, name] for seed in options.seeds] for name in ("whole", *VARIANTS)}
    for figure in rows["whole"][0]:
        print(f"{figure:34} {_spread([row[figure] for row in rows['whole']])}")
    print(f"\n{'':16}" + "".join(f"{figure:>15}" for figure in rows["base"][0]))
    for name in VARIANTS:
        print(
            f"{name:16}"
            + "".join(f"{_spread([r[f] for r in rows[name]]):>15}" for f in rows[name][0])
        )


def _spread(values: list[float]) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.3f} ±{deviation:.3f}"


if __name__ == "__main__":
    main()
