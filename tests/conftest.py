"""Fixtures that more than one test file uses."""

from pathlib import Path

import pytest
from hypothesis import settings
from PIL import Image, ImageDraw

# Other programs may hold up an example.
settings.register_profile("vretr", deadline=None)
settings.load_profile("vretr")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real data sets that lie beside the checkout in development and CI."""
    if not SHARED.is_dir():
        pytest.skip("the real data sets (a folder shared/data beside the checkout) are not here")
    return SHARED


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of 12 pictures, three colours times four shapes: `red_circle.jpg` and so on."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for colour in ("red", "green", "blue"):
        for shape in ("circle", "square", "triangle", "line"):
            picture = Image.new("RGB", (160, 120), "white")
            draw = ImageDraw.Draw(picture)
            if shape == "circle":
                draw.ellipse((40, 20, 120, 100), fill=colour)
            elif shape == "square":
                draw.rectangle((40, 20, 120, 100), fill=colour)
            elif shape == "triangle":
                draw.polygon([(40, 100), (120, 100), (80, 20)], fill=colour)
            else:
                draw.line((20, 20, 140, 100), fill=colour, width=8)
            picture.save(folder / f"{colour}_{shape}.jpg", quality=90)
    return folder
