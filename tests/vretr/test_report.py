import re
from base64 import b64decode
from html.parser import HTMLParser
from io import BytesIO

import pytest
from jinja2 import UndefinedError
from PIL import Image

from vretr import report

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


def test_values_are_shown_as_text_only() -> None:
    html = report.page(EVIL, '<p title="{{ name }}">{{ name }}</p>', name=EVIL)
    seen = Seen(html)
    assert {"script", "img"}.isdisjoint(seen.tags)
    assert ("title", EVIL) in seen.attributes
    assert seen.text.count(EVIL) == 3  # title, heading, paragraph


def test_nothing_is_fetched_and_nothing_runs() -> None:
    html = report.page("t", "")
    policy = re.search(r'Content-Security-Policy"\s+content="([^"]+)"', html)
    assert policy is not None
    assert policy[1] == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert not re.search(r"(src|href)=\"(?!data:)", html)


def test_a_forgotten_value_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        report.page("t", "{{ nobody }}")


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "P", "RGBA"])
def test_thumbnail(mode: str) -> None:
    picture = Image.new("RGB", (400, 100), "red").convert(mode)
    head, _, content = report.thumbnail(picture, size=64).partition(",")
    assert head == "data:image/jpeg;base64"
    small = Image.open(BytesIO(b64decode(content)))
    assert small.size == (64, 16)
    assert picture.size == (400, 100)


def test_curves() -> None:
    rows = [{"step": i, "loss": 1 / i, "grad_norm": None, "seconds": i} for i in range(1, 50)]
    rows[9]["validation"] = {"recall@10": 0.3}
    series = report._series(rows)
    assert list(series) == ["validation recall@10", "loss"]
    assert series["validation recall@10"] == [(10, 0.3)]
    assert series["loss"][-1] == (49, 1 / 49)
    assert Image.open(BytesIO(report.curves(rows))).format == "PNG"


def test_no_rows_no_curves() -> None:
    assert report.curves([]) == b""
    about = {"method": "m", "kind": "encoder", "encoder": None, "vretr": "1", "metrics": {}}
    assert "<img" not in report.run_page(about, "lr = 1", [])
