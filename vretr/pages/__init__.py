"""Self-contained HTML pages: no script, nothing from outside, every value escaped.

    text = render("gallery.html", title="red", ...)

A page extends `page.html`, which brings the one style sheet and a content security policy that
forbids everything else: scripts, style attributes, requests of any kind.
"""

from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment
    from PIL.Image import Image


def render(template: str, **values: object) -> str:
    """The page of that template; strings in `values` are escaped. Writable as UTF-8."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("vretr", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = files("vretr.pages").joinpath("style.css").read_text(encoding="utf-8")
    digest = b64encode(sha256(style.encode("utf-8")).digest()).decode("ascii")
    environment.globals |= {"style": Markup(style), "style_hash": f"sha256-{digest}"}
    return environment


def data_uri(image: "Image", *, quality: int = 82) -> str:
    """A picture as a JPEG inside the page."""
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return f"data:image/jpeg;base64,{b64encode(buffer.getvalue()).decode('ascii')}"
