"""CompoDiff trained on fashion's train photos in minutes, on the fashion test triplets.

    python benchmarks/compodiff_fashion.py --data FOLDER [--seeds 3] [--out runs/compodiff_fashion]

FOLDER holds fashion.zip. Triplets ("is COLOUR" beside a product) are derived from the train photos
as benchmarks/composed.py derives those of the test photos. A seventh of the train photos is kept
out, and what is chosen is chosen there: the best step, the guidance, the weight of the sum. What a
run is called by holds its settings, and a run that is finished or was cut off is gone on with.

Of the 23,147 test triplets 4,000 are drawn, the same for all (--queries).

Negative colour words: for each colour with 20 test photos, how many of the first ten photos have
it, without and with that colour as words that are not wanted; beside a picture of that colour, and
beside words that leave the colour open.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from compodiff import files as compodiff
from compodiff.config import ComposerOptions, TrainConfig
from compodiff.train import train
from lincir import files as lincir
from vretr import load_encoder
from vretr.composers import Composer, Negatives, WeightedSum, load_composer
from vretr.data import triplets
from vretr.data.attribute_triplets import AttributeTripletsConfig, derive
from vretr.data.cir.benchmark import Benchmark
from vretr.data.features import Vectors, image_features
from vretr.data.sources import folder_of, rows
from vretr.encoders import Encoder
from vretr.evaluation.scoring import compose, score
from vretr.training import Run

MEASURES = ("recall@1", "recall@10", "recall@50")
CALLS = (1, 2, 3, 5, 10)
HELD = 7  # one in so many train photos chooses
LEAST = 20  # test photos of a colour that is asked against
TIMED = 30  # queries


@dataclass(frozen=True)
class Asked:
    """Triplets as queries, with the vectors of their pictures."""

    benchmark: Benchmark
    vectors: Vectors

    @classmethod
    def of(cls, file: Path, encoder: Encoder, most: int) -> "Asked":
        found = triplets.load(file)
        order = np.sort(np.random.default_rng(0).permutation(len(found))[:most])
        among = triplets.pictures(found)
        chosen = [replace(found[number], gallery=None) for number in order]
        benchmark = triplets.benchmark(chosen, file.stem, among=among)
        return cls(benchmark, image_features(encoder, benchmark.pictures))

    @property
    def references(self) -> Vectors:
        return self.vectors[[query.reference for query in self.benchmark.queries]]

    def figures(self, composer: Composer) -> dict[str, float]:
        queries = compose(composer, self.benchmark.queries, self.references)
        return self.benchmark.figures(
            score(self.benchmark, queries, self.vectors), self.benchmark.queries
        )


def main() -> None:
    """Trains what is not trained yet, and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with fashion.zip")
    parser.add_argument("--out", type=Path, default=Path("runs/compodiff_fashion"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--text", choices=("tokens", "vector"), default="tokens")
    parser.add_argument("--triplets-only", action="store_true")
    parser.add_argument("--mix-mask", type=float, default=0.0, help="no query here has a mask")
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--queries", type=int, default=4000)
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    source = options.data / "fashion.zip"
    learned, held, test = prepared(source, options.out)
    encoder = load_encoder("lite")
    choosing = Asked.of(held, encoder, min(1000, options.queries))
    asked = Asked.of(test, encoder, options.queries)
    colours = Colours.of(source, encoder)
    for part in (asked, choosing):
        print(f"{len(part.benchmark.queries)} triplets, {len(part.benchmark.pictures)} photos")
    heads = (*MEASURES, "ms a query", "kept out R@10")
    print(f"{'':34}" + "".join(f"{head:>14}" for head in heads), flush=True)
    best = max(
        (share / 20 for share in range(21)),
        key=lambda share: choosing.figures(WeightedSum(encoder, share))["recall@10"],
    )
    known: dict[str, Composer] = {
        "picture alone": load_composer("image", encoder),
        "words alone": load_composer("text", encoder),
        f"best sum ({best:g} of the picture)": WeightedSum(encoder, best),
    }
    if (phi := lincir.composer(encoder)) is not None:
        known["LinCIR as shipped"] = phi
    for title, composer in known.items():
        show(title, [composer], asked, choosing)

    kind = "only" if options.triplets_only else f"mask{options.mix_mask:g}"
    name = f"{options.text}-{options.steps}-{options.lr:g}-{kind}"
    config = TrainConfig(
        backbone="lite",
        triplets=(learned,),
        validation=held,
        captions=source,
        captions_field="name",
        captions_split="train",
        triplets_only=options.triplets_only,
        mix_mask=options.mix_mask,
        text=options.text,
        steps=options.steps,
        lr=options.lr,
        threads=options.threads,
        validate_every=max(1, options.steps // 5),
        save_every=100,
    )
    runs = [trained(config, options.out / f"{name}-{seed}", seed) for seed in range(options.seeds)]
    for run in runs:
        said = run.about["compodiff"]
        last = run.metrics()[-1]["seconds"]
        print(f"{run.folder}: guidance {said['guidance']}, {last:.0f} s of training", flush=True)
    for calls in CALLS:
        made = [made_by(run, encoder, steps=calls) for run in runs]
        show(f"CompoDiff, {calls} call{'s' * (calls > 1)}", made, asked, choosing)
    plain = [made_by(run, encoder, guidance_image=1.0, guidance_text=1.0) for run in runs]
    show("CompoDiff, 2 calls, no guidance", plain, asked, choosing)
    print(f"\n{'share of the unwanted colour':34}{'without':>14}{'with':>14}{'same type':>14}")
    negative("picture, sum", [load_composer("sum", encoder)], colours, beside=True)
    negative("words, sum", [load_composer("sum", encoder)], colours, beside=False)
    for guidance in (None, 2.0, 4.0):
        made = [made_by(run, encoder, guidance_text=guidance) for run in runs]
        title = "as chosen, at least 2" if guidance is None else f"{guidance:g}"
        negative(f"picture, CompoDiff {title}", made, colours, beside=True)
        if not options.triplets_only:
            negative(f"words, CompoDiff {title}", made, colours, beside=False)


def prepared(source: Path, out: Path) -> tuple[Path, Path, Path]:
    """Files of triplets to train on, to choose on, and of the test photos."""
    whole, test = out / "train.jsonl", out / "test.jsonl"
    derive(AttributeTripletsConfig(source=source, out=whole, split="train"))
    derive(AttributeTripletsConfig(source=source, out=test, split="test"))
    photos = whole.with_suffix(".txt").read_text().splitlines()
    kept_out = {*np.random.default_rng(0).permutation(photos)[: len(photos) // HELD].tolist()}
    sides: dict[bool, list[dict[str, object]]] = {True: [], False: []}
    for _, row in rows(whole):
        side = row["reference"] in kept_out
        targets = [target for target in row["targets"] if (target in kept_out) == side]
        if targets:
            sides[side].append({**row, "targets": targets, "gallery": None})
    gallery = out / "held.txt"
    gallery.write_text("\n".join(photo for photo in photos if photo in kept_out))
    learned, held = out / "learned.jsonl", out / "held.jsonl"
    triplets.save(learned, sides[False])
    triplets.save(held, [{**row, "gallery": gallery.name} for row in sides[True]])
    return learned, held, test


def trained(config: TrainConfig, folder: Path, seed: int) -> Run:
    """The finished run of a seed, trained or gone on with if need be."""
    if (folder / "model.safetensors").exists():
        return Run.open(folder)
    return train(replace(config, out=folder, seed=seed, resume=(folder / "run.json").exists()))


def made_by(run: Run, encoder: Encoder, **options: float | int | None) -> Composer:
    """The composer of a run."""
    found = compodiff.composer(encoder, run.folder, options=ComposerOptions(**options))  # type: ignore[arg-type]
    assert found is not None
    return found


def show(title: str, composers: Sequence[Composer], asked: Asked, choosing: Asked) -> None:
    """A row: means over seeds, and standard deviations where there are several."""
    found = [asked.figures(composer) for composer in composers]
    kept_out = [choosing.figures(composer)["recall@10"] for composer in composers]
    times = [seconds(composer, asked) for composer in composers]
    cells = [spread([100 * each[measure] for each in found]) for measure in MEASURES]
    cells += [f"{1000 * float(np.median(times)):.1f}", spread([100 * each for each in kept_out])]
    print(f"{title:34}" + "".join(f"{cell:>14}" for cell in cells), flush=True)


def spread(values: Sequence[float]) -> str:
    mean = f"{np.mean(values):.1f}"
    return mean if len(values) < 2 else f"{mean} ± {np.std(values, ddof=1):.1f}"


def seconds(composer: Composer, asked: Asked) -> float:
    """Median processor time of one query whose picture is known; the words are read."""
    queries, spent = asked.benchmark.queries, []
    for place in range(TIMED):
        started = time.process_time()
        composer.compose(asked.references[place : place + 1], list(queries[place].texts))
        spent.append(time.process_time() - started)
    return float(np.median(spent))


@dataclass(frozen=True)
class Colours:
    """The test photos with what their labels say."""

    vectors: Vectors
    colours: np.ndarray  # str [N]
    types: np.ndarray  # str [N]

    @classmethod
    def of(cls, source: Path, encoder: Encoder) -> "Colours":
        folder = folder_of(source)
        found = [row for _, row in rows(folder / "metadata.jsonl") if row["split"] == "test"]
        vectors = image_features(encoder, [str(folder / row["file_name"]) for row in found])
        colours, types = (
            np.array([row[field].lower() for row in found]) for field in ("colour", "article_type")
        )
        return cls(vectors, colours, types)


def negative(title: str, composers: Sequence[Composer], photos: Colours, *, beside: bool) -> None:
    """A row: share of the unwanted colour among the first ten, without and with it as negative."""
    names, counts = np.unique(photos.colours, return_counts=True)
    pairs = [
        (number, colour)
        for colour in names[counts >= LEAST]
        for number in np.flatnonzero(photos.colours == colour)[:LEAST]
    ]
    images = [photos.vectors[[number] if beside else []] for number, _ in pairs]
    texts = [[] if beside else [str(photos.types[number])] for number, _ in pairs]
    against = [Negatives(texts=[f"is {colour}"]) for _, colour in pairs]
    unwanted = np.array([colour for _, colour in pairs])
    kinds = np.array([photos.types[number] for number, _ in pairs])
    without, with_it, same = [], [], []
    for composer in composers:
        for found, negatives in ((without, None), (with_it, against)):
            first = ten(composer.compose_batch(images, texts, negatives), photos, pairs, beside)
            found.append(100 * float((photos.colours[first] == unwanted[:, None]).mean()))
        same.append(100 * float((photos.types[first] == kinds[:, None]).mean()))
    print(f"{title:34}" + "".join(f"{spread(each):>14}" for each in (without, with_it, same)))


def ten(
    queries: Vectors, photos: Colours, pairs: Sequence[tuple[int, str]], beside: bool
) -> np.ndarray:
    """Places [Q, 10] of the nearest photos; beside a picture, without it."""
    scores = queries @ photos.vectors.T
    if beside:
        scores[np.arange(len(pairs)), [number for number, _ in pairs]] = -np.inf
    return np.argsort(-scores, axis=1)[:, :10]


if __name__ == "__main__":
    main()
