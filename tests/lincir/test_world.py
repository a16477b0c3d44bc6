"""LinCIR in a rendered world, where the truth is known."""

from itertools import islice
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from benchmarks.lincir_world import Asked, rows_of, scenes, sentence, train_clip
from lincir.backbone import load_backbone
from vretr.composers import WeightedSum
from vretr.data.worlds import World, caption


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_scenes_are_all_that_one_group_can_be() -> None:
    world = World()
    train, test = ({scene.meaning for scene in scenes(world, split)} for split in ("train", "test"))
    assert not train & test
    assert len(train | test) == 6 * 8 * 2 * 3 * 5 * 3  # shapes, colours, ..., backgrounds


def test_sentences_tell_of_no_test_scene() -> None:
    world, random = World(), Random(0)
    told = {caption(scene, phrasing=way) for scene in scenes(world, "test") for way in range(3)}
    said = [sentence(world, scene, random) for scene in islice(scenes(world, "train"), 200)]
    assert not told & {*said}
    assert not any(text.startswith(f"{known}, ") for text in said for known in told)


def test_the_clip_is_one_that_is_accepted_and_its_questions_have_answers(tmp_path: Path) -> None:
    world = World(seed=1)
    encoder = load_backbone(train_clip(world, tmp_path / "clip", steps=2, batch=8))
    assert (encoder.dim, encoder.token_width) == (64, 64)
    asked = Asked.of(world, encoder, "test", 20)
    assert np.allclose(np.linalg.norm(asked.vectors, axis=1), 1, atol=1e-5)
    for query in asked.benchmark.queries:
        assert query.targets[0] != query.reference
    figures = asked.figures(WeightedSum(encoder, 0.5))
    assert 0 <= figures["recall@1"] <= figures["recall@10"] <= figures["recall@50"] <= 1


@pytest.mark.slow  # two minutes a seed
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_finds_what_was_asked_for(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """mAP@10 over the seeds 1, 2, 3, of the best composer without training 41.3, 36.7, 30.8; LinCIR
    as in the paper 41.8, 28.0, 29.3; with shares chosen on the training split 44.7, 38.9, 34.4.

    So as in the paper it is far above the picture (21.0, 19.1, 16.7) and the words (1.8, 2.5, 2.4),
    but not above the sum, which in this world misses little; with shares it is.
    """
    monkeypatch.setenv("VRETR_HOME", str(tmp_path))
    found = {name: row["map@10"] for name, row in rows_of(seed, tmp_path).items()}
    assert found["lincir"] > max(found["image"], found["text"]) + 0.05, found
    assert found["lincir, shares"] > max(found["sum"], found["slerp"]) + 0.01, found
