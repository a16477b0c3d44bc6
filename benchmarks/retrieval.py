"""What an encoder finds: the figures of `vretr eval` on three small data sets, as one table.

    python benchmarks/retrieval.py --data FOLDER [--encoder lite] [--precision auto]

FOLDER holds flickr8k.zip (its dev split: 1,000 photos, 5,000 captions), imagenet_sample.zip (one
photo of each of 500 classes) and fashion.zip (test split: 2,000 products; composed queries "is
COLOUR", same article type, gender and usage).
"""

import argparse
import tempfile
from pathlib import Path

from vretr.data.attribute_triplets import AttributeTripletsConfig, derive
from vretr.evaluation import cir, retrieval
from vretr.evaluation.config import CirConfig, RetrievalConfig
from vretr.methods import Report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encoder", default="lite")
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args()
    chosen = {"encoder": options.encoder, "precision": options.precision}

    flickr = RetrievalConfig(data=options.data / "flickr8k.zip", split="dev", **chosen)
    show("Flickr8k dev", retrieval.evaluate(flickr))
    sample = RetrievalConfig(data=options.data / "imagenet_sample.zip", **chosen)
    show("ImageNet sample", retrieval.evaluate(sample))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "triplets.jsonl"
        source = options.data / "fashion.zip"
        derive(AttributeTripletsConfig(source=source, out=file, split="test"))
        for composer in ("image", "text", "sum"):
            config = CirConfig(dataset=f"triplets:{file}", composer=composer, **chosen)
            show(f"Fashion colours, {composer}", cir.evaluate(config))


def show(title: str, report: Report) -> None:
    print(f"\n{title} ({', '.join(f'{key} {value}' for key, value in report.settings.items())})")
    for name, value in report.metrics.items():
        print(f"  {name:28} {value:.1f}" if "rank" in name else f"  {name:28} {100 * value:.1f} %")


if __name__ == "__main__":
    main()
