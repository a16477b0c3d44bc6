"""What the tests of encoders share."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.vretr.encoders.tiny import tiny_clip


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the caches of the person who runs it."""
    monkeypatch.setenv("VRETR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "home"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny CLIP."""
    return tiny_clip(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def pictures() -> list[Image.Image]:
    """Five pictures of noise, of several shapes and modes."""
    draw = np.random.default_rng(5)

    def noise(*shape: int) -> NDArray[np.uint8]:
        return draw.integers(0, 256, shape, dtype=np.uint8)

    return [
        Image.fromarray(noise(40, 60, 3)),
        Image.fromarray(noise(300, 200, 3)),
        Image.fromarray(noise(64, 64, 3)),
        Image.fromarray(noise(33, 50)),
        Image.fromarray(noise(50, 33, 4)),
    ]
