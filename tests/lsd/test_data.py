"""What the network is shown of rendered scenes, and how it is batched."""

import numpy as np
import torch

from lsd.architecture import CELL, Channel
from lsd.augment import LEAST
from lsd.data import Rendered, collate, sample
from vretr.data.worlds import wireframe
from vretr.training.stream import seed_all

SIZE = 128


def test_a_scene_as_it_is() -> None:
    pixels, target = Rendered(10, SIZE, seed=3, augment=False)[7]
    scene = wireframe(7, seed=3, size=SIZE)
    assert pixels.dtype == torch.uint8
    assert np.array_equal(pixels.permute(1, 2, 0), np.asarray(scene.picture))
    lengths = np.hypot(*(scene.lines[:, 2:] - scene.lines[:, :2]).T)
    assert np.allclose(target.lines * CELL, scene.lines[lengths >= LEAST], atol=1e-4)
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
