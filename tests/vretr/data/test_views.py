"""Views are what the tower tells of the pictures, once computed and then read from disk."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vretr.data import views
from vretr.data.views import Views, random_crops, views_of
from vretr.encoders.backbones import load_backbone
from vretr.errors import MismatchError
from vretr.images import Preprocessing

PLAIN = Preprocessing(32, (0.0,) * 3, (1.0,) * 3)


def photos(folder: Path, count: int) -> list[Path]:
    draws = np.random.default_rng(0)
    files = [folder / f"{number}.png" for number in range(count)]
    for file in files:
        coarse = Image.fromarray(draws.integers(256, size=(6, 6, 3), dtype=np.uint8))
        coarse.resize((60, 48)).save(file)
    return files


def test_views_are_what_the_tower_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VRETR_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(views, "SHARD", 2)
    files = photos(tmp_path, 3)
    backbone = load_backbone("lite", size=64, frozen=True)
    seen = Views.of(backbone, files, views=3, seed=5)
    assert len(seen) == 3 and seen.count == 3 and len(seen.shards) == 2
    patches, prefix = seen.read([2, 0], [2, 1])
    assert patches.shape == (2, 4, 1280) and prefix.shape == (2, 0, 1280)
    pixels = views_of(files[2], backbone.preprocessing, 3, seed=7, area=(0.25, 1.0))
    assert isinstance(pixels, np.ndarray)
    truth = backbone(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())).patches[2]
    torch.testing.assert_close(patches[0], truth, atol=4e-3, rtol=2e-3)

    monkeypatch.setattr(views, "_look", None)  # nothing is looked at twice
    again = Views.of(backbone, files, views=3, seed=5)
    torch.testing.assert_close(again.read([2, 0], [2, 1]).patches, patches)


def test_pooled_views_are_kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VRETR_HOME", str(tmp_path / "home"))
    files = photos(tmp_path, 1)
    backbone = load_backbone("lite", size=64, frozen=True)
    whole = Views.of(backbone, files, views=1).read([0], [0])
    mean = Views.of(backbone, files, views=1, pool=("avg", lambda tokens: tokens.patches.mean(1)))
    torch.testing.assert_close(
        mean.read([0], [0]).patches, whole.patches.mean(1, keepdim=True), atol=4e-3, rtol=2e-3
    )


def test_the_second_view_is_the_first_mirrored(tmp_path: Path) -> None:
    (file,) = photos(tmp_path, 1)
    pixels = views_of(file, PLAIN, 4, seed=0, area=(0.3, 0.5))
    assert isinstance(pixels, np.ndarray)
    np.testing.assert_array_equal(pixels[1], np.asarray(pixels[0])[:, ::-1])
    assert not np.array_equal(pixels[2], pixels[0])
    np.testing.assert_array_equal(pixels, views_of(file, PLAIN, 4, seed=0, area=(0.3, 0.5)))


def test_random_crops_are_views_and_half_of_them_mirrored(tmp_path: Path) -> None:
    (file,) = photos(tmp_path, 1)
    mirrored = 0
    for start in range(16):
        torch.manual_seed(start)
        found = random_crops([file], PLAIN, area=(0.3, 0.5))[0].transpose(1, 2, 0)
        torch.manual_seed(start)
        seed = int(torch.randint(2**31, (2,))[0])
        views = views_of(file, PLAIN, 3, seed=seed, area=(0.3, 0.5))
        assert isinstance(views, np.ndarray)
        same = np.array_equal(found, views[2])
        assert same or np.array_equal(found, views[2, :, ::-1])
        mirrored += not same
    assert 3 <= mirrored <= 13
    file.write_bytes(b"no picture")
    with pytest.raises(MismatchError, match="cannot be read"):
        random_crops([file], PLAIN, area=(0.3, 0.5))


def test_all_unreadable_photos_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VRETR_HOME", str(tmp_path / "home"))
    files = photos(tmp_path, 3)
    for file in files[1:]:
        file.write_bytes(b"no picture")
    with pytest.raises(MismatchError, match=r"2 pictures cannot be read: .*1\.png"):
        Views.of(load_backbone("lite", size=64, frozen=True), files, views=1)
