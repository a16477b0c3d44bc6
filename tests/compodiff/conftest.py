"""What the tests of CompoDiff share: a home of their own, a tiny CLIP, photos and triplets."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compodiff.config import TrainConfig
from tests.vretr.encoders.tiny import tiny_clip
from vretr.encoders import Encoder, load_encoder

PHOTOS = 40


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the caches of the person who runs it, or the network."""
    monkeypatch.setenv("VRETR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VRETR_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path / "home"


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a tiny CLIP: vectors of 24 numbers, tokens of 32, 16 tokens."""
    return f"local-dir:{tiny_clip(tmp_path_factory.mktemp('clip'))}"


@pytest.fixture(scope="session")
def encoder(clip: str) -> Encoder:
    return load_encoder(clip, device="cpu")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 photos with captions, `triplets.jsonl` and `texts.jsonl`; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("data")
    draws = np.random.default_rng(0)
    for number in range(PHOTOS):
        pixels = draws.integers(0, 256, (36, 36, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    write(
        folder / "metadata.jsonl",
        [
            {"file_name": f"{number}.png", "captions": [f"thing {number}", "a thing"]}
            for number in range(PHOTOS)
        ],
    )
    write(
        folder / "triplets.jsonl",
        [
            {
                "reference": f"{number}.png",
                "text": f"is {step}",
                "targets": [f"{(number + step) % PHOTOS}.png", f"{(number - step) % PHOTOS}.png"],
            }
            for number in range(PHOTOS)
            for step in (1, 2, 3)
        ],
    )
    write(
        folder / "texts.jsonl",
        [
            {
                "reference": None,
                "target": None,
                "text": f"a cat instead of dog {number}",
                "reference_caption": f"dog {number}",
                "target_caption": f"cat {number}",
            }
            for number in range(12)
        ],
    )
    return folder


def write(file: Path, lines: list[dict]) -> Path:
    file.write_text("\n".join(map(json.dumps, lines)))
    return file


TINY = {
    "steps": 6,
    "batch_size": 8,
    "width": 16,
    "depth": 1,
    "heads": 2,
    "mask_size": 8,
    "boxes": 1,
    "warmup": 0,
    "validate_every": 3,
    "holdout": 0.3,
    "device": "cpu",
    "threads": 1,
}


@pytest.fixture
def config(clip: str, folder: Path, tmp_path: Path):
    """Makes a config of a training of a second."""

    def made(**settings) -> TrainConfig:
        given = {"triplets": (folder / "triplets.jsonl",), "out": tmp_path / "run"}
        return TrainConfig(backbone=clip, **{**TINY, **given, **settings})

    return made
