"""Whether `--min-score auto` can tell that nothing fits: queries with an answer and without one.

    python benchmarks/no_answer.py --data FOLDER [--encoder lite] [--photos N] [--case TITLE ...]

FOLDER holds flickr8k.zip, fashion.zip, grocery.zip and imagenet_sample.zip. For each index and kind
of query: AUROC of the best photo's fit, the share of queries with an answer that keep one, the
share of queries without that are refused; and for comparison the AUROC of the raw best score and
of how far it stands out of the query's own scores. The rule was chosen on other splits and texts
(docs/scores.md). `no_answer.txt` holds 100 texts of what Flickr8k does not show, written before
anything was measured on them.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vretr import calibration
from vretr.data import captions
from vretr.data.sources import Row, folder_of, rows
from vretr.encoders import Encoder, load_encoder
from vretr.errors import VretrError
from vretr.index import Hit, Index
from vretr.index.build import build
from vretr.query import Query
from vretr.searcher import Searcher

NOTHING = Path(__file__).with_name("no_answer.txt").read_text(encoding="utf-8").splitlines()
SOLD = ("wrist watch", "ring")  # of these texts, what a fashion shop does show
SHORT = [
    "a dog in the snow",
    "a brown dog running",
    "a dog with a ball in its mouth",
    "a dog swimming",
    "three dogs",
    "a boy in a blue shirt",
    "a girl on a slide",
    "a man riding a bicycle",
    "a skier",
    "a motorcycle race",
    "a snowboarder",
    "a surfer on a wave",
    "a rock climber",
    "people on a beach",
    "children playing football",
    "an American football player",
    "a baseball player",
    "a crowd",
    "a basketball game",
    "a skateboard trick",
    "a man and a woman",
    "a woman in a red dress",
    "a baby",
    "a child in the grass",
    "kids in the water",
    "a fountain",
    "a person in a canoe",
    "a tent",
    "a horse",
    "people walking in the street",
    "a man sitting on a bench",
    "a musician on a stage",
    "a trampoline",
    "a mountain with snow",
    "a swimming pool",
    "a wrestling match",
    "a boy jumping",
    "a man with a hat",
    "a girl with long hair",
    "a soccer ball",
]


@dataclass(frozen=True)
class Case:
    """Queries with and without an answer among some photos."""

    title: str
    photos: Sequence[Path]
    answered: Sequence[Query]
    unanswered: Sequence[Query]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encoder", default="lite")
    parser.add_argument("--photos", type=int, default=None, help="at most so many an index")
    parser.add_argument("--case", nargs="*", default=(), help="only the rows of these titles")
    options = parser.parse_args()
    encoder = load_encoder(options.encoder)
    calibration.read_phrases(encoder)
    print(f"{'':42}{'AUROC':>7}{'kept':>7}{'refused':>9}   AUROC of raw score, of its z-score")
    with tempfile.TemporaryDirectory() as place:
        indices: dict[tuple[Path, ...], Path] = {}
        for case in cases(options.data, options.photos):
            if options.case and case.title not in options.case:
                continue
            folder = indices.get(tuple(case.photos))
            if folder is None:
                folder = indices[tuple(case.photos)] = Path(place) / str(len(indices))
                build(case.photos, encoder, index=folder)
            with Index.open(folder) as index:
                print(row(case, index, encoder), flush=True)


def cases(data: Path, most: int | None) -> Iterator[Case]:
    """The table's rows."""
    dev = captions.load(data / "flickr8k.zip", split="dev")[:most]
    photos, spoken = [photo.path for photo in dev], [photo.captions[0] for photo in dev]
    nothing = texts(NOTHING)
    yield Case("Flickr8k dev: a caption", photos, texts(spoken), nothing)
    yield Case("Flickr8k dev: short phrases", photos, texts(SHORT), nothing)

    folder, products = table(data / "fashion.zip", "test", most)
    clothes = [folder / product["file_name"] for product in products]
    named = {f"{product['colour']} {product['article_type']}".lower() for product in products}
    kinds = {product["article_type"].lower() for product in products}
    not_sold = [text for text in NOTHING if not text.endswith(SOLD)]
    yield Case("fashion test: colour and kind", clothes, texts(named), texts(spoken))
    yield Case("fashion test: kind", clothes, texts(kinds), texts(not_sold))

    folder, goods = table(data / "grocery.zip", "test", most)
    shelf = [folder / item["file_name"] for item in goods]
    names = {item["class_name"].replace("-", " ").lower() for item in goods}
    yield Case("grocery test: class", shelf, texts(names), texts(spoken))

    folder, sample = table(data / "imagenet_sample.zip", None, None)
    half = [folder / item["file_name"] for item in sample[::2]]
    asked = [f"a photo of a {item['class_name']}" for item in sample]
    yield Case("half of ImageNet's sample: class", half, texts(asked[::2]), texts(asked[1::2]))

    asked = beside(photos, spoken[::-1])
    yield Case("Flickr8k dev: a photo and a caption", photos, asked, beside(photos, NOTHING))
    asked, others = beside(clothes, sorted(named)), beside(clothes, spoken)
    yield Case("fashion test: a photo, colour and kind", clothes, asked, others)

    some, others = photos[::2], photos[1::2]
    yield Case("Flickr8k dev: a photo", some, pictures(others), pictures(clothes[: len(some)]))
    yield Case("fashion test: a photo", clothes[::2], pictures(clothes[1::2]), pictures(photos))


def table(source: Path, split: str | None, most: int | None) -> tuple[Path, list[Row]]:
    """A data set's folder and its rows, of one split."""
    folder = folder_of(source)
    file = next(folder / n for n in ("metadata.jsonl", "labels.jsonl") if (folder / n).exists())
    return folder, [row for _, row in rows(file) if split in (None, row.get("split"))][:most]


def texts(asked: Sequence[str] | set[str]) -> list[Query]:
    return [Query(text=[text]) for text in sorted(asked)]


def pictures(asked: Sequence[Path]) -> list[Query]:
    return [Query(image=[path]) for path in asked]


def beside(photos: Sequence[Path], asked: Sequence[str]) -> list[Query]:
    """Each text beside a photo of the index, which has nothing to do with it."""
    return [Query(image=[photo], text=[text]) for photo, text in zip(photos, asked, strict=False)]


def row(case: Case, index: Index, encoder: Encoder) -> str:
    """A line of the table."""
    searcher = Searcher.of(index)
    fits, raw, standing_out = [], [], []
    for queries in (case.answered, case.unanswered):
        hits = best(searcher, queries)
        fits.append(np.array([hit.fit for hit in hits]))
        raw.append(np.array([hit.score for hit in hits]))
        standing_out.append(raw[-1] if queries[0].image else z_scores(queries, index, encoder))
    kept, refused = (fits[0] >= calibration.FITS).mean(), (fits[1] < calibration.FITS).mean()
    return (
        f"{case.title:42}{100 * auroc(*fits):6.1f}%{100 * kept:6.0f}%{100 * refused:8.0f}%"
        f"   {100 * auroc(*raw):.1f} %, {100 * auroc(*standing_out):.1f} %"
    )


def best(searcher: Searcher, queries: Sequence[Query]) -> list[Hit]:
    """The best photo of each query, with its fit."""
    found = []
    for answer in searcher.answer_all(queries, fits=True):
        if isinstance(answer, VretrError):
            raise answer
        found.append(answer[0])
    return found


def z_scores(queries: Sequence[Query], index: Index, encoder: Encoder) -> NDArray[np.float64]:
    """The best score in standard deviations above the mean of the query's scores with photos."""
    vectors = encoder.encode_texts([query.text[0] for query in queries])
    found = index.search_batch(vectors, len(index))
    scores = np.array([[hit.score for hit in hits] for hits in found])
    return (scores[:, 0] - scores.mean(1)) / scores.std(1)


def auroc(answered: NDArray[np.float64], unanswered: NDArray[np.float64]) -> float:
    """How often a query with an answer lies above one without; ties count half."""
    above = answered[:, None] > unanswered
    return float(above.mean() + (answered[:, None] == unanswered).mean() / 2)


if __name__ == "__main__":
    main()
