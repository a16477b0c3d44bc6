"""Pictures whose lines are known."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsd import layouts
from lsd.layouts import Row, Split
from lsd.lines import Lines, clipped
from vretr.data.sources import SHOWN, refuse, refuse_missing
from vretr.errors import MismatchError
from vretr.paths import display

log = logging.getLogger(__name__)

SLACK = 2.0
"""Ends that lie out of the picture by no more pixels than this, as some of York Urban's do by 1.4,
are moved to its border without a word."""


@dataclass(frozen=True, eq=False)
class Annotated:
    """A picture and its lines.

    Attributes:
        path: of the picture.
        width, height: in pixels, upright.
        lines: float32 [N, 4] in those pixels, x1 y1 x2 y2; all within the picture. N may be 0.
    """

    path: Path
    width: int
    height: int
    lines: NDArray[np.float32]


@dataclass
class _Found:
    """What is said of all pictures together."""

    malformed: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)


def load(source: Path, *, split: Split | None = None) -> list[Annotated]:
    """The pictures of a file, a folder or a zip, in its order; see `layouts` for what is known.

    Lines that reach out of their picture end at its border; those that lie outside, and those
    without length, are left out; both are said.

    Args:
        split: only the training's, or only the test's, where the data tell.

    Raises:
        MismatchError: nothing is there, it is malformed, pictures are missing, or no picture has
            a line.
    """
    found = _Found()
    checked = [_checked(row, found) for row in layouts.read(Path(source), split)]
    refuse(source, found.malformed, what="pictures with malformed lines")
    kept = [each for each in checked if each is not None]
    refuse_missing(source, [each.path for each in kept])
    if not any(len(each.lines) for each in kept):
        raise MismatchError(f"{display(source)} has no line in its {len(kept):,} pictures.")
    _say(source, found.cut, "reach out of their picture and end at its border")
    _say(source, found.outside, "lie outside their picture or have no length and are left out")
    return kept


def _checked(row: Row, found: _Found) -> Annotated | None:
    name = row.picture.name
    try:
        width, height = int(row.width), int(row.height)
        lines = np.asarray(row.lines, np.float64)
        lines = lines.reshape(-1, 4) if lines.size == 0 else lines
        if lines.ndim != 2 or lines.shape[1] != 4:
            raise ValueError(f"lines are [N, 4], not {list(lines.shape)}")
        if not np.isfinite(lines).all():
            raise ValueError("a coordinate is no number")
        if width < 1 or height < 1:
            raise ValueError(f"a picture of {width} x {height}")
    except (TypeError, ValueError) as error:
        found.malformed.append(f"{display(name)}: {error}")
        return None
    within = np.clip(lines, 0, np.array([width, height] * 2))
    far = np.abs(within - lines) > SLACK
    ends = np.where(far, lines, within).astype(np.float32)
    numbers = np.arange(len(ends), dtype=np.float32)  # as scores: these tell which are left
    inside = clipped(Lines(ends, numbers, width, height))
    inside = inside.take(inside.lengths > 0)
    left = np.isin(numbers, inside.scores)
    found.outside += [display(name)] * int(np.count_nonzero(~left))
    found.cut += [display(name)] * int(np.count_nonzero(far.any(axis=1) & left))
    return Annotated(row.picture, width, height, inside.ends)


def _say(source: Path, names: Sequence[str], what: str) -> None:
    if names:
        pictures = [*dict.fromkeys(names)]
        more = f" and {len(pictures) - SHOWN:,} more" if len(pictures) > SHOWN else ""
        log.warning(
            "%s: %s lines %s: %s%s.",
            display(source), f"{len(names):,}", what, ", ".join(pictures[:SHOWN]), more,
        )  # fmt: skip
