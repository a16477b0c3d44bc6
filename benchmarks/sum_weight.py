"""Recall of the weighted sum over the picture's share, on colour triplets of training pictures.

    python benchmarks/sum_weight.py --data FOLDER [--encoder lite] [--triplets 5000]

What `vretr.composers.PICTURE_WEIGHT` is chosen by; with `lite`, whose heads have seen these
pictures, on a part of them kept out of its training. The test split, on which figures are
published, is never looked at.
"""

import argparse
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from vretr import load_encoder
from vretr.composers import PICTURE_WEIGHT, WeightedSum
from vretr.data import triplets
from vretr.data.attribute_triplets import AttributeTripletsConfig, derive
from vretr.data.features import image_features
from vretr.evaluation.scoring import compose, score

SHARES = [round(0.05 * step, 2) for step in range(21)]
MEASURES = ("recall@1", "recall@10", "recall@50")


def main() -> None:
    """Derives the triplets and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with fashion.zip")
    parser.add_argument("--encoder", default="lite")
    parser.add_argument("--triplets", type=int, default=5000, help="random draw, seed 0; 0: all")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        file = Path(folder) / "train.jsonl"
        derive(
            AttributeTripletsConfig(source=options.data / "fashion.zip", out=file, split="train")
        )
        sweep(file, options.encoder, draw=options.triplets)


def sweep(file: Path, name: str, *, draw: int) -> None:
    """Prints recall for each share of the pictures."""
    data = triplets.load(file)
    pictures = triplets.pictures(data)
    if 0 < draw < len(data):
        data = Random(0).sample(data, draw)
    encoder = load_encoder(name)
    benchmark = triplets.benchmark(data, "train", among=pictures)
    vectors = image_features(encoder, benchmark.pictures)
    references = vectors[[query.reference for query in benchmark.queries]]
    print(f"{len(data)} triplets among {len(pictures)} pictures, encoder {encoder.name}")
    print("picture weight  " + "  ".join(f"{measure:>9}" for measure in MEASURES))
    for share in SHARES:
        queries = compose(WeightedSum(encoder, share), benchmark.queries, references)
        figures = benchmark.figures(score(benchmark, queries, vectors), benchmark.queries)
        here = "  <- default" if share == PICTURE_WEIGHT else ""
        print(f"{share:14.2f}  " + "  ".join(f"{figures[m]:9.4f}" for m in MEASURES) + here)


if __name__ == "__main__":
    main()
