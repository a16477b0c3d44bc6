"""Time of a composed query by CompoDiff, from read words and pictures to the vector.

    python benchmarks/compodiff_speed.py [--rounds 5] [--threads 2 1] [--gpu]

Networks with random weights: `lite`'s (vectors of 640 numbers, width 512, depth 4, 16 tokens) and
that of the paper (ViT-L: 768, depth 12, 77 tokens). One query and 100 together, in 1 to 10 calls,
with guidance (1.5, 3), which takes three branches, (3, 3), which takes two, and (1, 1), which takes
one; on two threads and on one. For one query beside them the plain way: three whole forwards at
each call, as the authors' code has it. The ways take turns; medians of milliseconds by the clock
and by the processor, whose time is of all threads together and says more than the clock on a
machine that does other work.

With --gpu: training steps a second of the paper's network at batch 2,048 in bf16, and the time that
a million steps, its first stage as far as is known, would take.
"""

import argparse
import time
from collections.abc import Callable
from itertools import pairwise, product
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor

from compodiff.losses import training_loss
from compodiff.model import Prior
from compodiff.sampler import coefficients, drawn, sample, times_of
from compodiff.schedule import Schedule

SCHEDULE = Schedule.cosine()
CALLS = (1, 2, 3, 5, 10)
BATCH, FIRST_STAGE = 2048, 1_000_000


class Size(NamedTuple):
    """A network, and how long its texts are."""

    tokens: int
    prior: Callable[[], Prior]


SIZES = {
    "lite": Size(16, lambda: Prior(dim=640, width=512, depth=4, heads=8, text_width=384)),
    "ViT-L": Size(77, lambda: Prior(dim=768, depth=12, heads=16, text_width=768)),
}


class Query(NamedTuple):
    """Conditions of several queries."""

    image: Tensor
    text: Tensor
    negative: Tensor
    mask: Tensor

    @classmethod
    def of(cls, prior: Prior, tokens: int, count: int) -> "Query":
        """Random ones; the empty string is one for all."""
        width, side = prior.settings["text_width"], prior.settings["mask_size"]
        text = torch.randn(count + 1, tokens, width)
        return cls(
            torch.randn(count, prior.dim), text[1:], text[:1], torch.zeros(count, side, side)
        )


def plain(prior: Prior, query: Query, scales: tuple[float, float], steps: int) -> Tensor:
    """The same vectors: conditions are read anew at every call, three times."""
    count = len(query.image)
    image = torch.cat([query.image, query.image, torch.zeros_like(query.image)])
    text = torch.cat([query.text, query.negative.expand(2 * count, -1, -1)])
    mask = query.mask.repeat(3, 1, 1)
    alphas: list[float] = SCHEDULE.alphas_cumprod.tolist()
    x = drawn(range(count), prior.dim)[0]
    for now, then in pairwise(times_of(steps, "ours", len(SCHEDULE))):
        t = torch.full((3 * count,), float(now))
        full, picture, null = prior(x.repeat(3, 1), image, text, mask, t).chunk(3)
        x0 = null + scales[1] * (full - picture) + scales[0] * (picture - null)
        if then < 0:
            break
        rest = (x - alphas[now] ** 0.5 * x0) / (1 - alphas[now]) ** 0.5
        x = alphas[then] ** 0.5 * x0 + coefficients(alphas[now], alphas[then], 0)[1] * rest
    return x0


def on_a_processor(rounds: int, every: list[int]) -> None:
    """Prints milliseconds a call of `sample`, by size, queries and threads."""
    for name, count, threads in product(SIZES, (1, 100), every):
        torch.set_num_threads(threads)
        size = SIZES[name]
        prior = size.prior().eval()
        query = Query.of(prior, size.tokens, count)

        def ours(
            scales: tuple[float, float], steps: int, prior: Prior = prior, query: Query = query
        ) -> Tensor:
            seeds = range(len(query.image))
            return sample(
                prior, SCHEDULE, **query._asdict(), scales=scales, steps=steps, seeds=seeds
            )

        wanted = plain(prior, query, (1.5, 3), 3)
        torch.testing.assert_close(ours((1.5, 3), 3), wanted, atol=1e-3, rtol=1e-3)
        ways: dict[str, Callable[[int], Tensor]] = {
            "(1.5, 3)": lambda steps, ours=ours: ours((1.5, 3), steps),
            "(3, 3)": lambda steps, ours=ours: ours((3, 3), steps),
            "(1, 1)": lambda steps, ours=ours: ours((1, 1), steps),
        }
        if count == 1:
            ways["plain"] = lambda steps, prior=prior, query=query: plain(
                prior, query, (1.5, 3), steps
            )
        found = timed(ways, rounds if count == 1 else max(rounds // 3, 1))
        print(f"\n{name}, {count} together, {threads} threads: ms by the clock (by the processor)")
        print(f"{'calls':10}" + "".join(f"{calls:>16}" for calls in CALLS))
        for way in ways:
            cells = (found[way, calls] for calls in CALLS)
            print(
                f"{way:10}" + "".join(f"{clock:8.0f} {f'({own:.0f})':>7}" for clock, own in cells)
            )


def timed(
    ways: dict[str, Callable[[int], Tensor]], rounds: int
) -> dict[tuple[str, int], tuple[float, float]]:
    """Medians of milliseconds by the clock and by the processor, of each way and calls."""
    every = [*product(ways, CALLS)]
    taken: dict[tuple[str, int], list[tuple[float, float]]] = {key: [] for key in every}
    with torch.no_grad():
        for _ in range(rounds):
            for way, calls in every:
                clock, own = time.perf_counter(), time.process_time()
                ways[way](calls)
                spent = time.perf_counter() - clock, time.process_time() - own
                taken[way, calls].append(spent)
    return {
        key: (1000 * median(each[0] for each in all_), 1000 * median(each[1] for each in all_))
        for key, all_ in taken.items()
    }


def on_a_gpu(steps: int = 20, batch: int = BATCH, device: str = "cuda") -> None:
    """Prints training steps a second of the paper's network, and its memory."""
    size = SIZES["ViT-L"]
    prior = size.prior().to(device)
    query = Query(*(part.to(device) for part in Query.of(prior, size.tokens, batch)))
    optimizer = torch.optim.AdamW(prior.parameters(), lr=1e-4)
    for number in range(steps + 3):
        if number == 3:
            torch.cuda.synchronize()
            start = time.perf_counter()
        with torch.autocast(device, torch.bfloat16):
            given = {"image": query.image, "text": query.text, "mask": query.mask}
            null = query.negative[0]
            losses = training_loss(prior, SCHEDULE, target=query.image, null_text=null, **given)
        losses["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
    torch.cuda.synchronize()
    rate = steps / (time.perf_counter() - start)
    memory = torch.cuda.max_memory_allocated() / 2**30
    print(
        f"ViT-L: {rate:.2f} training steps/s at batch {batch}, {memory:.1f} GiB; "
        f"{FIRST_STAGE:,} steps in {FIRST_STAGE / rate / 86_400:.1f} days "
        f"({torch.cuda.get_device_name()})"
    )


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="not needed: weights and conditions are random")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--gpu", action="store_true", help="training at the paper's size")
    options = parser.parse_args()
    torch.manual_seed(0)
    if options.gpu:
        on_a_gpu()
    else:
        on_a_processor(options.rounds, options.threads)


if __name__ == "__main__":
    main()
