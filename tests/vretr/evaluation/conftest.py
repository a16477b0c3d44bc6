"""An encoder that sees and reads three colours and nothing else."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vretr.encoders import unit
from vretr.errors import UsageError
from vretr.images import Preprocessing

COLOURS = ("red", "green", "blue")


class Colours:
    """Pictures -> their colour as one of three axes; sentences -> the colours they name, or all."""

    dim = 3
    preprocessing = Preprocessing(16, (0.0,) * 3, (1.0,) * 3)

    def __init__(self, name: str, *, reads_text: bool = True) -> None:
        self.name, self.reads_text = name, reads_text
        self.identity = f"identity of {name}"

    def encode_images(self, images: Any) -> NDArray[np.float32]:
        light = np.asarray(images).mean(axis=(2, 3))  # the shape's own colour, white around it
        return np.eye(3, dtype=np.float32)[light.argmax(axis=1)]

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if not self.reads_text:
            raise UsageError(f"{self.name} does not read words")
        found = np.array([[colour in text for colour in COLOURS] for text in texts], dtype=float)
        found[found.sum(axis=1) == 0] = 1
        return unit(found)


@pytest.fixture(autouse=True)
def colours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`--encoder colours`, and `blind-colours` that reads no words."""

    def load(name: str, *, device: str, precision: str) -> Colours:
        return Colours(name, reads_text=not name.startswith("blind"))

    for module in ("retrieval", "cir"):
        monkeypatch.setattr(f"vretr.evaluation.{module}.load_encoder", load)
    monkeypatch.setenv("VRETR_HOME", str(tmp_path / "home"))
