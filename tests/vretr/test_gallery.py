"""The page of results as text; tests/browser looks at it in a browser."""

import re
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from vretr import gallery
from vretr.index import Hit
from vretr.query import Query


def test_the_page_stands_alone(photos: Path, tmp_path: Path) -> None:
    hits = [Hit(path, 0.5, rank) for rank, path in enumerate(sorted(photos.glob("red*")), 1)]
    page = tmp_path / "page.html"
    gallery.write(page, Query(text=["red"]), hits, root=photos, about="4 of 12")
    text = page.read_text(encoding="utf-8")
    assert text.count("data:image/jpeg;base64,") == len(hits) == 4
    assert not re.findall(r"""(?:src|url\(|@import)\s*=?\s*["']?(?!data:)\w+:""", text)


def test_names_that_are_not_utf8_are_shown_and_linked(tmp_path: Path) -> None:
    page, gone = tmp_path / "page.html", tmp_path / "caf\udce9\x1b.jpg"
    gallery.write(page, Query(image=[gone]), [Hit(gone, 0.5, 1)], root=tmp_path, about="")
    text = page.read_text(encoding="utf-8")
    assert text.count(r"caf\xe9\x1b.jpg") >= 3 and "caf%E9%1B.jpg" in text
    assert "\x1b" not in text


def test_the_mask_lies_grey_on_the_picture(tmp_path: Path) -> None:
    photo, page = tmp_path / "red.png", tmp_path / "page.html"
    Image.new("RGB", (100, 80), "red").save(photo)
    query = Query(image=[photo], text=["blue"], mask_box=(0, 0, 50, 80))
    gallery.write(page, query, [], root=tmp_path, about="")
    (picture,) = re.findall(r"data:image/jpeg;base64,([^\"')]+)", page.read_text(encoding="utf-8"))
    shown = np.asarray(Image.open(BytesIO(b64decode(picture))).convert("RGB"), dtype=int)
    middle = shown.shape[1] // 2
    assert np.abs(shown[:, middle + 9 :] - [254, 0, 0]).max() < 12
    assert np.ptp(shown[:, : middle - 9], axis=2).max() < 40


def test_nothing_found_is_said(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    gallery.write(page, Query(text=["red"]), [], root=tmp_path, about="0 of 12")
    assert "Nothing was found." in page.read_text(encoding="utf-8")


def test_how_well_photos_fit_is_shown(photos: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    first, second, *_ = sorted(photos.glob("red*"))
    hits = [Hit(first, 0.5, 1, fit=0.9), Hit(second, 0.4, 2, fit=0.2)]
    gallery.write(page, Query(text=["red"]), hits, root=photos, about="")
    text = page.read_text(encoding="utf-8")
    assert 'aria-label="fit 0.90"' in text and text.count('class="unfit"') == 1
    assert "Nothing seems to fit" not in text
    gallery.write(page, Query(text=["red"]), hits[1:], root=photos, about="")
    assert "Nothing seems to fit" in page.read_text(encoding="utf-8")
