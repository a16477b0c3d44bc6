"""The four sets in small, as they are distributed: a few photos of each part, real file forms."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

COLOURS = ("red", "lime", "blue", "white", "navy", "maroon", "green", "black")


def photo(path: Path, number: int, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 16), COLOURS[number % len(COLOURS)]).convert(mode).save(path)


def cub(root: Path) -> None:
    """Classes 1, 2, 100 to train on; 101 and 200 to test. A grey photo, blanks in a name."""
    home = root / "CUB_200_2011"
    names = [
        f"{number:03}.Bird/Bird {place}.jpg" for number in (1, 2, 100, 101, 200) for place in (0, 1)
    ]
    for place, name in enumerate(names):
        photo(home / "images" / name, place // 2, mode="L" if place == 1 else "RGB")
    (home / "images" / "001.Bird" / "._Bird 0.jpg").write_bytes(b"\0")
    numbered = list(enumerate(names, start=1))
    (home / "images.txt").write_text("".join(f"{n} {name}\n" for n, name in numbered))
    (home / "image_class_labels.txt").write_text(
        "".join(f"{n} {int(name[:3])}\n" for n, name in numbered)
    )
    (home / "train_test_split.txt").write_text("".join(f"{n} 1\n" for n, _ in numbered))


CARS = ((1, 0), (1, 1), (98, 0), (98, 1), (99, 0), (99, 0), (196, 1), (196, 1))  # class, test flag


def cars_text(root: Path) -> None:
    rows = [f"car_ims/{n:06}.jpg,{label},{flag}" for n, (label, flag) in enumerate(CARS, 1)]
    for n, (label, _) in enumerate(CARS, 1):
        photo(root / "car_ims" / f"{n:06}.jpg", label, mode="CMYK" if n == 3 else "RGB")
    (root / "cars_annos.txt").write_text("\n".join(rows) + "\n")


def cars_tables(root: Path) -> None:
    """As Kaggle's folder: names repeat in train and test; the boxes' tables have no header."""
    tables: dict[str, list[str]] = {"train": [], "test": []}
    for label, flag in CARS:
        part = "test" if flag else "train"
        name = f"{len(tables[part]) + 1:05}.jpg"
        photo(root / "car_data" / "car_data" / part / f"Car {label}" / name, label)
        tables[part].append(f"{name},1,2,15,14,{label}")
    for part, rows in tables.items():
        (root / f"anno_{part}.csv").write_text("\n".join(rows) + "\n")


def cars_matrix(root: Path) -> None:
    fields = [("relative_im_path", "O"), ("bbox_x1", "O"), ("class", "O"), ("test", "O")]
    rows = np.zeros((1, len(CARS)), dtype=fields)
    for n, (label, flag) in enumerate(CARS):
        name = f"car_ims/{n + 1:06}.jpg"
        photo(root / name, label)
        rows[0, n] = (name, 5, label, flag)
    savemat(root / "cars_annos.mat", {"annotations": rows})


def cars_matrices(root: Path) -> None:
    (root / "devkit").mkdir(parents=True)
    for flag, part, name in ((0, "train", "train_annos"), (1, "test", "test_annos_withlabels")):
        labels = [label for label, one in CARS if one == flag]
        rows = np.zeros((1, len(labels)), dtype=[("bbox_x1", "O"), ("class", "O"), ("fname", "O")])
        for n, label in enumerate(labels):
            photo(root / f"cars_{part}" / f"{n + 1:05}.jpg", label)
            rows[0, n] = (3, label, f"{n + 1:05}.jpg")
        savemat(root / "devkit" / f"cars_{name}.mat", {"annotations": rows})


def sop(root: Path) -> None:
    """Classes 1 and 2 to train on, 11319 and 11320 to test."""
    home = root / "Stanford_Online_Products"
    for part, classes in (("train", (1, 2)), ("test", (11319, 11320))):
        rows = ["image_id class_id super_class_id path"]
        for number, label in enumerate(np.repeat(classes, 3), start=1):
            name = f"bicycle_final/{label}_{number}.JPG"
            photo(home / name, int(label))
            rows.append(f"{number} {label} 1 {name}")
        (home / f"Ebay_{part}.txt").write_text("\n".join(rows) + "\n")


def inshop(root: Path) -> None:
    """Two items to train on; three with one query, and of the last one no photo in the gallery."""
    rows, status = [], ("query", "gallery", "gallery")
    for item in (1, 2, 7, 8, 9):
        for place in range(3 if item < 9 else 1):
            part = "train" if item < 3 else status[place]
            name = f"img/WOMEN/Dresses/id_{item:08}/0{place}_front.jpg"
            photo(root / "Img" / name, item)
            rows.append(f"{name}   id_{item:08}  {part}")
    text = "\n".join([str(len(rows)), "image_name item_id evaluation_status", *rows])
    (root / "Eval").mkdir()
    (root / "Eval" / "list_eval_partition.txt").write_text(text + "\n")


MAKE: Mapping[str, Callable[[Path], None]] = {
    "cub": cub,
    "cars": cars_text,
    "sop": sop,
    "inshop": inshop,
}
