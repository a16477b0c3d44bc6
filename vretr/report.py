"""Curves as PNG and pages of HTML that hold everything they show.

A page is safe to open whatever the names and captions in it: jinja2 escapes every value, and the
content security policy allows no script and nothing from elsewhere.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
      content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem;
         color: #222; background: #fff; }
  table { border-collapse: collapse; }
  td, th { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; }
  img { max-width: 100%; }
  pre { overflow-x: auto; background: #f4f4f4; padding: .8rem; }
  figure { display: inline-block; margin: 0 1rem 1rem 0; vertical-align: top; }
  figcaption { max-width: 16rem; overflow-wrap: anywhere; font-size: .85rem; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
{% block body %}{% endblock %}
</body>
</html>
"""

RUN = """
<table>
{% for name, value in facts.items() %}<tr><th>{{ name }}</th><td>{{ value }}</td></tr>
{% endfor %}</table>
{% if curves %}<p><img src="{{ curves }}" alt="Losses and figures over the steps"></p>{% endif %}
{% for caption, picture in pictures %}<figure><img src="{{ picture }}" alt="">
<figcaption>{{ caption }}</figcaption></figure>
{% endfor %}
<h2>Settings</h2>
<pre>{{ config }}</pre>
"""


def page(title: str, body: str, **values: Any) -> str:
    """An HTML page.

    Args:
        title: heading and title.
        body: a jinja2 template of what stands below the heading; ours, never a user's.
        values: what it may name; all are escaped. Pictures go in as data URLs.
    """
    from jinja2 import DictLoader, Environment, StrictUndefined

    templates = {
        "page": PAGE,
        "body": '{% extends "page" %}{% block body %}' + body + "{% endblock %}",
    }
    environment = Environment(
        loader=DictLoader(templates), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("body").render(title=title, **values)


def thumbnail(picture: "Image", *, size: int = 256) -> str:
    """A picture, scaled down to fit `size` x `size` pixels, as a JPEG data URL."""
    small = picture.convert("RGB")
    small.thumbnail((size, size))
    return data_url(_encoded(small, "JPEG", quality=85), "image/jpeg")


def data_url(content: bytes, kind: str) -> str:
    """Bytes of the media type `kind` as a URL that holds them."""
    return f"data:{kind};base64,{b64encode(content).decode('ascii')}"


def _encoded(picture: "Image", format: str, **settings: Any) -> bytes:
    file = BytesIO()
    picture.save(file, format, **settings)
    return file.getvalue()


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
    return page(
        f"{about['method']} ({about['kind']})",
        RUN,
        facts={
            "vretr": about["vretr"],
            **({"encoder": f"{encoder['name']} ({encoder['identity']})"} if encoder else {}),
            **({"steps": rows[-1]["step"], "seconds": rows[-1]["seconds"]} if rows else {}),
            **{name: f"{value:.4f}" for name, value in about["metrics"].items()},
        },
        curves=data_url(drawn, "image/png") if drawn else "",
        pictures=[(caption, thumbnail(picture)) for caption, picture in pictures],
        config=config,
    )
