"""Pages in general: what a template is given is text, and nothing else is let in."""

import re
from base64 import b64decode, b64encode
from hashlib import sha256
from html.parser import HTMLParser
from io import BytesIO

import pytest
from jinja2 import UndefinedError
from PIL import Image

from vretr import pages

EVIL = "\"><img src=x onerror=alert(1)>'</style></title><script>alert(2)</script>&amp;{{ 7*7 }}"


class Seen(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


def run_page(title: str, **values) -> str:
    given = {"facts": {title: title}, "curves": "", "pictures": [], "config": title}
    return pages.render("run.html", title=title, **given | values)


def test_values_are_shown_as_text_only() -> None:
    seen = Seen(run_page(EVIL, curves=EVIL))
    assert "script" not in seen.tags and seen.tags.count("img") == 1
    assert ("src", EVIL) in seen.attributes
    assert seen.text.count(EVIL) == 5  # title, heading, two cells, settings


def test_nothing_is_fetched_and_nothing_runs() -> None:
    page = run_page("t")
    assert not re.search(r"(src|href)=\"(?!data:)", page) and "url(" not in page
    (style,) = re.findall(r"<style>(.*?)</style>", page, flags=re.DOTALL)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="(.*?)"', page)
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )


def test_a_forgotten_value_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        pages.render("run.html", title="t")


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "P", "RGBA"])
def test_thumbnail(mode: str) -> None:
    picture = Image.new("RGB", (400, 100), "red").convert(mode)
    head, _, content = pages.thumbnail(picture, size=64).partition(",")
    assert head == "data:image/jpeg;base64"
    small = Image.open(BytesIO(b64decode(content)))
    assert small.size == (64, 16)
    assert picture.size == (400, 100)
