"""Splits without leakage: no photo is on two sides."""

import json
import logging
import os
from collections import Counter
from collections.abc import Generator, Iterable
from pathlib import Path
from tempfile import TemporaryFile

from compodiff.building import drawing
from compodiff.building.rows import targets_of, with_targets
from vretr.data.sources import Row

log = logging.getLogger(__name__)

TRAIN, VAL, TEST = "train", "val", "test"


def drawn(key: str, *, val: float, test: float, seed: int) -> str:
    """The split of one photo, or of a caption, by itself."""
    share = drawing.share(seed, "split", key)
    if share < test:
        return TEST
    return VAL if share < test + val else TRAIN


def by_photos(
    rows: Iterable[Row], *, val: float, test: float, seed: int, rejected: Counter[str]
) -> Generator[Row]:
    """The rows with their split: each photo is drawn, and a row keeps the targets of its own."""

    def split_of(photo: str) -> str:
        return drawn(os.path.basename(photo), val=val, test=test, seed=seed)

    for row in rows:
        split, targets = split_of(row["reference"]), targets_of(row)
        kept = [target for target in targets if split_of(target) == split]
        rejected["photo of another split"] += len(targets) - len(kept)
        if kept:
            yield {**with_targets(row, kept), "split": split}


def by_components(
    rows: Iterable[Row], folder: Path, *, val: float, test: float, seed: int
) -> Generator[Row]:
    """The rows with their split: photos that hang together by triplets go to one.

    The rows wait in a temporary file in `folder`; only the names of the photos are in memory.
    """
    if not val and not test:
        yield from ({**row, "split": TRAIN} for row in rows)
        return
    components = Components()
    with TemporaryFile(dir=folder) as spool:
        for row in rows:
            components.join([row["reference"], *targets_of(row)])
            spool.write(json.dumps(row).encode("ascii") + b"\n")
        split = components.shared(val=val, test=test, seed=seed)
        spool.seek(0)
        for line in spool:
            row = json.loads(line)
            yield {**row, "split": split[components.root(row["reference"])]}


def _order(seed: int, photo: str) -> int:
    return drawing.number(seed, "split", os.path.basename(photo))


class Components:
    """Photos that hang together, by their names (union-find)."""

    def __init__(self) -> None:
        self.parent: dict[str, str] = {}

    def root(self, photo: str) -> str:
        """The photo that stands for all that this one hangs together with."""
        parent = self.parent
        parent.setdefault(photo, photo)
        while parent[photo] != photo:
            parent[photo] = photo = parent[parent[photo]]
        return photo

    def join(self, photos: Iterable[str]) -> None:
        """Makes these hang together; the least name stands for all."""
        first, *others = sorted({self.root(photo) for photo in photos})
        for other in others:
            self.parent[other] = first

    def shared(self, *, val: float, test: float, seed: int) -> dict[str, str]:
        """A split for each root: in drawn order, each goes where there is room for it; the rest is
        trained on."""
        sizes = Counter(self.root(photo) for photo in list(self.parent))
        total = sum(sizes.values())
        room = {TEST: test * total, VAL: val * total}
        split = dict.fromkeys(sizes, TRAIN)
        for root in sorted(sizes, key=lambda name: (_order(seed, name), name)):
            for name in (TEST, VAL):
                if sizes[root] <= room[name]:
                    room[name] -= sizes[root]
                    split[root] = name
                    break
        for name, share in ((VAL, val), (TEST, test)):
            if share and name not in split.values():
                log.warning(
                    "%d of %d photos hang together, so that none is left for %s; "
                    "--hold-out-by photos draws each photo instead",
                    *(max(sizes.values(), default=0), total, name),
                )
        return split
