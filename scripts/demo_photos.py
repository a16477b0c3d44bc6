"""Copies the real photographs that installed packages carry into a folder: `demo_photos.py FOLDER`.

They come with scikit-image, scikit-learn and matplotlib, so the demo needs no download.
"""

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

PHOTOS = {
    "skimage/data": [
        "astronaut.png",
        "brick.png",
        "camera.png",
        "chelsea.png",
        "clock_motion.png",
        "coffee.png",
        "coins.png",
        "grass.png",
        "gravel.png",
        "hubble_deep_field.jpg",
        "moon.png",
        "motorcycle_left.png",
        "motorcycle_right.png",
        "page.png",
        "retina.jpg",
        "rocket.jpg",
    ],
    "sklearn/datasets/images": ["china.jpg", "flower.jpg"],
    "matplotlib/mpl-data/sample_data": ["grace_hopper.jpg"],
}


def main(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for place, names in PHOTOS.items():
        package, _, inside = place.partition("/")
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            sys.exit(f"The demo's photos come with {package}: run `make demo`, which installs it.")
        for name in names:
            shutil.copyfile(Path(spec.origin).parent / inside / name, target / name)
    print(f"{sum(map(len, PHOTOS.values()))} photographs in {target}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
