"""CUB-200-2011, CARS196, Stanford Online Products and In-Shop as they are distributed.

Of CUB and CARS the first half of the classes is trained on and the second half tested, whatever
their own train and test lists say; of SOP and In-Shop their lists say which (Oh Song et al. 2016,
CVPR; Liu et al. 2016, CVPR).
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vretr.data.labelled import Labelled
from vretr.data.sources import folder_of, refuse, refuse_missing
from vretr.errors import MismatchError
from vretr.paths import display

Pairs = list[tuple[Path, str]]  # picture and class


class Parts(NamedTuple):
    """What is trained on, what is searched with, and in what, if not among itself."""

    train: Labelled
    test: Labelled
    gallery: Labelled | None = None


# Photos and classes to train on, to search with, and to search in.
COUNTS: Mapping[str, tuple[int, ...]] = {
    "cub": (5_864, 100, 5_924, 100),
    "cars": (8_054, 98, 8_131, 98),
    "sop": (59_551, 11_318, 60_502, 11_316),
    "inshop": (25_882, 3_997, 14_218, 3_985, 12_612, 3_985),
}


def read(name: str, root: Path) -> Parts:
    """The parts of a set by its name: cub, cars, sop or inshop.

    Args:
        root: the folder or zip that holds the set's own folder, or that folder itself.

    Raises:
        MismatchError: files are missing or malformed, or pictures are missing.
    """
    return _READERS[name](folder_of(root))


def _cub(root: Path) -> Parts:
    home = _home(root, "CUB_200_2011", "images.txt")
    rows = _rows(home / "images.txt", 2)
    classes = dict(_rows(_file(home, "image_class_labels.txt"), 2))
    lost = [name for number, name in rows if number not in classes]
    refuse(home / "image_class_labels.txt", lost, what="pictures without a class")
    pairs = [(home / "images" / name, classes[number]) for number, name in rows]
    return _halves(home / "images.txt", pairs, last=100)


def _cars(root: Path) -> Parts:
    readers: tuple[tuple[str, str, Callable[[Path], Pairs]], ...] = (
        ("", "cars_annos.txt", _cars_text),
        ("", "anno_train.csv", _cars_tables),
        ("", "cars_annos.mat", _cars_matrix),
        ("devkit", "cars_train_annos.mat", _cars_matrices),
    )
    for inner, name, reader in readers:
        for home in (root, root / "CARS196", root / "cars196", root / "stanford_cars"):
            if (home / inner / name).is_file():
                return _halves(home / inner / name, reader(home), last=98)
    known = ", ".join(f"{inner}/{name}".lstrip("/") for inner, name, _ in readers)
    raise MismatchError(f"{display(root)} is no CARS196: it holds none of {known}.")


def _cars_text(home: Path) -> Pairs:
    """Rows of picture, class and a flag."""
    return [(home / row[0], row[1]) for row in _table(home / "cars_annos.txt", 3)]


def _cars_tables(home: Path) -> Pairs:
    """Rows of file, a box and the class; photos lie in folders, one a class."""
    pairs: Pairs = []
    for part in ("train", "test"):
        table = _file(home, f"anno_{part}.csv")
        places = (f"car_data/car_data/{part}", f"car_data/{part}", f"cars_{part}", part)
        folder = next((home / place for place in places if (home / place).is_dir()), home / part)
        found = {path.name: path for path in folder.rglob("*.jpg") if path.name[:2] != "._"}
        pairs += [(found.get(row[0], folder / row[0]), row[-1]) for row in _table(table, 6)]
    return pairs


def _cars_matrix(home: Path) -> Pairs:
    return [
        (home / str(row["relative_im_path"]), str(int(row["class"])))
        for row in _annotations(home / "cars_annos.mat", "relative_im_path")
    ]


def _cars_matrices(home: Path) -> Pairs:
    pairs: Pairs = []
    for part, name in (("train", "cars_train_annos"), ("test", "cars_test_annos_withlabels")):
        places = (home / "devkit" / f"{name}.mat", home / f"{name}.mat")
        file = next((place for place in places if place.is_file()), places[0])
        pairs += [
            (home / f"cars_{part}" / str(row["fname"]), str(int(row["class"])))
            for row in _annotations(file, "fname")
        ]
    return pairs


def _annotations(file: Path, picture: str) -> Iterator[Any]:
    """The structures of a .mat's `annotations`."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    if not file.is_file():
        raise MismatchError(f"CARS196 is not whole: there is no {display(file)}.")
    try:
        found = loadmat(file, variable_names=["annotations"], squeeze_me=True)["annotations"]
        rows = np.atleast_1d(found)
        if not {picture, "class"} <= {*(rows.dtype.names or ())}:
            raise KeyError(f"fields {picture} and class")
    except (KeyError, ValueError, TypeError, NotImplementedError, MatReadError) as error:
        raise MismatchError(f"{display(file)} is not as CARS196 has it: {error}.") from error
    return iter(rows)


def _sop(root: Path) -> Parts:
    home = _home(root, "Stanford_Online_Products", "Ebay_train.txt")
    parts = []
    for name in ("Ebay_train.txt", "Ebay_test.txt"):
        rows = _rows(_file(home, name), 4, header=1)
        parts.append(_part(home / name, [(home / row[3], row[1]) for row in rows]))
    return Parts(*parts)


def _inshop(root: Path) -> Parts:
    inner = ("Eval/list_eval_partition.txt", "list_eval_partition.txt")
    for home in (root, root / "In-shop", root / "In-shop Clothes Retrieval Benchmark"):
        file = next((home / name for name in inner if (home / name).is_file()), None)
        if file is not None:
            break
    else:
        raise MismatchError(f"{display(root)} is no In-Shop: it holds no {inner[0]}.")
    photos = home / "Img" if (home / "Img").is_dir() else home
    parts: dict[str, Pairs] = {"train": [], "query": [], "gallery": []}
    wrong = []
    for number, row in enumerate(_rows(file, 3, header=2), start=3):
        if row[2] in parts:
            parts[row[2]].append((photos / row[0], row[1]))
        else:
            wrong.append(f"line {number}: {row[2]}")
    refuse(file, wrong, what="lines that are neither train nor query nor gallery")
    names = sorted({name for part in ("query", "gallery") for _, name in parts[part]})
    return Parts(
        _part(file, parts["train"]),
        _part(file, parts["query"], names),
        _part(file, parts["gallery"], names),
    )


_READERS: Mapping[str, Callable[[Path], Parts]] = {
    "cub": _cub,
    "cars": _cars,
    "sop": _sop,
    "inshop": _inshop,
}


def _home(root: Path, inner: str, name: str) -> Path:
    for home in (root, root / inner):
        if (home / name).is_file():
            return home
    raise MismatchError(f"{display(root)} holds no {name} and no {inner}/{name}.")


def _file(home: Path, name: str) -> Path:
    if not (home / name).is_file():
        raise MismatchError(f"{display(home)} is not whole: it has no {name}.")
    return home / name


def _rows(file: Path, columns: int, *, header: int = 0) -> list[list[str]]:
    """Rows of columns between blanks, however many; of the last one blanks are kept."""
    lines = enumerate(_lines(file), start=1)
    rows = [(number, line.split(maxsplit=columns - 1)) for number, line in lines if line.strip()]
    return _checked(file, rows[header:], columns)


def _table(file: Path, columns: int) -> list[list[str]]:
    """Rows between commas; a first row that names the columns is left out."""
    rows = [(number, row) for number, row in enumerate(csv.reader(_lines(file)), 1) if row]
    if rows and not rows[0][1][-1].strip().isdecimal():
        rows = rows[1:]
    return _checked(file, rows, columns)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise MismatchError(f"{display(file)} is not UTF-8: {error}.") from error


def _checked(file: Path, rows: list[tuple[int, list[str]]], columns: int) -> list[list[str]]:
    wrong = [f"line {number}" for number, row in rows if len(row) != columns]
    refuse(file, wrong, what=f"lines that have not {columns} columns")
    return [[cell.strip() for cell in row] for _, row in rows]


def _halves(file: Path, pairs: Pairs, *, last: int) -> Parts:
    """Classes 1 to `last` to train on, those after them to test."""
    odd = [display(path.name) for path, name in pairs if not name.isdecimal()]
    refuse(file, odd, what="pictures whose class is no number")
    train = [pair for pair in pairs if int(pair[1]) <= last]
    return Parts(_part(file, train), _part(file, [p for p in pairs if int(p[1]) > last]))


def _part(
    file: Path, pairs: Iterable[tuple[Path, str]], names: list[str] | None = None
) -> Labelled:
    pairs = [pair for pair in pairs if not pair[0].name.startswith("._")]
    if not pairs:
        raise MismatchError(f"{display(file)} leaves no photo to train on, or none to test.")
    refuse_missing(file, [path for path, _ in pairs])
    if names is None:
        names = sorted({name for _, name in pairs}, key=lambda name: (len(name), name))
    place = {name: number for number, name in enumerate(names)}
    labels = np.array([place[name] for _, name in pairs], dtype=np.int64)
    return Labelled([path for path, _ in pairs], labels, names)
