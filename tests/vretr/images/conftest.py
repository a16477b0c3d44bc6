"""The corpora of odd and of large pictures, unpacked once a session."""

import zipfile
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def odd(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """116 odd files and `manifest.jsonl`, which says what plain Pillow makes of each."""
    return unpacked(shared_data / "odd_images.zip", tmp_path_factory.mktemp("odd"))


@pytest.fixture(scope="session")
def camera(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 photos of 6 to 16 megapixels and `labels.jsonl`."""
    return unpacked(shared_data / "camera.zip", tmp_path_factory.mktemp("camera"))


def unpacked(archive: Path, folder: Path) -> Path:
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)
    return folder
