"""What the tests of LinCIR share: a tiny CLIP, a few captions, a home of their own."""

from pathlib import Path

import pytest

from lincir.backbone import load_backbone
from tests.vretr.encoders.tiny import tiny_clip
from vretr.encoders import PseudoTextEncoder

CAPTIONS = [
    f"a {size} {colour} {thing} {place}"
    for size in ("large", "small")
    for colour in ("red", "blue", "green", "black")
    for thing in ("dog", "car", "house", "boat", "bird")
    for place in ("in the snow", "near a tree", "on the water")
]


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the caches of the person who runs it, or the network."""
    monkeypatch.setenv("VRETR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VRETR_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path / "home"


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a tiny CLIP: vectors of 24 numbers, words of 32, 16 tokens."""
    return f"local-dir:{tiny_clip(tmp_path_factory.mktemp('clip'))}"


@pytest.fixture(scope="session")
def encoder(clip: str) -> PseudoTextEncoder:
    return load_backbone(clip)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A text file of 120 captions."""
    file = tmp_path / "captions.txt"
    file.write_text("\n".join(CAPTIONS))
    return file
