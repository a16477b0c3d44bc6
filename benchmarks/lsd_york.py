"""Line detectors on York Urban: sAP, LAP and F^H at 200 and at 1,000 lines a picture.

    python benchmarks/lsd_york.py --data FOLDER [--pixels] [--only tiny large lsd shipped]

FOLDER holds york_urban.zip and mlsd/, the files that M-LSD's authors released. All 102 photos, no
threshold of score or length. For the released networks: both ways to resize, then what each option
adds, from `bilinear`:

- clip: lines end at the picture's border; sub-pixel: ends as means over the cells around a centre;
  merge: without lines whose ends lie within 6 pixels of a surer one's;
- flip: maps are means of the picture's and its mirror image's;
- 640, 768: the picture is squashed to that many pixels instead of 512;
- pooled: lines of 512, 640 and 768 together, without those within 4 pixels of a surer one;
- best: 640, flip, clip.

OpenCV's LSD needs opencv-python-headless; the score of its lines is their length, and it has a row
with all of them. F^H (--pixels) is of 1,000 lines or all of the rows `bilinear`, `best` and
REFINE_STD, and takes minutes a row; its thresholds are TP-LSD's, for LSD deciles of length.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

import lsd
from lsd import heat
from lsd.annotations import Annotated, load
from lsd.decode import decode
from lsd.evaluate import by_lines
from lsd.files import shipped
from lsd.flipping import Flipped
from lsd.lines import Lines, distinct
from lsd.resizing import squashed
from vretr import images

FILES = {
    "tiny": "M-LSD_512_tiny_fp32.tflite",
    "large": "M-LSD_512_large_fp16.tflite",
}
MOST, FEWER = 1000, 200
SIZES = (512, 640, 768)
BY_PIXELS = ("bilinear", "best", "REFINE_STD")
MERGED, POOLED = 6.0, 4.0  # pixels
COLUMNS = ("sap5", "sap10", "sap15", "msap", "lap")

Maps = np.ndarray
Finder = Callable[[Image.Image], Mapping[str, Lines]]  # a picture's lines, by row of the table


def of_network(weights: Path | str, *, variants: bool) -> Finder:
    """All rows of a network, each map computed once."""
    settings = {"top_k": MOST, "score": 0.0, "clip": False, "resize": "bilinear"}
    at = {size: lsd.load(weights, size=size, **settings) for size in SIZES}
    plain = at[512].decoding

    def find(image: Image.Image) -> dict[str, Lines]:
        def lines(maps: Maps, **others: object) -> Lines:
            return decode(maps, replace(plain, **others), *image.size)

        def maps_of(size: int, *, flip: bool = False) -> Maps:
            detector = at[size]
            network = Flipped(detector.network) if flip else detector.network
            return network(detector.pixels(image)[None])[0]

        maps = maps_of(512)
        found = {"bilinear": lines(maps)}
        found["area"] = lines(at[512].network(squashed(image, 512, "area")[None])[0])
        if not variants:
            return found
        found["clip"] = lines(maps, clip=True)
        found["sub-pixel"] = lines(maps, subpixel=True)
        found["merge"] = lines(maps, merge=MERGED)
        found["flip"] = lines(maps_of(512, flip=True))
        larger = {size: maps_of(size) for size in SIZES[1:]}
        found |= {str(size): lines(each) for size, each in larger.items()}
        found["pooled"] = pooled([found["bilinear"], *(found[str(size)] for size in larger)])
        found["best"] = lines(maps_of(640, flip=True), clip=True)
        return found

    return find


def pooled(found: Sequence[Lines]) -> Lines:
    """The surest of several detectors' lines that do not repeat one another."""
    scores = np.concatenate([lines.scores for lines in found])
    order = np.argsort(-scores, kind="stable")
    ends = np.concatenate([lines.ends for lines in found])[order]
    together = distinct(replace(found[0], ends=ends, scores=scores[order]), POOLED)
    return together.take(np.arange(min(MOST, len(together))))


def of_opencv() -> Finder | None:
    """LSD (von Gioi et al. 2010) with its three kinds of refinement; None without OpenCV."""
    try:
        import cv2
    except ImportError:
        return None

    def find(image: Image.Image) -> dict[str, Lines]:
        grey = cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2GRAY)
        found = {}
        for kind in ("STD", "NONE", "ADV"):
            ends = cv2.createLineSegmentDetector(getattr(cv2, f"LSD_REFINE_{kind}")).detect(grey)[0]
            ends = np.zeros((0, 4), np.float32) if ends is None else ends.reshape(-1, 4)
            lines = Lines(ends, np.zeros(len(ends), np.float32), *image.size)
            order = np.argsort(-lines.lengths, kind="stable")
            found[f"REFINE_{kind}"] = replace(lines, ends=ends[order], scores=lines.lengths[order])
        return found

    return find


def table(name: str, find: Finder, annotated: Sequence[Annotated], *, pixels: bool) -> None:
    """Prints a detector's rows, in percent."""
    rows: dict[str, list[Lines]] = {}
    for each in annotated:
        image = images.open(each.path)
        assert isinstance(image, Image.Image), f"{each.path}: {image.reason}"
        for row, lines in find(image).items():
            rows.setdefault(row, []).append(lines)
    for row, found in rows.items():
        longest = max(map(len, found))
        for most in (FEWER, MOST, *([longest] if longest > MOST else [])):
            some = [lines.take(np.arange(min(most, len(lines)))) for lines in found]
            figures = by_lines(some, annotated)
            shown = [f"{100 * figures[column]:6.2f}" for column in COLUMNS]
            if pixels and row in BY_PIXELS and most >= MOST:
                shown.append(f"{100 * f_of_pixels(some, annotated):6.2f}")
            count = sum(map(len, some)) / len(some)
            print(f"{name:8} {row:12} {most:5} {count:7.1f} {' '.join(shown)}", flush=True)


def f_of_pixels(found: Sequence[Lines], annotated: Sequence[Annotated]) -> float:
    """F^H; thresholds are deciles where scores are lengths."""
    scores = np.concatenate([lines.scores for lines in found])
    deciles = tuple(np.quantile(scores, np.linspace(0, 0.9, 10)))
    thresholds = deciles if scores.max(initial=0) > 1 else heat.THRESHOLDS
    counts = [
        heat.count(
            lines.ends, lines.scores, each.lines, each.width, each.height, thresholds=thresholds
        )
        for lines, each in zip(found, annotated, strict=True)
    ]
    return heat.figures(counts)["fh"]


def finders(data: Path, only: Sequence[str]) -> Iterator[tuple[str, Finder]]:
    """Each detector that is there; of the others it is said."""
    for name, file in FILES.items():
        if name in only:
            yield name, of_network(data / "mlsd" / file, variants=True)
    if "shipped" in only:
        for name, weights in shipped().items():
            yield f"our {name}", of_network(weights, variants=False)
        if not shipped():
            print("No weights of ours are shipped yet.")
    if "lsd" in only:
        if opencv := of_opencv():
            yield "LSD", opencv
        else:
            print("LSD is left out: pip install opencv-python-headless")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pixels", action="store_true", help="F^H as well")
    known = (*FILES, "shipped", "lsd")
    parser.add_argument("--only", nargs="+", choices=known, default=known)
    options = parser.parse_args()
    annotated = load(options.data / "york_urban.zip")
    print(f"{len(annotated)} photos, {sum(len(each.lines) for each in annotated):,} lines")
    heads = [*COLUMNS, *(["fh"] if options.pixels else [])]
    print(f"{'':8} {'':12} {'top-k':>5} {'found':>7} {' '.join(f'{head:>6}' for head in heads)}")
    for name, find in finders(options.data, options.only):
        table(name, find, annotated, pixels=options.pixels)


if __name__ == "__main__":
    main()
