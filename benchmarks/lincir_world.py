"""LinCIR in a rendered world, where the truth is known, against composers that need no training.

    python benchmarks/lincir_world.py [--seeds 3]

For each seed: a small CLIP learns from pictures and sentences (`train_clip`), φ learns from
sentences alone (`lincir.train`), and pictures of the world's test split are asked for by another
picture and words ("make it blue") among all pictures of that split. Shares of the picture and the
prompt are chosen on questions of the training split.
"""

import argparse
import json
import logging
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import open_clip
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from lincir import files
from lincir.backbone import load_backbone
from lincir.composer import LinCIR
from lincir.config import TrainConfig
from lincir.phi import PseudoWords
from lincir.train import train
from vretr.composers import Composer, Slerp, WeightedSum
from vretr.data import triplets
from vretr.data.cir.benchmark import Benchmark, Query, Ranking
from vretr.data.worlds import BACKGROUNDS, VOCABULARY, Edit, Group, Scene, World, caption
from vretr.data.worlds.language import instruction
from vretr.data.worlds.scenes import edits
from vretr.evaluation.scoring import compose, score

MEASURES = ("recall@1", "recall@10", "recall@50", "map@10")
SHARES = [round(0.1 * step, 1) for step in range(1, 10)]
PICTURE, WORDS = (0.0, 0.1, 0.2, 0.3), (0.0, 0.2, 0.4, 0.6)
PROMPTS = ("$, {}", "a photo of $ that {}")
TAGS = {"one": "single", "two": "pair", "three": "trio", "cross": "plus-sign"}
"""Nouns and adjectives for what captions say in words that no tagger calls so."""

SIZE = 48  # of a picture, in pixels
MODEL: dict[str, Any] = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": SIZE, "layers": [1, 1, 1, 1], "width": 16, "head_width": 64},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 128, "heads": 4, "layers": 3},
}
PREPROCESS = {"mean": [0.5] * 3, "std": [0.5] * 3, "resize_mode": "squash"}

Figures = dict[str, float]


def scenes(world: World, split: str) -> Iterator[Scene]:
    """All scenes of one group that belong to the split, in an order and in poses by the seed."""
    random = Random(world.seed)
    told = [*product(*VOCABULARY.values(), BACKGROUNDS)]
    random.shuffle(told)
    for *words, background in told:
        scene = Scene((Group(*words),), background, pose=random.getrandbits(48))
        if world.split_of(scene) == split:
            yield scene


def posed(scene: Scene, random: Random) -> Scene:
    """The same in another pose."""
    return replace(scene, pose=random.getrandbits(48))


def tags(scene: Scene, random: Random) -> str:
    """The scene in key words alone, as people file pictures: "white background small red disc".

    LinCIR masks key words. In "two discs at the top" it never masks "two", so from captions alone
    φ would learn neither to count nor to be all that is said of a picture.
    """
    group = scene.groups[0]
    said = [group.size, group.colour, group.shape, group.count, group.place]
    parts = [" ".join(TAGS.get(word, word) for word in said), f"{scene.background} background"]
    return " ".join(random.sample(parts, 2))


def described(scene: Scene, random: Random, tagged: float) -> str:
    """Tags, so often as `tagged` says, or a caption."""
    if random.random() < tagged:
        return tags(scene, random)
    return caption(scene, phrasing=random.randrange(3))


def sentence(world: World, scene: Scene, random: Random, *, tagged: float = 0.5) -> str:
    """One of the ways in which people write about a picture.

    Nearly half describe it, as many describe another scene of the training split and say how this
    one differs ("two small red discs at the top, white background, make them blue"), and a tenth
    say the difference alone. Text towers of the real world have read "the same in blue" as well.
    """
    way = random.random()
    if way < 0.45:
        return described(scene, random, tagged)
    others = [edit for edit in edits(scene) if world.split_of(edit.target) == "train"]
    there = random.choice(others)
    of = scene if there.group is None else scene.groups[there.group]
    back = Edit(scene, there.attribute, getattr(of, there.attribute), there.group)
    words = instruction(there.target, back, phrasing=random.randrange(3))
    if way > 0.9:
        return words
    return f"{described(there.target, random, tagged)}, {words}"


def write_corpus(world: World, file: Path, count: int) -> Path:
    """Sentences about scenes of the training split; nobody draws these."""
    random = Random(f"{world.seed} corpus")
    known = [*scenes(world, "train")]
    lines = (sentence(world, random.choice(known), random, tagged=1.0) for _ in range(count))
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def train_clip(
    world: World, folder: Path, *, steps: int = 300, batch: int = 128, lr: float = 2e-3
) -> str:
    """Trains a CLIP on the world's training split and saves it as open_clip does; its name.

    Symmetric cross entropy of matching pictures and sentences; a scene takes a new pose and gets a
    new sentence every time it is seen.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_cfg": MODEL, "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(world.seed)
        model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    tokens = open_clip.SimpleTokenizer(context_length=MODEL["text_cfg"]["context_length"])
    known = [*scenes(world, "train")]
    draw, random = np.random.default_rng(world.seed), Random(f"{world.seed} clip")
    optimizer = torch.optim.AdamW(model.parameters(), lr, betas=(0.9, 0.98), weight_decay=0.05)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, pct_start=0.2)
    model.train()
    for _ in range(steps):
        chosen = [known[number] for number in draw.choice(len(known), batch, replace=False)]
        pictures = np.stack([world.pixels(posed(scene, random)) for scene in chosen])
        pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
        read = tokens([sentence(world, scene, random) for scene in chosen])
        loss = _contrastive(model(pixels, read))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return f"local-dir:{folder}"


def _contrastive(output: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    pictures, texts, scale = output
    logits = scale.clamp(max=100) * pictures @ texts.T
    right = torch.arange(len(logits))
    return (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2


def train_phi(world: World, backbone: str, folder: Path, **options: Any) -> PseudoWords:
    """φ of LinCIR, from sentences alone. `options`: of `TrainConfig`, in place of those here."""
    corpus = write_corpus(world, folder / "sentences.txt", 8000)
    given: dict[str, Any] = {
        "backbone": backbone,
        "corpus": (str(corpus),),
        "tagger": "rules",
        "out": folder / "phi",
        "steps": 500,
        "batch_size": 128,
        "lr": 2e-3,
        "schedule": "cosine",
        "dropout": 0.0,
        "l2_normalize": True,  # this CLIP's pictures have nearly twice the length of its texts
        "holdout": 512,
        "validate_every": 250,
        "device": "cpu",
        "precision": "fp32",  # auto would measure the machine, and figures depend on it
        "threads": 1,
        "seed": world.seed,
    }
    return files.read(train(TrainConfig(**given | options)).folder).phi


@dataclass(frozen=True)
class Asked:
    """Composed queries among all pictures of a split."""

    benchmark: Benchmark
    vectors: Any  # float32 [N, dim], of the pictures
    lengths: Any  # the same as the image tower gives them
    captions: tuple[str, ...]  # of the pictures

    @classmethod
    def of(cls, world: World, encoder: Any, split: str, count: int) -> "Asked":
        """Random edits of which both ends are in the gallery: the split's scenes, at most 1,000."""
        known = [*islice(scenes(world, split), 1000)]
        place = {scene.meaning: number for number, scene in enumerate(known)}
        gallery, random = np.arange(len(known)), Random(f"{world.seed} {split}")
        queries: list[Query] = []
        while len(queries) < count:
            reference = random.randrange(len(known))
            here = [edit for edit in edits(known[reference]) if edit.target.meaning in place]
            if here:
                edit = random.choice(here)
                words = instruction(known[reference], edit, phrasing=random.randrange(3))
                target = place[edit.target.meaning]
                asked = {"reference": reference, "texts": (words,), "targets": (target,)}
                queries.append(Query(id=str(len(queries)), gallery=gallery, **asked))
        # A target in the pose of its reference would be found by more than what was said.
        pictures = [world.render(posed(scene, random)) for scene in known]
        benchmark = Benchmark(
            title="world",
            split=split,
            queries=queries,
            pictures=[],
            rankings={"targets": Ranking()},
            figures=triplets.figures,
            reference="removed",
        )
        captions = tuple(map(caption, known))
        vectors, lengths = encoder.encode_images(pictures), encoder.project_images(pictures)
        return cls(benchmark, vectors, lengths, captions)

    def told(self) -> "Asked":
        """The same with the reference's true caption before the words."""
        queries = [
            replace(
                one, texts=tuple(f"{self.captions[one.reference]}, {text}" for text in one.texts)
            )
            for one in self.benchmark.queries
        ]
        return replace(self, benchmark=replace(self.benchmark, queries=queries))

    def figures(self, composer: Composer) -> Figures:
        """Recall@1, 10 and 50 and mAP@10."""
        queries = self.benchmark.queries
        raw = getattr(composer, "reads_lengths", False)
        references = (self.lengths if raw else self.vectors)[[one.reference for one in queries]]
        ranks = score(self.benchmark, compose(composer, queries, references), self.vectors)
        found = self.benchmark.figures(ranks, queries)
        return {name: found[name] for name in MEASURES}


def rows_of(seed: int, folder: Path, *, queries: int = 1000, **options: Any) -> dict[str, Figures]:
    """Figures on the test split by composer: the baselines, LinCIR as in the paper, and with shares
    of the picture's vector and of the words by themselves, as `lite` has it. Last, what a φ without
    a fault would come near to: the reference's true caption in its place."""
    world = World(seed, SIZE)
    name = train_clip(world, folder / "clip")
    phi = train_phi(world, name, folder, **options)
    encoder = load_backbone(name)
    chosen, asked = (Asked.of(world, encoder, split, queries) for split in ("train", "test"))

    def best(composers: Sequence[Composer]) -> Composer:
        return max(composers, key=lambda composer: chosen.figures(composer)["recall@1"])

    def lincir(prompt: str, picture: float = 0.0, words: float = 0.0) -> LinCIR:
        shares = {"picture_weight": picture, "words_weight": words}
        return LinCIR(encoder, phi, prompt=prompt, **shares)

    alone = best([lincir(prompt) for prompt in PROMPTS])
    prompt = alone.prompt.text
    composers = {
        "image": WeightedSum(encoder, 1.0),
        "text": WeightedSum(encoder, 0.0),
        "sum": best([WeightedSum(encoder, share) for share in SHARES]),
        "slerp": best([Slerp(encoder, share) for share in SHARES]),
        "lincir": alone,
        "lincir, shares": best([lincir(prompt, *shares) for shares in product(PICTURE, WORDS)]),
    }
    rows = {name: asked.figures(composer) for name, composer in composers.items()}
    return rows | {"true caption": asked.told().figures(composers["text"])}


def main() -> None:
    """Prints each seed's figures, then their mean and standard deviation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="not needed: the world is rendered")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first one")
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    found: list[dict[str, Figures]] = []
    for seed in range(options.first, options.first + options.seeds):
        with TemporaryDirectory() as folder, patch.dict(os.environ, {"VRETR_HOME": folder}):
            started = time.process_time()
            found.append(rows_of(seed, Path(folder)))
            seconds = time.process_time() - started
        print(f"seed {seed}, {seconds:.0f} s of processor time")
        for name, figures in found[-1].items():
            print(f"  {name:16}" + "".join(f"{100 * figures[m]:9.1f}" for m in MEASURES))
    print(f"mean and spread    {'  '.join(f'{measure:>12}' for measure in MEASURES)}")
    for name in found[0]:
        print(
            f"  {name:16}"
            + "  ".join(_spread([100 * row[name][m] for row in found]) for m in MEASURES)
        )


def _spread(values: Sequence[float]) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):6.1f} ±{deviation:4.1f}"


if __name__ == "__main__":
    main()
