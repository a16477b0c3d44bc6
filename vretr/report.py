"""What a training left to look at: curves as a PNG, and all of it on a page."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

from vretr import pages

if TYPE_CHECKING:
    from PIL.Image import Image

THUMBNAIL = 440  # pixels of the longer side, as on the page of results


def curves(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Every number in the rows of a metrics.jsonl over its step, as a PNG; b"" if there is none."""
    series = _series(rows)
    if not series:
        return b""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure  # not pyplot: no global state, no window

    columns = min(3, len(series))
    lines = -(-len(series) // columns)
    figure = Figure(figsize=(4.2 * columns, 2.8 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    for place, (name, points) in enumerate(series.items(), start=1):
        axes = figure.add_subplot(lines, columns, place, title=name, xlabel="step")
        axes.plot(
            *zip(*points, strict=True), marker="o" if len(points) < 30 else None, markersize=3
        )
        axes.grid(alpha=0.3)
    file = BytesIO()
    figure.savefig(file, format="png", dpi=110)
    return file.getvalue()


def _series(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[int, float]]]:
    """name -> (step, value) pairs; figures of the validation first."""
    shown: dict[str, list[tuple[int, float]]] = {}
    plain: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        for name, value in row.get("validation", {}).items():
            shown.setdefault(f"validation {name}", []).append((row["step"], value))
        for name in row.keys() - {"step", "seconds", "validation"}:
            if row[name] is not None:
                plain.setdefault(name, []).append((row["step"], row[name]))
    return shown | dict(sorted(plain.items()))


def run_page(
    about: Mapping[str, Any],
    config: str,
    rows: Sequence[Mapping[str, Any]],
    pictures: Sequence[tuple[str, "Image"]] = (),
) -> str:
    """The report of a run: what it is (run.json), its settings (TOML), curves and pictures."""
    encoder = about["encoder"]
    drawn = curves(rows)
    return pages.render(
        "run.html",
        title=f"{about['method']} ({about['kind']})",
        facts={
            "vretr": about["vretr"],
            **({"encoder": f"{encoder['name']} ({encoder['identity']})"} if encoder else {}),
            **({"steps": rows[-1]["step"], "seconds": rows[-1]["seconds"]} if rows else {}),
            **{name: f"{value:.4f}" for name, value in about["metrics"].items()},
        },
        curves=pages.data_uri(drawn, "image/png") if drawn else "",
        pictures=[
            (caption, pages.thumbnail(picture, size=THUMBNAIL)) for caption, picture in pictures
        ],
        config=config,
    )
