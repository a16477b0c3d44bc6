"""`vretr detect-lines`: line segments, and boxes, of pictures, folders and lists of them."""

import logging
import os
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from lsd.config import DetectConfig
from lsd.detector import Detector
from lsd.files import load
from lsd.output import Found, Places, csv_header, csv_rows, json_line, to_json, to_svg
from lsd.pictures import write
from lsd.stream import Finder, drawn
from vretr import images
from vretr.errors import UsageError, VretrError
from vretr.images import Unreadable
from vretr.methods import Findings
from vretr.paths import display
from vretr.progress import progress

log = logging.getLogger(__name__)
NAMED = 3  # of several paths, in a sentence


def detect_lines(config: DetectConfig) -> Findings:
    """Finds lines while the findings are read; `docs/lines.md` lists their fields.

    Raises:
        UsageError: an impossible setting, an unknown model, or --out is no folder of its own.
        VretrError: --out cannot be written to, or there is no picture.
    """
    if config.out is not None:
        _require_writable(config.out, config.paths)
    total = _count(config)
    if config.svg and config.out is None and total > 1:
        raise UsageError(f"--svg makes {total:,} drawings; say where they go with --out DIR.")
    skipped: list[Unreadable] = []
    found = _findings(config, _detector(config), total, skipped)
    headers, rows = _table(config, total)
    return Findings(found=found, headers=headers, rows=rows, skipped=skipped)


def _require_writable(out: Path, paths: Sequence[Path]) -> None:
    """Makes the folder where it is not there, and a file in it that is gone at once."""
    if any(path.is_dir() and out.exists() and path.samefile(out) for path in paths):
        raise UsageError(f"--out must be another folder than the pictures' own, {display(out)}.")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out):
            pass
    except OSError as problem:
        reason = problem.strerror or problem
        raise VretrError(f"The folder {display(out)} cannot be written to: {reason}.") from problem


def _count(config: DetectConfig) -> int:
    problems: list[Unreadable] = []
    total = sum(1 for _ in _pictures(config, problems.append))
    if not total:
        where = ", ".join(display(path) for path in config.paths[:NAMED]) or "an empty list"
        why = "".join(f"; {display(each.path)}: {each.reason}" for each in problems[:NAMED])
        raise VretrError(f"There is no picture in {where}{why}.")
    return total


def _pictures(config: DetectConfig, skip: Callable[[Unreadable], None]) -> Iterator[Path]:
    """Without what was written to --out, where that lies in a folder of pictures."""
    found = images.find(config.paths, on_problem=skip)
    if config.out is None:
        return found
    own, given = _folder(config.out), {os.path.abspath(path) for path in config.paths}
    if not any(own.startswith(_folder(path)) for path in given):
        return found
    places = ((path, os.path.abspath(path)) for path in found)
    return (path for path, place in places if place in given or not place.startswith(own))


def _folder(path: Path | str) -> str:
    return os.path.join(os.path.abspath(path), "")


def _detector(config: DetectConfig) -> Detector:
    size: dict[str, Any] = {} if config.size is None else {"size": config.size}
    names = ("resize", "flip", "device", "top_k", "score", "length", "clip", "subpixel", "merge")
    try:
        return load(config.model, **size, **{name: getattr(config, name) for name in names})
    except ValueError as problem:
        raise UsageError(f"{problem}.") from problem


def _findings(
    config: DetectConfig, detector: Detector, total: int, skipped: list[Unreadable]
) -> Generator[Mapping[str, Any] | str]:
    """What goes to stdout."""

    def skip(problem: Unreadable) -> None:
        skipped.append(problem)
        log.warning("skipped %s: %s", display(problem.path), problem.reason)

    as_csv, as_svg = (config.out is None and chosen for chosen in (config.csv, config.svg))
    said = False
    # On a terminal, what is written there would tear the bar.
    torn = sys.stdout.isatty() and (config.json or as_csv)
    with (
        progress(total, "Pictures", shown=total > 1 and not torn) as bar,
        closing(_written(config, detector, skip, workers=_workers(config, total))) as stream,
    ):
        if as_csv:
            yield csv_header(_wants_boxes(config))
        for number, found in enumerate(stream, start=1):
            _say_if_none(found, config)
            said = said or _say_windows(found, config)
            if as_csv:
                yield from csv_rows(found)
            else:
                yield to_svg(found) if as_svg else to_json(found)
            bar.update(number + len(skipped))


def _workers(config: DetectConfig, total: int) -> int | None:
    """Processes cost more than one picture takes."""
    return 0 if total == 1 and config.workers is None else config.workers


def _wants_boxes(config: DetectConfig) -> bool:
    return config.boxes or config.crops


def _written(
    config: DetectConfig,
    detector: Detector,
    skip: Callable[[Unreadable], None],
    *,
    workers: int | None,
) -> Generator[Found]:
    """What was found, each once its files are there."""
    finder = Finder(
        detector=detector,
        tiles=config.windows,
        boxes=_wants_boxes(config),
        batch_size=config.batch_size,
        workers=workers,
        skip=skip,
    )
    stream = finder.find(_pictures(config, skip))
    if config.out is not None:
        places = Places(config.out, config.paths)
        if config.overlay or config.crops:
            files_of = partial(_pictures_of, config=config, places=places)
            stream = drawn(stream, files_of, overlay=config.overlay, workers=workers, skip=skip)
        if config.json or config.csv or config.svg or not (config.overlay or config.crops):
            stream = _saved(stream, config, places)
    return stream


def _pictures_of(found: Found, config: DetectConfig, places: Places) -> list[Path]:
    numbers = range(1, len(found.boxes or ()) + 1) if config.crops else ()
    names = [*(["lines.png"] if config.overlay else []), *(f"box-{n}.png" for n in numbers)]
    return [places.file(found.path, name) for name in names]


def _saved(stream: Generator[Found], config: DetectConfig, places: Places) -> Generator[Found]:
    """The same, each once its text files are written: JSON where nothing else was asked for."""
    with closing(stream):
        for found in stream:
            texts = {}
            if config.json or not (config.csv or config.svg):
                texts["json"] = json_line(found)
            if config.csv:
                texts["csv"] = csv_header(found.boxes is not None) + "".join(csv_rows(found))
            if config.svg:
                texts["svg"] = to_svg(found)
            files = [places.file(found.path, f"lines.{kind}") for kind in texts]
            for file, text in zip(files, texts.values(), strict=True):
                write(file, os.fsencode(text))
            yield replace(found, files=(*found.files, *files))


def _say_if_none(found: Found, config: DetectConfig) -> None:
    if not len(found.lines):
        longer = f" and be longer than {config.length:g} pixels" if config.length else ""
        log.warning(
            "%s: no line; the best score is %.3f, and a line must score over %g%s",
            *(display(found.path), found.lines.best, config.score, longer),
        )


def _say_windows(found: Found, config: DetectConfig) -> bool:
    """Says it of the first picture that is looked at in parts although nobody asked for it."""
    if found.windows == 1 or config.windows is not None:
        return False
    log.warning(
        "%s is so long that it is looked at in %d windows; --tiles 0 squashes it into one",
        *(display(found.path), found.windows),
    )
    return True


def _table(
    config: DetectConfig, total: int
) -> tuple[Sequence[str], Callable[[Mapping[str, Any]], Sequence[Sequence[Any]]]]:
    """For a terminal: the lines (or boxes) of one picture, a row a picture of several."""
    if total == 1:
        kind, corners = ("boxes", 4) if _wants_boxes(config) else ("lines", 2)
        points = [f"{axis}{number}" for number in range(1, corners + 1) for axis in "xy"]
        return (*points, "score"), lambda found: [
            (*map(round, row[:-1]), f"{row[-1]:.3f}") for row in found[kind]
        ]
    headers = ("lines", *(("boxes",) if _wants_boxes(config) else ()), "best", "width", "height")
    return (*headers, "picture"), lambda found: [
        (
            len(found["lines"]),
            *((len(found["boxes"]),) if "boxes" in found else ()),
            f"{found['lines'][0][-1]:.3f}" if found["lines"] else "",
            found["width"],
            found["height"],
            Path(found["path"]),
        )
    ]
