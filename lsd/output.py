"""What was found in a picture, as JSON, CSV and SVG; and where its files go."""

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd.boxes import Boxes
from lsd.lines import Lines
from vretr.paths import display, json_fields

PIXELS, SCORE = 2, 4  # decimals


@dataclass(frozen=True, eq=False, slots=True)
class Found:
    """What was found in a picture.

    Attributes:
        boxes: None where they were not looked for.
        windows: in so many parts it was looked at.
        files: what was written for it.
    """

    path: Path
    lines: Lines
    boxes: Boxes | None = None
    windows: int = 1
    files: tuple[Path, ...] = ()


def to_json(found: Found) -> dict[str, Any]:
    """The fields that `docs/lines.md` lists."""
    lines = found.lines
    row: dict[str, Any] = {
        **json_fields(found.path),
        "width": lines.width,
        "height": lines.height,
        "lines": _numbers(lines.ends, lines.scores),
    }
    if found.boxes is not None:
        row["boxes"] = _numbers(found.boxes.corners.reshape(-1, 8), found.boxes.scores)
    if found.files:
        row["files"] = [json_fields(file)["path"] for file in found.files]
    return row


def json_line(found: Found) -> str:
    return json.dumps(to_json(found), ensure_ascii=False) + "\n"


def csv_rows(found: Found) -> Iterator[str]:
    """A row a line, or a row a box where boxes were looked for; each begins with the path."""
    table = to_json(found)
    for numbers in table["lines"] if found.boxes is None else table["boxes"]:
        yield _csv((os.fspath(found.path), *numbers))


def csv_header(boxes: bool) -> str:
    corners = 4 if boxes else 2
    points = [f"{axis}{number}" for number in range(1, corners + 1) for axis in "xy"]
    return _csv(("path", *points, "score"))


def _csv(cells: Iterable[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def to_svg(found: Found) -> str:
    """A drawing of the picture's size: each line with its score as `data-score`, and boxes."""
    lines = found.lines
    width = max(1.0, min(lines.width, lines.height) / 360)
    boxes = [
        f'<polygon points="{" ".join(map(str, corners))}" data-score="{score}"/>'
        for *corners, score in to_json(found).get("boxes", ())
    ]
    drawn = [
        f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" data-score="{score}"/>'
        for x1, y1, x2, y2, score in to_json(found)["lines"]
    ]
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{lines.width}" '
            f'height="{lines.height}" viewBox="0 0 {lines.width} {lines.height}">',
            f"<title>{escape(display(found.path))}</title>",
            f'<g fill="none" stroke="#28e1b9" stroke-width="{2 * width:.1f}">{"".join(boxes)}</g>',
            f'<g stroke="#e63c8c" stroke-width="{width:.1f}" stroke-linecap="round">',
            *drawn,
            "</g>",
            "</svg>",
            "",
        )
    )


def _numbers(points: NDArray[np.float32], scores: NDArray[np.float32]) -> list[list[float]]:
    """Rows of coordinates and a score, rounded to what they tell."""
    return [
        [*(round(number, PIXELS) + 0.0 for number in row), round(score, SCORE)]
        for row, score in zip(points.tolist(), scores.tolist(), strict=True)
    ]


class Places:
    """Where the files of each picture go: under the same folders as the pictures, from the deepest
    one that all of them share.

    A picture's own name stays whole, so that `x.jpg` and `x.png` do not meet, and what is added
    names nobody's photo: `x.jpg.lines.png`.
    """

    def __init__(self, out: Path, given: Sequence[Path]) -> None:
        folders = [path if path.is_dir() else path.parent for path in given]
        self.out = out
        self._common = os.path.commonpath([os.path.abspath(folder) for folder in folders])

    def file(self, picture: Path, what: str) -> Path:
        """`what` is `lines.png`, say."""
        relative = os.path.relpath(os.path.abspath(picture), self._common)
        return self.out / f"{relative}.{what}"
