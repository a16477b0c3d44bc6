"""A tiny encoder: what is tested is the index, not what it holds."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vretr.images import Preprocessing


class TinyEncoder:
    """Fixed random projections of an 8 x 8 picture; counts what it has encoded."""

    reads_text = False
    preprocessing = Preprocessing(size=8, mean=(0.5,) * 3, std=(0.5,) * 3, fit="squash")

    def __init__(self, seed: int = 0, dim: int = 16) -> None:
        self.name, self.dim = f"tiny-{seed}", dim
        self.identity = hashlib.sha256(self.name.encode()).hexdigest()
        self.encoded = 0
        self._projection = np.random.default_rng(seed).standard_normal((3 * 8 * 8, dim))

    def encode_images(self, images: Any) -> np.ndarray:
        self.encoded += len(images)
        flat = np.ascontiguousarray(images).reshape(len(images), -1) / 127.5 - 1.0
        vectors = flat @ self._projection + 1e-3
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        raise NotImplementedError


@pytest.fixture(scope="session")
def memory() -> Iterator[Path]:
    """A folder in memory where there is one: an index waits for its disk at every commit."""
    shared = Path("/dev/shm")
    usable = shared.is_dir() and os.access(shared, os.W_OK)
    with TemporaryDirectory(prefix="vretr-", dir=shared if usable else None) as folder:
        yield Path(folder).resolve()


@pytest.fixture
def tmp_path(memory: Path) -> Iterator[Path]:
    with TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


@pytest.fixture
def encoder() -> TinyEncoder:
    return TinyEncoder()


@pytest.fixture
def other_encoder() -> TinyEncoder:
    return TinyEncoder(seed=1)


Paint = Callable[..., Path]


@pytest.fixture
def paint() -> Paint:
    """Writes a small picture that looks different for every number; old enough to be trusted."""

    def write(path: Path, number: int, *, age: float = 100.0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path, format="PNG")
        older = path.stat().st_mtime - age
        os.utime(path, (older, older))
        return path

    return write


@pytest.fixture
def folder(tmp_path: Path, paint: Paint) -> Path:
    """Ten distinguishable photos, two of them in a subfolder."""
    root = tmp_path / "photos"
    for number in range(8):
        paint(root / f"{number}.png", number)
    for number in (8, 9):
        paint(root / "more" / f"{number}.png", number)
    return root


@pytest.fixture(autouse=True)
def no_index_named(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("VRETR_INDEX", raising=False)
    yield
