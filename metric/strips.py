"""Queries with their nearest neighbours beside them: what goes well and what does not."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from vretr import images, metrics

TILE, BORDER, COLUMNS = 138, 4, 3  # pixels; a page shows three tiles in full width
NEIGHBOURS = 5
RIGHT, WRONG, QUERY = "#2a9d3a", "#c9302c", "#888888"
QUERIES = 512  # ranked at a time


def strips(
    paths: Sequence[Path],
    vectors: NDArray[np.float32],
    labels: NDArray[np.int64],
    names: Sequence[str],
    *,
    gallery: tuple[Sequence[Path], NDArray[np.float32], NDArray[np.int64]] | None = None,
    count: int = 6,
) -> list[tuple[str, Image.Image]]:
    """(caption, picture) pairs: `count` bad queries, the surest errors first, then good ones.

    A query is bad where its first neighbour is of another class, and good where all are of its own.

    Args:
        paths, vectors, labels: N queries; vectors [N, dim] of unit length.
        names: of the classes, by label.
        gallery: paths, vectors and labels of what is searched; not given: the other queries.
    """
    found_paths, found_vectors, found_labels = gallery or (paths, vectors, labels)
    length = min(NEIGHBOURS, len(found_paths) - (gallery is None))
    if length < 1:
        return []
    first = _neighbours(vectors, found_vectors, length, alone=gallery is None)
    right = found_labels[first] == labels[:, None]
    score = np.einsum("nd,nd->n", vectors, found_vectors[first[:, 0]])
    bad, good = np.flatnonzero(~right[:, 0]), np.flatnonzero(right.all(axis=1))
    bad = bad[np.argsort(-score[bad], kind="stable")][:count]
    good = good[np.argsort(score[good], kind="stable")][:count]
    return [
        (
            f"{kind}: {names[labels[query]]}, nearest {names[found_labels[first[query, 0]]]} "
            f"({score[query]:.2f})",
            _strip(
                [paths[query], *(found_paths[place] for place in first[query].tolist())],
                right[query],
            ),
        )
        for kind, queries in (("wrong", bad), ("right", good))
        for query in queries.tolist()
    ]


def _neighbours(
    queries: NDArray[np.float32], gallery: NDArray[np.float32], length: int, *, alone: bool
) -> NDArray[np.int64]:
    """[N, length] places in the gallery; a query is not its own neighbour where it is in it."""
    rows = []
    for start in range(0, len(queries), QUERIES):
        part = queries[start : start + QUERIES]
        own = range(start, start + len(part))
        asked = [metrics.Question.of([], left_out=[number] if alone else []) for number in own]
        rows += metrics.lists_from_vectors(part, gallery, questions=asked, length=length)
    return np.stack(rows)


def _strip(paths: Sequence[Path], right: NDArray[np.bool_]) -> Image.Image:
    side = TILE + 2 * BORDER
    strip = Image.new("RGB", (side * COLUMNS, side * -(-len(paths) // COLUMNS)), "white")
    colours = [QUERY, *(RIGHT if one else WRONG for one in right)]
    for place, (path, colour) in enumerate(zip(paths, colours, strict=True)):
        picture = images.open(path, target=TILE)
        if isinstance(picture, images.Unreadable):  # it was readable when it was encoded
            picture = Image.new("RGB", (TILE, TILE), "black")
        tile = ImageOps.pad(picture, (TILE, TILE), color="white")
        row, column = divmod(place, COLUMNS)
        strip.paste(ImageOps.expand(tile, BORDER, colour), (column * side, row * side))
    return strip
