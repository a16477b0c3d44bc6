"""The four benchmarks in small: the authors' formats, pictures of one colour.

Every caption is "is COLOUR". An encoder that knows colours finds all pictures of that one equally
good, so ranks can be counted by hand.
"""

import json
from pathlib import Path
from typing import Any

from PIL import Image

COLOURS = ("red", "green", "blue")
PAIRS = [(a, b) for a in COLOURS for b in COLOURS if a != b]


def paint(path: Path, colour: str) -> None:
    """A picture of one colour exactly, so a PNG, whatever it is called."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (24, 24), colour).save(path, "PNG")


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def circo(root: Path) -> Path:
    """60 photos, 20 of each colour; 6 queries, for which all 20 of the other colour are right."""
    photos = {number: COLOURS[number % 3] for number in range(100, 160)}
    for number, colour in photos.items():
        paint(root / f"COCO2017_unlabeled/unlabeled2017/{number:012d}.jpg", colour)
    images = [{"id": number, "file_name": f"{number:012d}.jpg"} for number in photos]
    write(root / "COCO2017_unlabeled/annotations/image_info_unlabeled2017.json", {"images": images})
    val, test = [], []
    for place, (before, after) in enumerate(PAIRS):
        right = [number for number, colour in photos.items() if colour == after]
        asked = {
            "reference_img_id": next(n for n, colour in photos.items() if colour == before),
            "relative_caption": f"is {after}",
            "shared_concept": "a colour",
            "id": place,
        }
        aspects = ["addition", "negation"] if place == 0 else ["negation"]
        answer = {"target_img_id": right[0], "gt_img_ids": right, "semantic_aspects": aspects}
        val.append(asked | answer)
        test.append(asked)
    write(root / "annotations/val.json", val)
    write(root / "annotations/test.json", test)
    return root


def cirr(root: Path) -> Path:
    """60 pictures in sets of six, two of each colour; in each set a query from red to green."""
    for split, folder in (("val", "dev"), ("test1", "test1")):
        names = {f"{folder}-{n}-0-img0": COLOURS[n % 3] for n in range(60)}
        for name, colour in names.items():
            paint(root / folder / f"{name}.png", colour)
        write(
            root / f"cirr/image_splits/split.rc2.{split}.json",
            {name: f"./{folder}/{name}.png" for name in names},
        )
        queries = []
        for place in range(10):
            members = [*names][6 * place : 6 * place + 6]
            query = {
                "pairid": 1000 + place,
                "reference": members[0],
                "caption": "is green",
                "img_set": {"id": place, "members": members, "reference_rank": 0},
            }
            if split == "val":
                query |= {"target_hard": members[1], "target_soft": {members[1]: 1.0}}
            queries.append(query)
        write(root / f"cirr/captions/cap.rc2.{split}.json", queries)
    return root


def fashioniq(root: Path) -> Path:
    """In each category one query from red to green; 12 more green ones are no query's."""
    for category in ("dress", "shirt", "toptee"):
        mark = category[0].upper()
        names = {f"{mark}RED": "red", f"{mark}GREEN": "green"}
        names |= {f"{mark}{n:02}": "green" for n in range(12)}
        for place, (name, colour) in enumerate(names.items()):
            suffix = ("jpg", "png", "jpeg")[place % 3]
            paint(root / f"images/{name}.{suffix}", colour)
        query = {
            "target": f"{mark}GREEN",
            "candidate": f"{mark}RED",
            "captions": [" is green.", "it is green, "],
        }
        write(root / f"captions/cap.{category}.val.json", [query])
        write(root / f"image_splits/split.{category}.val.json", [*names])
    return root


def genecis(root: Path) -> Path:
    """In each task one query from red to green, among one blue and, of objects, one more green."""
    numbers = {"red": 11, "green": 12, "blue": 13, "more": 14}
    for name, number in numbers.items():
        paint(root / f"coco_val2017/{number:012d}.jpg", "green" if name == "more" else name)
    whole = Image.new("RGB", (90, 30))
    for place, colour in enumerate(COLOURS):
        whole.paste(colour, (30 * place, 0, 30 * place + 30, 30))
    (root / "vg_100k_all").mkdir()
    whole.save(root / "vg_100k_all/7.jpg", "PNG")

    for task in ("focus", "change"):
        photos = {name: {"val_image_id": number} for name, number in numbers.items()}
        others = [photos["blue"], photos["more"]]
        query = {"reference": photos["red"], "target": photos["green"], "gallery": others}
        write(root / f"genecis/{task}_object.json", [query | {"condition": "green"}])
        # The third of the picture that has the colour: grown by 0.7 to the left and top.
        boxes = {
            colour: {"image_id": 7, "instance_bbox": [30.0 * place + 18, 15, 10, 10], "extra": 1}
            for place, colour in enumerate(COLOURS)
        }
        query = {"reference": boxes["red"], "target": boxes["green"], "gallery": [boxes["blue"]]}
        write(root / f"genecis/{task}_attribute.json", [query | {"condition": "green"}])
    return root


MAKE = {"circo": circo, "cirr": cirr, "fashioniq": fashioniq, "genecis": genecis}
