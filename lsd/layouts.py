"""Pictures with lines as data sets and annotation tools write them: read as they stand, unchecked.

Wireframe (Huang et al. 2018, CVPR) comes as L-CNN's JSON, as L-CNN's processed .npz, as HAWP's
JSON with junctions and edges, and as AFM's; York Urban (Denis, Elder, Estrada 2008, ECCV) as its
own .mat or as one lines.json; other pictures as labelme's JSON.
"""

import json
import logging
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple
from zipfile import BadZipFile

import numpy as np

from vretr import images
from vretr.data.sources import folder_of, refuse, table_of
from vretr.errors import MismatchError
from vretr.images import Unreadable
from vretr.paths import display

log = logging.getLogger(__name__)

Split = Literal["train", "test"]

LISTS = {"train": ("train.json",), "test": ("test.json", "valid.json")}  # HAWP's name, L-CNN's
OURS = "lines.json"
YORK = "LinesAndVP.mat"
PROCESSED = "_label.npz"
PROCESSED_SIZE, PROCESSED_GRID = 512, 128  # pixels of L-CNN's pictures, and cells of its labels
KNOWN = f"{OURS}, train.json, test.json or valid.json, *{PROCESSED}, */*{YORK}, or labelme's *.json"


class Row(NamedTuple):
    """A picture of a file: as it is named there, its size in pixels and its lines, unchecked."""

    picture: Path
    width: Any
    height: Any
    lines: Any


def read(source: Path, split: Split | None) -> Iterator[Row]:
    """The rows of a file, or of what lies in a folder or a zip.

    Raises:
        MismatchError: there is nothing that is known, or it is malformed.
    """
    if source.is_file() and source.suffix.lower() != ".zip":
        return _file(source, split)
    folder = folder_of(source)
    if listed := table_of(folder, *(LISTS[split] if split else ()), OURS):
        return _file(listed, split)
    if split is None and (both := table_of(folder, *LISTS["train"], *LISTS["test"])):
        raise MismatchError(f"Of {display(source)} give one file, like {display(both)}.")
    processed = {"train": "train", "test": "valid"}.get(split or "", ".")
    for pattern in (f"{processed}/*{PROCESSED}", f"*{PROCESSED}", f"*/*{YORK}", f"*{YORK}"):
        if files := sorted(folder.glob(pattern)):
            return (row for file in files for row in _file(file, split))
    if files := sorted(folder.glob("*.json")):
        return (row for file in files for row in _file(file, split))
    raise MismatchError(f"{display(source)} holds no lines that are known: {KNOWN}.")


def _file(file: Path, split: Split | None) -> Iterator[Row]:
    if file.suffix.lower() == ".mat":
        return _york(file)
    if file.suffix.lower() == ".npz":
        return _processed(file)
    try:
        found = json.loads(file.read_bytes())
    except ValueError as error:  # also where it is not UTF-8
        raise MismatchError(f"{display(file)} is no JSON: {error}.") from error
    if isinstance(found, dict) and isinstance(found.get("shapes"), list):
        return _labelme(file, found)
    if isinstance(found, dict) and isinstance(found.get("images"), list):
        kept = [row for row in found["images"] if split is None or _split(row) in (None, split)]
        return _listed(file, kept, name="file_name")
    if isinstance(found, list):
        return _listed(file, found, name="filename")
    raise MismatchError(
        f"{display(file)} is neither a list of pictures with their lines nor labelme's JSON."
    )


def _split(row: Any) -> Any:
    return row.get("split") if isinstance(row, dict) else None


def _listed(file: Path, found: list[Any], *, name: str) -> Iterator[Row]:
    wrong = []
    for number, row in enumerate(found, start=1):
        try:
            lines = row["lines"] if "lines" in row else _edges(row)
            yield Row(_picture(file.parent, row[name]), row["width"], row["height"], lines)
        except KeyError as error:
            wrong.append(f"entry {number} has no {error}")
        except (TypeError, ValueError, IndexError) as error:
            wrong.append(f"entry {number}: {error}")
    refuse(file, wrong, what="malformed")


def _edges(row: dict[str, Any]) -> Any:
    """HAWP's: pairs of junctions."""
    junctions = np.asarray(row["junctions"], np.float64).reshape(-1, 2)
    return junctions[np.asarray(row["edges_positive"], np.intp).reshape(-1, 2)].reshape(-1, 4)


def _picture(folder: Path, name: str) -> Path:
    """Beside the file or in `images`; where the ending is another one, with that."""
    places = [folder / "images" / name, folder / name]
    others = [place.with_suffix(ending) for place in places for ending in (".png", ".jpg")]
    return next((place for place in (*places, *others) if place.is_file()), places[0])


def _labelme(file: Path, found: dict[str, Any]) -> Iterator[Row]:
    """Shapes of two points are lines, and line strips are lines from point to point."""
    lines: list[list[float]] = []
    others = 0
    try:
        for shape in found["shapes"]:
            if shape["shape_type"] not in ("line", "linestrip"):
                others += 1
                continue
            lines += [[*a, *b] for a, b in pairwise(shape["points"])]
        name = Path(found["imagePath"].replace("\\", "/"))
        size = found["imageWidth"], found["imageHeight"]
    except (KeyError, TypeError, AttributeError) as error:
        raise MismatchError(f"{display(file)} is not as labelme writes it: {error!r}.") from error
    if others:
        log.warning("%s: %d shapes are no lines and are left out.", display(file), others)
    yield Row(_picture(file.parent, str(name)), *size, lines)


def _york(file: Path) -> Iterator[Row]:
    """`lines` [2 N, 2]: the two ends of each line, one below the other."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        ends = np.asarray(loadmat(file, variable_names=["lines"])["lines"], np.float64)
        lines = ends.reshape(-1, 4)
    except (LookupError, ValueError, TypeError, NotImplementedError, MatReadError) as error:
        raise MismatchError(f"{display(file)} holds no lines as York Urban's: {error}.") from error
    picture = file.with_name(file.name.removesuffix(YORK) + ".jpg")
    opened = images.open(picture)
    if isinstance(opened, Unreadable):
        raise MismatchError(f"The picture of {display(file)} is needed: {opened.reason}.")
    yield Row(picture, *opened.size, lines)


def _processed(file: Path) -> Iterator[Row]:
    """`lpos` [N, 2, 3]: y, x and a zero of both ends, on a grid of 128."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            ends = np.asarray(arrays["lpos"], np.float64)[..., [1, 0]].reshape(-1, 4)
    except (KeyError, ValueError, IndexError, EOFError, BadZipFile) as error:
        raise MismatchError(f"{display(file)} is not as L-CNN writes it: {error}.") from error
    picture = file.with_name(file.name.removesuffix(PROCESSED) + ".png")
    yield Row(picture, PROCESSED_SIZE, PROCESSED_SIZE, ends * (PROCESSED_SIZE / PROCESSED_GRID))
