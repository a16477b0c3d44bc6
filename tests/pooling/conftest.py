"""What the tests of poolings share."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the caches of the person who runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VRETR_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="session")
def coloured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 10 discs of each of three colours, on dark grounds."""
    folder, draw = tmp_path_factory.mktemp("coloured"), np.random.default_rng(0)
    for colour in ("red", "green", "blue"):
        (folder / colour).mkdir()
        for number in range(10):
            picture = Image.new("RGB", (48, 40), tuple(draw.integers(0, 100, 3).tolist()))
            left, top = draw.integers(0, 15, 2).tolist()
            ImageDraw.Draw(picture).ellipse([left, top, left + 25, top + 22], fill=colour)
            picture.save(folder / colour / f"{number}.png")
    return folder
