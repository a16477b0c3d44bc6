"""What the heads of `lite-free` are trained on: `free_photos.py grocery.zip FOLDER`.

Writes two sets for `vretr train lite`: FOLDER/photos (the train split of the Grocery Store Dataset,
MIT, each photo with five texts of its label, for --captions) and FOLDER/colours (rendered things in
named colours, for --products). No photo with other terms is needed.
"""

import argparse
import colorsys
import json
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

# name -> hue (turns), saturation, brightness: from, to
COLOURS = {
    "Red": ((-0.03, 0.02), (0.75, 1), (0.6, 1)),
    "Orange": ((0.05, 0.09), (0.8, 1), (0.85, 1)),
    "Brown": ((0.03, 0.09), (0.45, 0.8), (0.25, 0.5)),
    "Beige": ((0.08, 0.14), (0.12, 0.3), (0.75, 0.92)),
    "Yellow": ((0.13, 0.17), (0.7, 1), (0.85, 1)),
    "Green": ((0.24, 0.42), (0.45, 1), (0.3, 0.8)),
    "Teal": ((0.47, 0.52), (0.6, 1), (0.35, 0.65)),
    "Blue": ((0.55, 0.64), (0.5, 1), (0.5, 0.95)),
    "Navy Blue": ((0.58, 0.66), (0.5, 0.9), (0.15, 0.35)),
    "Purple": ((0.72, 0.8), (0.4, 0.9), (0.35, 0.75)),
    "Pink": ((0.88, 0.97), (0.3, 0.8), (0.85, 1)),
    "Maroon": ((-0.03, 0.01), (0.6, 1), (0.25, 0.45)),
    "Black": ((0, 1), (0, 0.2), (0.03, 0.17)),
    "Grey": ((0, 1), (0, 0.08), (0.35, 0.7)),
    "White": ((0, 1), (0, 0.05), (0.9, 1)),
}
SHAPES = ("Ball", "Box", "Triangle", "Star", "Ring")
SIZE = 224


def photos(grocery: Path, folder: Path) -> None:
    """The photos of the train split and what their labels say of them."""
    rows = []
    with zipfile.ZipFile(grocery) as archive:
        for line in archive.read("labels.jsonl").decode().splitlines():
            label = json.loads(line)
            if label["split"] != "train":
                continue
            name = f"images/{len(rows):04}.jpg"
            (folder / name).write_bytes(archive.read(label["file_name"]))
            kind, family = (
                label[key].replace("-", " ").lower() for key in ("class_name", "coarse_class_name")
            )
            texts = [f"a photo of {kind}", kind, f"{kind} in a shop", f"some {family}", family]
            rows.append({"file_name": name, "captions": texts, "split": "train"})
    _write(folder, rows)


def colours(folder: Path, count: int) -> None:
    """Shapes in named colours on light or grey grounds, shaded so that no colour is pure."""
    draws, rows = np.random.default_rng(0), []
    for number in range(count):
        colour, shape = (
            list(COLOURS)[number % len(COLOURS)],
            SHAPES[number // len(COLOURS) % len(SHAPES)],
        )
        name = f"images/{number:04}.jpg"
        rendered(colour, shape, draws).save(folder / name, quality=85)
        facts = {"file_name": name, "colour": colour, "article_type": shape, "split": "train"}
        rows.append({**facts, "name": f"a {colour.lower()} {shape.lower()}"})
    _write(folder, rows)


def rendered(colour: str, shape: str, draws: np.random.Generator) -> Image.Image:
    """One picture."""
    hue, saturation, brightness = (draws.uniform(*range_) for range_ in COLOURS[colour])
    paint = np.array(colorsys.hsv_to_rgb(hue % 1, saturation, brightness)) * 255
    grey = draws.choice([255, 245, draws.integers(90, 245)])
    mask = Image.new("L", (SIZE, SIZE), 0)
    outline(shape, ImageDraw.Draw(mask), draws)
    share = np.asarray(mask.filter(ImageFilter.GaussianBlur(1)), np.float32)[..., None] / 255
    slope = draws.uniform(-0.25, 0.25, 2)
    ramp = np.linspace(-1, 1, SIZE)
    light = 1 + slope[0] * ramp[:, None, None] + slope[1] * ramp[None, :, None]
    grain = draws.normal(0, draws.uniform(0, 8), (SIZE, SIZE, 1))
    pixels = share * (paint * light + grain) + (1 - share) * grey
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def outline(shape: str, pen: ImageDraw.ImageDraw, draws: np.random.Generator) -> None:
    """Fills the shape into a mask; it covers between a tenth and two thirds of the picture."""
    radius = draws.uniform(40, 95)
    x, y = draws.uniform(radius, SIZE - radius, 2)
    if shape == "Box":
        height = radius * draws.uniform(0.5, 1)
        pen.rectangle((x - radius, y - height, x + radius, y + height), fill=255)
    elif shape in ("Triangle", "Star"):
        points = 3 if shape == "Triangle" else 10
        angles = draws.uniform(0, 6.3) + np.arange(points) * 2 * np.pi / points
        radii = np.where(np.arange(points) % 2 * (points > 3), radius / 2, radius)
        corners = np.stack([x + radii * np.cos(angles), y + radii * np.sin(angles)], 1)
        pen.polygon([tuple(corner) for corner in corners.tolist()], fill=255)
    else:
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    if shape == "Ring":
        pen.ellipse((x - radius / 2, y - radius / 2, x + radius / 2, y + radius / 2), fill=0)


def _write(folder: Path, rows: list[dict[str, object]]) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "metadata.jsonl").write_text(lines, encoding="utf-8")
    print(f"{folder}: {len(rows)} pictures")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("grocery", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--colours", type=int, default=3000)
    options = parser.parse_args()
    for name in ("photos", "colours"):
        (options.folder / name / "images").mkdir(parents=True, exist_ok=True)
    photos(options.grocery, options.folder / "photos")
    colours(options.folder / "colours", options.colours)


if __name__ == "__main__":
    main()
