"""Composed retrieval with the shipped φ beside the baselines, on the fashion test split.

    python benchmarks/composed.py --data FOLDER [--encoder lite] [--split test]

FOLDER holds fashion.zip. Queries are "is COLOUR" beside a product; right are the test products of
the same article type, gender and usage with that colour. Nothing was trained on this split, and the
gallery is its photos alone. The shares of LinCIR's rows were chosen on products of the training
half that neither the encoder's heads nor φ had seen (lincir/README.md).
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from lincir import files
from vretr import load_encoder
from vretr.composers import Composer, load_composer
from vretr.data import triplets
from vretr.data.attribute_triplets import AttributeTripletsConfig, derive
from vretr.data.features import image_features
from vretr.encoders import Encoder
from vretr.evaluation.scoring import compose, score

MEASURES = ("recall@1", "recall@10", "recall@50", "map@10")
SHARES = ((0.0, 0.0), (0.05, 0.0), (0.2, 0.6))  # of LinCIR: the picture's, the words' alone


def main() -> None:
    """Derives the triplets and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with fashion.zip")
    parser.add_argument("--encoder", default="lite")
    parser.add_argument("--split", default="test")
    options = parser.parse_args()
    encoder = load_encoder(options.encoder)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "triplets.jsonl"
        source = options.data / "fashion.zip"
        derive(AttributeTripletsConfig(source=source, out=file, split=options.split))
        benchmark = triplets.benchmark(triplets.load(file), options.split)
        vectors = image_features(encoder, benchmark.pictures)
    references = vectors[[query.reference for query in benchmark.queries]]
    print(f"{len(benchmark.queries)} triplets, {len(benchmark.pictures)} photos, {encoder.name}")
    print(f"{'':42}" + "".join(f"{measure:>11}" for measure in MEASURES))
    for title, composer in composers(encoder).items():
        queries = compose(composer, benchmark.queries, references)
        figures = benchmark.figures(score(benchmark, queries, vectors), benchmark.queries)
        print(f"{title:42}" + "".join(f"{100 * figures[m]:11.1f}" for m in MEASURES), flush=True)


def composers(encoder: Encoder) -> dict[str, Composer]:
    """The rows of the table."""
    rows: dict[str, Composer] = {
        name: load_composer(name, encoder) for name in ("image", "text", "sum", "slerp")
    }
    for picture, words in SHARES:
        found = files.composer(encoder, picture_weight=picture, words_weight=words)
        if found is None:
            raise SystemExit(f"There is no φ at hand for {encoder.name}.")
        rows[f"LinCIR, shares: picture {picture:g}, words {words:g}"] = found
    return rows


if __name__ == "__main__":
    main()
