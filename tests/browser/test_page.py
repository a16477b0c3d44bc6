"""The page of results in a real browser: it is seen, and no name in it does anything."""

import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

import pytest
from PIL import Image

from vretr import gallery
from vretr.index import Hit
from vretr.query import Query

EVIL = '"><img src=x onerror=alert(1)>.jpg'
COLOURS = {EVIL: (255, 0, 0), "green 100%.png": (0, 255, 0), "sea/blue#1?.jpg": (0, 0, 255)}
QUERY = (255, 255, 0)
SWITCHES = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browse(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Opens a page in headless Chromium and returns what it wrote to stdout."""
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        pytest.skip(f"no browser here: none of {', '.join(names)} is on PATH")
    profile = tmp_path_factory.mktemp("profile")

    def run(page: Path, *switches: str) -> str:
        command = [browser, *SWITCHES, f"--user-data-dir={profile}", *switches, page.as_uri()]
        ended = subprocess.run(command, capture_output=True, timeout=60, check=True)
        return ended.stdout.decode()

    return run


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A page with three hits, one file that is gone, and words that look like markup."""
    folder = tmp_path / "photos"
    (folder / "sea").mkdir(parents=True)
    for name, colour in COLOURS.items():
        Image.new("RGB", (300, 200), colour).save(folder / name, quality=95)
    Image.new("RGB", (300, 200), QUERY).save(folder / "query.png")
    names = [*COLOURS, "gone<b>.jpg"]
    hits = [Hit(folder / name, 0.4 - 0.1 * n, n + 1) for n, name in enumerate(names)]
    query = Query(
        image=[folder / "query.png"],
        text=["<script>document.body.append('ran')</script>", "</title><b>{{ 1 }}"],
        text_weight=[2, 0.5],
        not_text=["'\" onclick=alert(1) x='"],
    )
    page = tmp_path / "page.html"
    gallery.write(page, query, hits, root=folder, about="4 of <b>9</b> photos")
    return page


class Document(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def attributes(self, tag: str, name: str) -> list[str | None]:
        return [attributes.get(name) for found, attributes in self.elements if found == tag]


def test_names_and_words_are_text_and_nothing_else(page: Path, browse) -> None:
    document = Document(browse(page, "--dump-dom"))
    tags = {tag for tag, _ in document.elements}
    assert not tags & {"script", "iframe", "object", "link", "base", "form"}
    attributes = {name for _, attributes in document.elements for name in attributes}
    assert not {name for name in attributes if name.startswith("on") or name == "style"}
    sources = document.attributes("img", "src")
    assert len(sources) == 4
    assert all(source and source.startswith("data:image/jpeg;base64,") for source in sources)
    for said in (EVIL, "gone<b>.jpg", "</title><b>{{ 1 }}", "4 of <b>9</b> photos", "×0.5"):
        assert said in document.text
    assert document.text.count("document.body.append('ran')") == 2  # in the title and as a term


def test_links_lead_to_the_files(page: Path) -> None:
    links = Document(page.read_text(encoding="utf-8")).attributes("a", "href")
    paths = [Path(unquote(urlsplit(link or "").path)) for link in links]
    assert {path.relative_to(page.parent / "photos").as_posix() for path in paths} == {
        *COLOURS,
        "query.png",
        "gone<b>.jpg",
    }


@pytest.mark.parametrize("dark", [False, True])
def test_thumbnails_are_seen(page: Path, browse, dark: bool) -> None:
    shot = page.with_name("shot.png")
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    browse(page, "--window-size=1000,800", scheme, f"--screenshot={shot}")
    with Image.open(shot) as picture:
        picture = picture.convert("RGB")
    ground = picture.getpixel((2, 2))
    assert sum(ground) < 150 if dark else sum(ground) > 600
    counts = dict.fromkeys((*COLOURS.values(), QUERY), 0)
    for count, seen in picture.getcolors(picture.width * picture.height):
        for colour in counts:
            if all(abs(a - b) < 12 for a, b in zip(seen, colour, strict=True)):
                counts[colour] += count
    assert all(count > 10_000 for colour, count in counts.items() if colour != QUERY), counts
    assert counts[QUERY] > 3_000


def test_the_policy_stops_what_escaping_would_have_missed(page: Path, browse) -> None:
    asked = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Server) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        smuggled = (
            "<script>document.body.append('r' + 'an')</script>"
            f"<img src='http://127.0.0.1:{server.server_port}/x.png'>"
            f"<link rel=stylesheet href='http://127.0.0.1:{server.server_port}/x.css'>"
        )
        text = page.read_text(encoding="utf-8").replace("</main>", f"</main>{smuggled}")
        page.write_text(text, encoding="utf-8")
        assert ">ran" not in browse(page, "--dump-dom") and not asked
        # Without the policy they do run: the check can fail.
        page.write_text(text.replace("Content-Security-Policy", "nothing"), encoding="utf-8")
        assert ">ran" in browse(page, "--dump-dom") and sorted(asked) == ["/x.css", "/x.png"]
        server.shutdown()
