"""The line detector on pictures whose lines are known, with the papers' figures beside ours."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lsd import heat, metrics
from lsd.annotations import Annotated, load
from lsd.config import EvalConfig
from lsd.detector import Detector
from lsd.lines import Lines
from lsd.published import WIREFRAME, rows
from vretr import images, methods
from vretr.data.sources import refuse
from vretr.images import Unreadable
from vretr.paths import display
from vretr.progress import progress


def evaluate(config: EvalConfig) -> methods.Report:
    """Measures a detector.

    Metrics, all in [0, 1]: `sap5`, `sap10`, `sap15` and their mean `msap`, the best F1 on sAP10's
    curve `sf10`, `lap`, and by pixels `fh` and `aph`. Where `top_k` has several numbers, these are
    of the largest, and those by lines of a smaller one k are named `sap10@k` and so on.

    Raises:
        UsageError: there is no such model.
        MismatchError: the data are missing or malformed, or a picture is not as its lines say.
    """
    source = Path(config.dataset) if config.root is None else config.root
    # Line detectors are measured on all of York Urban, its training half included.
    annotated = load(source, split="test" if config.dataset == WIREFRAME else None)
    detector = _detector(config)
    found, seconds = detect(detector, annotated, batch_size=config.batch_size, source=source)
    most, *fewer = sorted({*config.top_k}, reverse=True)
    measured = by_lines(found, annotated)
    if config.pixels:
        measured |= by_pixels(found, annotated)
    for top_k in fewer:
        some = [lines.take(np.arange(min(top_k, len(lines)))) for lines in found]
        measured |= {f"{name}@{top_k}": value for name, value in by_lines(some, annotated).items()}
    settings = {
        "pictures": len(annotated),
        "lines": sum(len(each.lines) for each in annotated),
        "model": display(detector.name),
        "parameters": sum(weight.size for weight in detector.weights.values()),
        "size": detector.size,
        "resize": detector.resize,
        "top_k": [most, *fewer],
        **{
            name: getattr(config, name)
            for name in ("flip", "score", "length", "clip", "subpixel", "merge")
        },
        "lines_per_picture": round(sum(map(len, found)) / len(found), 1),
        "frames_per_second": round(len(annotated) / seconds, 2),
        "batch_size": config.batch_size,
        "device": config.device,
    }
    return methods.Report(
        dataset=config.dataset if config.root else display(config.dataset),
        split="test" if config.dataset == WIREFRAME else "all",
        metrics=measured,
        settings=settings,
        published=rows(config.dataset),
    )


def _detector(config: EvalConfig) -> Detector:
    from lsd.files import load as load_detector

    size: dict[str, Any] = {} if config.size is None else {"size": config.size}
    names = ("resize", "flip", "score", "length", "clip", "subpixel", "merge", "device")
    options = {name: getattr(config, name) for name in names}
    return load_detector(config.model, top_k=max(config.top_k), **size, **options)


def detect(
    detector: Detector, annotated: Sequence[Annotated], *, batch_size: int = 1, source: Path
) -> tuple[list[Lines], float]:
    """What is found in each picture, and the seconds that it took once a picture was decoded.

    Raises:
        MismatchError: pictures that cannot be read, or have another size than their lines tell.
    """
    found: list[Lines] = []
    wrong: list[str] = []
    seconds = 0.0
    with progress(len(annotated), "pictures") as bar:
        for start in range(0, len(annotated), batch_size):
            opened = []
            for each in annotated[start : start + batch_size]:
                image = images.open(each.path)
                if isinstance(image, Unreadable):
                    wrong.append(f"{display(each.path.name)}: {image.reason}")
                elif image.size != (each.width, each.height):
                    wrong.append(
                        f"{display(each.path.name)} is {image.width} x {image.height}, but its "
                        f"lines are for {each.width} x {each.height}"
                    )
                else:
                    opened.append(image)
            if opened and not found:
                detector.detect(opened[0])  # the network is made when it is first used
            begun = time.perf_counter()
            found += detector.detect_batch(opened)
            seconds += time.perf_counter() - begun
            bar.advance(len(opened))
    refuse(source, wrong, what="pictures that cannot be measured")
    return found, seconds


def by_lines(found: Sequence[Lines], annotated: Sequence[Annotated]) -> dict[str, float]:
    """sAP, msAP, sF10 and LAP in [0, 1]."""
    pairs = [
        (
            metrics.on_grid(lines.ends, true.width, true.height),
            metrics.on_grid(true.lines, true.width, true.height),
        )
        for lines, true in zip(found, annotated, strict=True)
    ]
    scores = [lines.scores for lines in found]
    count = sum(len(true.lines) for true in annotated)
    nearest = [metrics.nearest(*pair) for pair in pairs]
    curves = {
        threshold: metrics.curve(
            [metrics.first_takes(number, apart < threshold) for number, apart in nearest],
            scores,
            count,
        )
        for threshold in metrics.THRESHOLDS
    }
    measured = {f"sap{each}": metrics.average_precision(curve) for each, curve in curves.items()}
    measured["msap"] = sum(measured.values()) / len(measured)
    measured["sf10"] = metrics.best_f(curves[10])
    matched = [metrics.line_matching_hits(*pair) for pair in pairs]
    measured["lap"] = metrics.average_precision(metrics.curve(matched, scores, count))
    return measured


def by_pixels(found: Sequence[Lines], annotated: Sequence[Annotated]) -> dict[str, float]:
    """F^H and AP^H in [0, 1]; takes a second or more for each picture."""
    counts = []
    with progress(len(found), "pixels") as bar:
        for lines, true in zip(found, annotated, strict=True):
            counts.append(heat.count(lines.ends, lines.scores, true.lines, true.width, true.height))
            bar.advance()
    return heat.figures(counts)
