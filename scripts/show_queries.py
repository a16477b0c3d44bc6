"""Twenty questions and the first five photos that `lite` finds for each, as one picture.

    python scripts/show_queries.py PHOTOS docs/queries.png [--encoder lite]

PHOTOS is a folder that `vretr index PHOTOS` has indexed. The questions were written down before the
first run and are not chosen by their answers.
"""

import argparse
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont, ImageOps

from vretr import images
from vretr.index import Hit, Index
from vretr.index.locate import locate
from vretr.query import Query
from vretr.searcher import Searcher

QUESTIONS = (
    "a red apple",
    "green apples",
    "yellow fruit",
    "lemons",
    "something purple",
    "a carton of milk",
    "yoghurt",
    "orange juice",
    "vegetables in a shop",
    "mushrooms",
    "one onion in a hand",
    "many oranges in a box",
    "a cat",
    "an astronaut",
    "a cup of coffee",
    "a motorcycle",
    "a brick wall",
    "the sun going down over the sea",
    "people walking in a street",
    "a rocket taking off",
)
THUMBNAIL, GAP, WORDS = 112, 6, 230


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    half = (len(QUESTIONS) + 1) // 2
    width, height = WORDS + 5 * (THUMBNAIL + GAP), THUMBNAIL + GAP
    page = Image.new("RGB", (2 * width, half * height), "white")
    with Index.open(locate(None, options.photos)) as index:
        searcher = Searcher.of(index)
        for number, question in enumerate(QUESTIONS):
            hits = searcher.answer(Query(text=[question], k=5))
            column, row = divmod(number, half)
            page.paste(strip(question, hits), (column * width, row * height))
    page.quantize(192, dither=Image.Dither.NONE).save(options.out, optimize=True)


def strip(question: str, hits: list[Hit]) -> Image.Image:
    """A question, then its photos, best first."""
    picture = Image.new("RGB", (WORDS + 5 * (THUMBNAIL + GAP), THUMBNAIL), "white")
    font = Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf")
    pen = ImageDraw.Draw(picture)
    place = (8, THUMBNAIL // 2)
    pen.text(place, question, "black", ImageFont.truetype(font, 13), anchor="lm")
    for hit in hits:
        photo = images.open(hit.path, target=THUMBNAIL)
        if isinstance(photo, images.Unreadable):
            raise SystemExit(f"{hit.path} cannot be read: {photo.reason}")
        left = WORDS + (hit.rank - 1) * (THUMBNAIL + GAP)
        picture.paste(ImageOps.fit(photo, (THUMBNAIL, THUMBNAIL)), (left, 0))
    return picture


if __name__ == "__main__":
    main()
