"""LinCIR's training on a processor, against a plain implementation of the authors' loop.

    python benchmarks/lincir_speed.py --data FOLDER [--steps 8] [--gpu]

Steps a second of one core at batch 64 on the text tower of ViT-B/32 with random weights; processor
time, in turns, medians of the steps and of the ratios within a turn:

- plain: as the authors' code has it: each caption tagged, masked and tokenised when it is wanted,
  one at a time; 77 tokens for every sentence; float32;
- fp32: from the token cache, by `lincir.stepping.step`, float32 as well;
- bf16: the same with a tower that multiplies in bf16;
- kept: float32 with the whole sentences' vectors kept on disk, as they are where the corpus is read
  more than twice.

Also which of the two formats `--precision auto` takes on this processor, and how alike they are:
the least cosine of φ's gradients, with the same noise, over as many batches as there are steps.

The plain loop tags with spaCy where it and en_core_web_sm are installed, as the authors do, else
with the list of ours, which costs next to nothing. And what the token cache costs: captions a
second in this process, beside captions tagged one by one. With --gpu: the text towers of ViT-L and
ViT-G, steps a second at batch 512, memory, and the time that the paper's 20,000 steps would take.
"""

import argparse
import gzip
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lincir import masks
from lincir.backbone import load_backbone
from lincir.corpus import Corpus, cleaned
from lincir.data import Batch, Sentences, text_vectors
from lincir.model import Phi, noisy
from lincir.preparing import Preparer, Recipe
from lincir.stepping import Step, step
from lincir.tagger import Rules, Spacy, Tagger, _has_spacy
from lincir.tokens import load_tokens
from vretr.encoders.precision import multiplies_bf16_fast

BATCH, CONTEXT, DOLLAR = 64, 77, 259
PAPER_STEPS, PAPER_BATCH = 20_000, 512


class Plain:
    """The authors' step: nothing prepared, nothing cropped."""

    def __init__(self, encoder: Any, captions: list[str], tagger: Tagger) -> None:
        from open_clip.tokenizer import SimpleTokenizer

        self.tower = encoder._clip_texts._tower
        self.captions, self.tagger = captions, tagger
        self.tokenizer = SimpleTokenizer()

    def ids(self, pieces: tuple[str, ...]) -> Tensor:
        first, *others = ([*self.tokenizer.encode(piece)] for piece in pieces)
        ids = [49406, *first]
        for other in others:
            ids += [DOLLAR, *other]
        ids = [*ids[: CONTEXT - 1], 49407]
        return F.pad(torch.tensor(ids), (0, CONTEXT - len(ids)))

    def encode(self, ids: Tensor, words: Tensor | None = None) -> Tensor:
        tower = self.tower
        x = tower.token_embedding(ids)
        if words is not None:
            x = torch.where((ids == DOLLAR)[..., None], words[:, None], x)
        x = tower.transformer(x + tower.positional_embedding, attn_mask=tower.attn_mask)
        x = tower.ln_final(x)[torch.arange(len(ids)), ids.argmax(1)]
        return x @ tower.text_projection

    def __call__(self, phi: Phi, rows: np.ndarray) -> Tensor:
        whole, masked = [], []
        for row in rows:
            caption = cleaned(self.captions[row])
            (words,) = self.tagger([caption])
            whole.append(self.ids((caption,)))
            masked.append(self.ids(masks.original(caption, words)))
        with torch.no_grad():
            wanted = self.encode(torch.stack(whole))
        words = phi(noisy(wanted, 1.0))[:, 0]
        return F.mse_loss(self.encode(torch.stack(masked), words), wanted)


def timed(step: Callable[[], Tensor], optimizer: torch.optim.Optimizer) -> float:
    """Seconds of one training step."""
    start = time.process_time()
    step().backward()
    optimizer.step()
    optimizer.zero_grad()
    return time.process_time() - start


def gradient(loss: Tensor, phi: Phi) -> Tensor:
    """Of all weights of φ, as one vector; in float64, as there are millions to sum up."""
    parts = torch.autograd.grad(loss, [*phi.parameters()])
    return torch.cat([part.flatten() for part in parts]).double()


def alike(steps: dict[str, Step], phi: Phi, batch: Batch) -> float:
    """Cosine of the gradients of two steps with the same noise and dropout."""
    found = []
    for one in steps.values():
        torch.manual_seed(1)
        found.append(gradient(one(phi, batch)["loss"], phi))
    return float(F.cosine_similarity(*found, dim=0))


def on_a_processor(captions: list[str], steps: int) -> None:
    """Prints the loops' steps a second, and their ratios."""
    torch.set_num_threads(1)
    encoder = load_backbone("ViT-B-32/random")
    low = load_backbone("ViT-B-32/random", precision="bf16")
    tagger: Tagger = Spacy() if _has_spacy() else Rules()
    recipe = Recipe(encoder.name, "rules", "span", 1)
    alone = rate_of(lambda some: [tagger([cleaned(one)]) for one in some], captions[:400])
    print(f"tagging one by one ({tagger.name}): {alone:,.0f} captions/s")
    for each in {found.name: found for found in (tagger, Rules())}.values():
        rate = rate_of(Preparer(encoder, each, recipe), captions[:2000])
        print(f"token cache ({each.name}): {rate:,.0f} captions/s a process, {rate / alone:.1f} x")
    with TemporaryDirectory() as folder:
        os.environ["VRETR_HOME"] = folder
        file = Path(folder) / "captions.txt"
        file.write_text("\n".join(captions[:4000]), encoding="utf-8")
        corpus = Corpus.of([str(file)], ["text"])
        cache, _ = load_tokens(corpus, encoder, recipe, processes=1)
        sentences = Sentences(cache, np.arange(len(cache.sentences)))
        phi = Phi(encoder.dim, encoder.token_width)
        optimizer = torch.optim.AdamW(phi.parameters(), lr=1e-4, weight_decay=0.01)
        plain = Plain(encoder, captions, tagger)
        ours = {"fp32": step(encoder, 1.0), "bf16": step(low, 1.0)}
        draws = np.random.default_rng(0)
        vectors = text_vectors(encoder, cache, sentences.rows)
        kept = Sentences(cache, sentences.rows, features=vectors)
        seconds: dict[str, list[float]] = {"plain": [], **{name: [] for name in ours}, "kept": []}
        cosines = []
        for _ in range(steps + 1):
            rows = draws.integers(0, len(cache.sentences), BATCH)
            loops: dict[str, Callable[[Any], Tensor]] = {
                "plain": lambda rows: plain(phi, rows),
                "fp32": lambda rows: ours["fp32"](phi, sentences.batch(rows))["loss"],
                "bf16": lambda rows: ours["bf16"](phi, sentences.batch(rows))["loss"],
                "kept": lambda rows: ours["fp32"](phi, kept.batch(rows))["loss"],
            }
            cosines.append(alike(ours, phi, sentences.batch(rows)))
            for name, loop in loops.items():
                seconds[name].append(timed(partial(loop, rows), optimizer))
    for name, found in seconds.items():
        pairs = [plain / mine for plain, mine in zip(seconds["plain"], found, strict=True)][1:]
        rate = 1 / median(found[1:])  # the first warms up
        print(
            f"{name:6} {rate:6.3f} steps/s at batch {BATCH}, {median(pairs):.2f} x plain "
            f"({min(pairs):.2f} to {max(pairs):.2f})"
        )
    taken = "bf16" if multiplies_bf16_fast("cpu") else "fp32"
    print(f"auto takes {taken} here; the gradients' least cosine is {min(cosines):.6f}")


def rate_of(work: Callable[[list[str]], object], captions: list[str]) -> float:
    """Captions a second; a few are worked on first, to warm up."""
    work(captions[:50])
    start = time.perf_counter()
    work(captions)
    return len(captions) / (time.perf_counter() - start)


def on_a_gpu(captions: list[str], name: str, steps: int) -> None:
    """Prints steps a second and memory of a large tower, and the time of the paper's training."""
    encoder = load_backbone(f"{name}/random", device="cuda", precision="auto")
    preparer = Preparer(encoder, Rules(), Recipe(encoder.name, "rules", "span", 1))
    tokens, _ = preparer(captions)
    sentences = Sentences(tokens, np.arange(len(tokens.sentences)))
    phi = Phi(encoder.dim, encoder.token_width).cuda()
    optimizer = torch.optim.AdamW(phi.parameters(), lr=1e-4, weight_decay=0.01)
    ours, draws = step(encoder, 1.0), np.random.default_rng(0)
    for number in range(steps + 3):
        if number == 3:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            start = time.perf_counter()
        rows = draws.integers(0, len(sentences), PAPER_BATCH)
        with torch.autocast("cuda", torch.bfloat16):
            loss = ours(phi, sentences.batch(rows))["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    torch.cuda.synchronize()
    rate = steps / (time.perf_counter() - start)
    memory = torch.cuda.max_memory_allocated() / 2**30
    print(
        f"{name}: {rate:.2f} steps/s at batch {PAPER_BATCH}, {memory:.1f} GiB; "
        f"{PAPER_STEPS:,} steps in {PAPER_STEPS / rate / 60:.0f} minutes "
        f"({torch.cuda.get_device_name()})"
    )


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with captions.txt.gz")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--gpu", action="store_true", help="the large towers, where there is a GPU")
    options = parser.parse_args()
    with gzip.open(options.data / "captions.txt.gz", "rt", encoding="utf-8") as file:
        captions = [line.rstrip("\n") for line, _ in zip(file, range(10_000), strict=False)]
    torch.manual_seed(0)
    if options.gpu:
        for name in ("ViT-L-14-quickgelu", "ViT-bigG-14"):
            on_a_gpu(captions, name, steps=max(options.steps, 20))
    else:
        on_a_processor(captions, options.steps)


if __name__ == "__main__":
    main()
