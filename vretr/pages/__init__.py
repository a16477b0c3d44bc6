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


def thumbnail(picture: "Image", *, size: int) -> str:
    """A picture, scaled down to fit `size` x `size` pixels, as a JPEG data URI."""
    small = picture.convert("RGB")
    small.thumbnail((size, size))
    file = BytesIO()
    small.save(file, "JPEG", quality=85)
    return data_uri(file.getvalue(), "image/jpeg")


def data_uri(content: bytes, kind: str) -> str:
    """Bytes of the media type `kind` as a link that holds them."""
    return f"data:{kind};base64,{b64encode(content).decode('ascii')}"
