"""What is trained on and what is tested: benchmarks by name, and folders of labelled photos."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from metric.sets import COUNTS, read
from metric.splits import LEAST, chosen, drawn, held_out
from vretr.data import labelled
from vretr.data.labelled import Labelled
from vretr.data.sources import TABLES, folder_of, rows, table_of
from vretr.errors import MismatchError, UsageError
from vretr.paths import display

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Benchmark:
    """Photos to train on, and photos of other classes to test.

    Attributes:
        train: labels count its classes from 0 on, in the order of their names; so everywhere.
        test: what is searched with.
        gallery: what is searched in, with the labels and names of `test`; None: each photo of
            `test` among the others.
        settings: how classes were split, for reports.
    """

    train: Labelled
    test: Labelled
    gallery: Labelled | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def load(
    data: str,
    *,
    root: Path | None = None,
    label_field: str | None = None,
    test_classes: float = 0.5,
    seed: int = 0,
    allow_shared_classes: bool = False,
) -> Benchmark:
    """Reads a set and splits it by its own rule, or by classes.

    A folder or zip of labelled photos (see `vretr.data.labelled`) is split by its column `split`,
    or by its folders `train` and `test`, where it has both parts. Where these share classes, a
    share of the classes is tested, with the test part's photos only, and the others are trained
    on, with the train part's. Without parts, a share of the classes is tested.

    Args:
        data: cub, cars, sop or inshop; or a path.
        root: where a set given by name lies: a folder or zip.
        label_field: the column with the class, or several joined with `+`.
        test_classes: share of the classes (of those with two photos or more) that are tested,
            where the data do not tell.
        seed: of that draw.
        allow_shared_classes: take parts that share classes as they are.

    Raises:
        UsageError: a name without a root, or a path with one.
        MismatchError: data are missing or malformed, or there are too few classes.
    """
    if data in COUNTS:
        if root is None:
            raise UsageError(f"{data} needs --root, the folder or zip where it lies.")
        parts = read(data, root)
        _check(data, [part for part in parts if part is not None])
        return Benchmark(*parts)
    if root is not None:
        raise UsageError(f"--root belongs to {', '.join(COUNTS)}; {data} is a path.")
    source = Path(data)
    if not _has_parts(folder_of(source)):
        whole = labelled.load(source, field=label_field)
        train, test = held_out(whole, test_classes, seed)
        return Benchmark(
            train,
            test,
            settings={"classes_by": "draw", "test_classes": test_classes, "split_seed": seed},
        )
    train, test = (
        labelled.load(source, split=part, field=label_field) for part in ("train", "test")
    )
    shared = {*train.names} & {*test.names}
    if not shared:
        return Benchmark(train, test, settings={"classes_by": "own split"})
    if allow_shared_classes:
        return Benchmark(
            train, test, settings={"classes_by": "own split", "shared_classes": len(shared)}
        )
    return _apart(data, train, test, len(shared), share=test_classes, seed=seed)


def _has_parts(folder: Path) -> bool:
    table = table_of(folder, *TABLES)
    if table is None:
        return all((folder / part).is_dir() for part in ("train", "test"))
    return {"train", "test"} <= {row.get("split") for _, row in rows(table)}


def _apart(
    data: str, train: Labelled, test: Labelled, shared: int, *, share: float, seed: int
) -> Benchmark:
    """Some classes with their photos in `test`, the others with theirs in `train`."""
    names = sorted({*train.names, *test.names})
    log.warning(
        "The train and test parts of %s share %d classes: a share of %g of the classes is tested, "
        "with the test part's photos, and the others are trained on, with the train part's.",
        display(data),
        shared,
        share,
    )
    photos = dict(zip(test.names, np.bincount(test.labels).tolist(), strict=True))
    out = drawn(np.array([photos.get(name, 0) for name in names]), share, seed)
    tested = {name for name, held in zip(names, out, strict=True) if held}
    kept = [number for number, name in enumerate(train.names) if name not in tested]
    if len(kept) < LEAST:
        raise MismatchError(f"{display(data)} has {len(kept)} classes left to train on.")
    return Benchmark(
        chosen(train, kept),
        chosen(test, [number for number, name in enumerate(test.names) if name in tested]),
        settings={"classes_by": "draw", "test_classes": share, "split_seed": seed},
    )


def _check(name: str, parts: list[Labelled]) -> None:
    """Says where a set is not what others measure on."""
    found = tuple(n for part in parts for n in (len(part.paths), len({*part.labels.tolist()})))
    if found != COUNTS[name]:
        log.warning(
            "%s has %s photos and classes by part here, not %s: figures cannot be compared with "
            "published ones.",
            name,
            " / ".join(f"{number:,}" for number in found),
            " / ".join(f"{number:,}" for number in COUNTS[name]),
        )
