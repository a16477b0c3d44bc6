"""Classes to learn from and others that are never seen: drawn by class, from a seed."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vretr.data.labelled import Labelled
from vretr.errors import MismatchError

LEAST = 2  # classes on either side; and photos of a class that is searched among its own


def held_out(data: Labelled, share: float, seed: int) -> tuple[Labelled, Labelled]:
    """(kept, out): class-disjoint parts. Of a class that is held out there are two photos or more.

    Args:
        share: of the classes with two photos or more that are held out, between 0 and 1.
        seed: of the draw.

    Raises:
        MismatchError: there are too few classes.
    """
    out = drawn(np.bincount(data.labels, minlength=len(data.names)), share, seed)
    return chosen(data, np.flatnonzero(~out)), chosen(data, np.flatnonzero(out))


def drawn(photos: NDArray[np.int64], share: float, seed: int) -> NDArray[np.bool_]:
    """Which classes are held out, bool [C].

    Args:
        photos: int64 [C], how many of each class there are to search in once it is held out.
        share, seed: as in `held_out`.
    """
    able = np.flatnonzero(photos >= LEAST)
    number = max(LEAST, round(share * len(able)))
    if len(able) < LEAST or len(photos) - number < LEAST:
        raise MismatchError(
            f"A share of {share:g} cannot be held out of {len(photos)} classes, {len(able)} of "
            f"them with {LEAST} photos or more: each side needs {LEAST} classes, and those held "
            f"out need {LEAST} photos each."
        )
    out = np.zeros(len(photos), dtype=bool)
    out[np.random.default_rng(seed).permutation(able)[:number]] = True
    return out


def chosen(data: Labelled, classes: Sequence[int] | NDArray[np.int64]) -> Labelled:
    """The photos of these classes; labels count them from 0 on, in the order of their names."""
    classes = np.sort(np.asarray(classes, dtype=np.int64))
    place = np.full(len(data.names), -1, dtype=np.int64)
    place[classes] = np.arange(len(classes))
    labels = place[data.labels]
    kept = np.flatnonzero(labels >= 0)
    return Labelled(
        [data.paths[index] for index in kept],
        labels[kept],
        [data.names[number] for number in classes],
    )


def joined(first: Labelled, second: Labelled) -> Labelled:
    """Both together, numbered anew; classes of one name are one class."""
    names = sorted({*first.names, *second.names})
    place = {name: number for number, name in enumerate(names)}
    labels = [
        np.array([place[name] for name in part.names], dtype=np.int64)[part.labels]
        for part in (first, second)
    ]
    return Labelled([*first.paths, *second.paths], np.concatenate(labels), names)
