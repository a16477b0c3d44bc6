"""What the network is shown of rendered scenes and annotated pictures, and how it is batched."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lsd.architecture import CELL, Channel
from lsd.augment import LEAST
from lsd.config import TrainConfig
from lsd.data import Rendered, collate, learned, rendered, sample, split
from vretr.data.worlds import wireframe
from vretr.errors import MismatchError
from vretr.training.stream import seed_all

SIZE = 64


def test_a_scene_as_it_is() -> None:
    pixels, target = Rendered(10, SIZE, seed=3, augment=False)[7]
    scene = wireframe(7, seed=3, size=SIZE)
    assert pixels.dtype == torch.uint8
    assert np.array_equal(pixels.permute(1, 2, 0), np.asarray(scene.picture))
    assert np.allclose(target.lines * CELL, scene.lines[_long(scene.lines)], atol=1e-4)
    assert target.maps.shape == (16, SIZE // CELL, SIZE // CELL)
    assert target.maps[Channel.CENTRE].max() == 1


def test_views_come_from_the_generator_that_the_training_seeds() -> None:
    data = Rendered(4, SIZE)
    shown = []
    for seed in (1, 1, 2):
        seed_all(seed)
        shown.append(data[0])
    assert torch.equal(shown[0][0], shown[1][0])
    assert torch.equal(shown[0][1].lines, shown[1][1].lines)
    assert not torch.equal(shown[0][0], shown[2][0])
    seed_all(1)
    data[0]
    assert not torch.equal(shown[0][0], data[0][0])


def test_batches_pad_lines_with_nan() -> None:
    samples = [Rendered(4, SIZE)[number] for number in range(3)]
    empty = sample(wireframe(0, size=SIZE).picture, np.empty((0, 4)), SIZE, augment=False)
    pixels, target = collate([*samples, empty])
    assert pixels.shape == (4, 3, SIZE, SIZE)
    assert target.maps.shape == (4, 16, SIZE // CELL, SIZE // CELL)
    for number, (_, one) in enumerate([*samples, empty]):
        for whole, part in ((target.lines, one.lines), (target.segments, one.segments)):
            assert torch.equal(whole[number, : len(part)], part)
            assert whole[number, len(part) :].isnan().all()


def test_a_batch_without_lines() -> None:
    empty = sample(wireframe(0, size=SIZE).picture, np.empty((0, 4)), SIZE, augment=True)
    _, target = collate([empty, empty])
    assert target.lines.shape == target.segments.shape == (2, 0, 4)
    assert not target.maps.any() and not target.weight.any()


@pytest.fixture
def annotated(tmp_path: Path) -> Path:
    """Ten pictures as L-CNN's train.json lists them, each with a shape and its sides."""
    (tmp_path / "images").mkdir()
    rows = []
    for number in range(10):
        scene = wireframe(number, size=SIZE)
        name, size = f"{number:08}.png", (200 + number, 150)
        scene.picture.resize(size).save(tmp_path / "images" / name)
        lines = scene.lines * (np.tile(size, 2) / SIZE)
        row = {"filename": name, "lines": lines.tolist(), "width": size[0], "height": size[1]}
        rows.append(row)
    file = tmp_path / "train.json"
    file.write_text(json.dumps(rows))
    return file


def config(**options: object) -> TrainConfig:
    defaults = {"size": SIZE, "data": (Path("train.json"),), "augment": False, "holdout": 0.3}
    return TrainConfig(**{**defaults, **options})


def test_annotated_pictures_are_squashed_with_their_lines(annotated: Path) -> None:
    trained, held_out = learned(annotated, config())
    assert (len(trained), len(held_out)) == (7, 3)
    for record, (pixels, target) in zip(trained.records, trained, strict=True):
        scene = wireframe(int(record.path.stem), size=SIZE)
        assert np.allclose(target.lines * CELL, scene.lines[_long(scene.lines)], atol=0.01)
        picture = np.asarray(scene.picture, np.float64)
        assert np.abs(pixels.permute(1, 2, 0).numpy() - picture).mean() < 5


def test_large_photos_are_decoded_smaller_and_lines_follow(tmp_path: Path) -> None:
    scene = wireframe(1, size=1024, noise=0)
    scene.picture.save(tmp_path / "photo.jpg", quality=95)
    row = {"filename": "photo.jpg", "lines": scene.lines.tolist(), "width": 1024, "height": 1024}
    (tmp_path / "train.json").write_text(json.dumps([row]))
    trained, _ = learned(tmp_path / "train.json", config(holdout=0))
    _, target = trained[0]
    small = scene.lines * (SIZE / 1024)
    assert np.allclose(target.lines * CELL, small[_long(small)], atol=1e-3)


def _long(lines: np.ndarray) -> np.ndarray:
    return np.hypot(*(lines[:, 2:] - lines[:, :2]).T) >= LEAST


def test_only_training_pictures_get_other_views(annotated: Path) -> None:
    trained, held_out = learned(annotated, config(augment=True))
    assert not torch.equal(trained[0][0], trained[0][0])
    assert torch.equal(held_out[0][0], held_out[0][0])


def test_a_damaged_picture_is_named(annotated: Path) -> None:
    trained, _ = learned(annotated, config())
    path = trained.records[2].path
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(MismatchError, match=rf"{path.name} cannot be read .*--resume"):
        trained[2]


def test_a_picture_of_another_size_is_named(annotated: Path) -> None:
    trained, _ = learned(annotated, config())
    record = trained.records[2]
    Image.new("RGB", (150, 200)).save(record.path)
    with pytest.raises(MismatchError, match=f"150 x 200 pixels, .* for {record.width} x 150"):
        trained[2]


def test_a_set_without_a_line_is_refused(annotated: Path) -> None:
    rows = [{**row, "lines": []} for row in json.loads(annotated.read_text())]
    annotated.write_text(json.dumps(rows))
    with pytest.raises(MismatchError, match="no line"):
        learned(annotated, config())


def test_all_of_a_photo_is_kept_out_or_none() -> None:
    photos = [number % 10 for number in range(40)]
    kept, out = split(photos, 0.3, seed=1)
    assert sorted(kept + out) == list(range(40))
    assert len(out) == 12
    assert not {photos[number] for number in kept} & {photos[number] for number in out}
    assert split(photos, 0.3, seed=1) == (kept, out) != split(photos, 0.3, seed=2)
    assert split(photos, 0, seed=1) == (list(range(40)), [])


def test_the_four_flips_of_a_processed_picture_stay_together(tmp_path: Path) -> None:
    folder = tmp_path / "train"
    folder.mkdir()
    for name in (f"{photo}_{flip}" for photo in "abcd" for flip in range(4)):
        Image.new("RGB", (512, 512)).save(folder / f"{name}.png")
        lines = np.array([[[8.0, 8, 0], [64, 96, 0]]])  # y, x of both ends
        np.savez(folder / f"{name}_label.npz", lpos=lines)
    trained, held_out = learned(folder, config(holdout=0.25))
    assert len(held_out) == 4
    assert len({record.path.name[0] for record in held_out.records}) == 1
    on_grid = np.array([[8, 8, 96, 64]])  # x, y, of 128 cells
    assert np.allclose(trained[0][1].lines * CELL, on_grid * (SIZE / 128))


def test_rendered_scenes_are_as_the_training_says() -> None:
    scenes = rendered(config(data=(), rendered=5, seed=4))
    assert len(scenes) == 5
    assert torch.equal(scenes[3][0], Rendered(5, SIZE, seed=4, augment=False)[3][0])
