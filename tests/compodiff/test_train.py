"""Trainings of a second: what they read, what is left out, what they leave, and that they go on."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from compodiff import files
from compodiff.conditions import Texts
from compodiff.preparing import Sources, samples
from compodiff.train import train
from tests.compodiff.conftest import PHOTOS, write
from vretr.encoders.base import unit
from vretr.errors import MismatchError, UsageError
from vretr.images import Masked


def test_a_run_is_a_composer_that_says_how_it_was_trained(config, folder, encoder, tmp_path):
    run = train(config(captions=folder, drop_both=0.2))
    assert (run.method, run.kind) == ("compodiff", "composer")
    said = run.about["compodiff"]
    assert said["tasks"] == ["t2i", "triplet", "mask"]
    assert said["drops"] == {"text": 0.1, "image": 0.1, "both": 0.2}
    assert said["scale"] == pytest.approx(24**0.5) and said["normalise"] is True
    assert said["prior"]["text_width"] == 32 and said["text"] == "tokens"
    assert run.about["encoder"]["identity"] == encoder.identity
    assert 0 <= run.about["metrics"]["recall@10"] <= 1
    card = (run.folder / "card.md").read_text()
    assert f"image {said['guidance'][0]:g}, text {said['guidance'][1]:g}" in card
    made = run.load()
    assert made.guidance == tuple(said["guidance"]) and made.encoder.identity == encoder.identity
    assert np.linalg.norm(made.compose(np.eye(1, 24, dtype=np.float32), ["is 1"])) == pytest.approx(
        1
    )


def test_tasks_without_data_are_left_out_and_said_once(config, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        run = train(config())
    assert run.about["compodiff"]["tasks"] == ["triplet"]
    assert caplog.text.count("There are no data for t2i and mask: left out") == 1


def test_triplets_only(config, folder) -> None:
    run = train(config(captions=folder, triplets_only=True))
    assert run.about["compodiff"]["tasks"] == ["triplet"]


def test_photos_without_words_teach_masks(config, folder) -> None:
    run = train(config(triplets=(), photos=folder))
    assert run.about["compodiff"]["tasks"] == ["mask"]
    assert run.about["compodiff"]["guidance"] == [1, 1]
    assert "nothing to choose on" in (run.folder / "card.md").read_text()


def test_captions_stand_for_pictures(config, folder, encoder) -> None:
    file = folder / "texts.jsonl"
    given = config(triplets=(file,), mix_t2i=0, mix_mask=0)
    assert train(given).about["compodiff"]["tasks"] == ["triplet"]
    data = samples(given, Sources.of(given), encoder, Texts(encoder))
    batch = data.collate([("triplet", 3, 3)])
    found = encoder.encode_texts(["dog 3", "cat 3"]) * 24**0.5
    np.testing.assert_allclose(batch["image"][0], found[0], atol=1e-4)
    np.testing.assert_allclose(batch["target"][0], found[1], atol=1e-4)


def test_what_a_batch_holds(config, folder, encoder) -> None:
    given = config(captions=folder, holdout=0.0, boxes=2)
    data = samples(given, Sources.of(given), encoder, Texts(encoder))
    mask = data.tasks["mask"]
    assert len(mask) == 2 * PHOTOS and len(data.tasks["t2i"]) == 2 * PHOTOS
    triplet = data.collate([("triplet", 0, 1)])
    assert not triplet["mask"].any()
    lengths = torch.cat([triplet["image"], triplet["target"]]).norm(dim=1)
    torch.testing.assert_close(lengths, torch.full((2,), 24**0.5))
    states = encoder.token_states(["is 1"])
    np.testing.assert_allclose(triplet["text"], states, atol=2e-3)  # half precision
    words = data.collate([("t2i", 5, 5)])
    assert not words["image"].any() and not words["mask"].any()
    masked = data.collate([("mask", 7, 7)])
    box = mask.boxes[7]
    np.testing.assert_array_equal(masked["mask"][0], Masked("", box).mask(8))
    from vretr.images.stream import load_pixels

    _, pixels = load_pixels(Masked(str(folder / "3.png"), box), encoder.preprocessing)
    seen = encoder.encode_images(pixels[None].transpose(0, 3, 1, 2))
    np.testing.assert_allclose(unit(masked["image"].numpy()), seen, atol=1e-5)
    assert not torch.allclose(masked["image"], masked["target"])


def test_the_stream_is_the_same_again_and_begins_with_words(config, folder, encoder) -> None:
    given = config(captions=folder, stage1=0.5)
    data = samples(given, Sources.of(given), encoder, Texts(encoder))
    first, again = iter(data), iter(data)
    drawn = [next(first) for _ in range(8 * 40)]
    assert drawn == [next(again) for _ in range(8 * 40)]
    assert {name for name, _, _ in drawn[: 8 * 3]} == {"t2i"}
    batches = [{name for name, _, _ in drawn[n : n + 8]} for n in range(0, len(drawn), 8)]
    assert all(len(names) == 1 for names in batches)
    assert {name for names in batches for name in names} == {"t2i", "triplet", "mask"}
    right = data.tasks["triplet"]
    for name, row, place in drawn:
        if name == "triplet":
            assert right.first[row] <= place < right.first[row] + right.counts[row]


def test_no_photo_is_trained_and_chosen_on(config, folder) -> None:
    sources = Sources.of(config(captions=folder))
    trained = {p for one in sources.triplets for p in (one.reference, *one.targets)}
    held = {p for one in sources.held for p in (one.reference, *one.targets)}
    assert trained and held and not trained & held and held <= {*sources.among}
    assert not trained & {*sources.among}


def test_splits_in_the_rows_are_kept(config, folder, tmp_path) -> None:
    sides = {0: "train", 1: "val", 2: "test"}
    rows = [
        {"reference": f"{n}.png", "text": "x", "target": f"{n + 3}.png", "split": sides[n % 3]}
        for n in range(30)
    ]
    file = write(tmp_path / "built.jsonl", rows)
    sources = Sources.of(config(triplets=(file,), root=folder, captions=folder))
    numbers = [
        {int(one.reference.stem) % 3 for one in part} for part in (sources.triplets, sources.held)
    ]
    assert numbers == [{0}, {1}]
    assert {int(photo.stem) % 3 for photo in sources.among} == {1}
    assert {int(photo.stem) % 3 for photo in sources.unseen} == {1, 2}


def test_resume_gives_the_same_weights(config, folder, tmp_path) -> None:
    whole = train(config(captions=folder, out=tmp_path / "whole", save_every=2))
    half = config(captions=folder, out=tmp_path / "half", steps=4, schedule="constant")
    straight = config(captions=folder, out=tmp_path / "straight", schedule="constant")
    train(half)
    resumed = train(replace(half, steps=6, resume=True))
    expected = load_file(train(straight).weights)
    found = load_file(resumed.weights)
    assert {*found} == {*expected}
    # stage 1 is a share of the steps, of which the half run had fewer: both have one of them
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=0)
    assert whole.weights.exists()


def test_an_encoder_without_token_states(config, caplog, monkeypatch, clip) -> None:
    from vretr.encoders.openclip import OpenClip

    monkeypatch.delattr(OpenClip, "token_states")
    run = train(config())
    assert run.about["compodiff"]["text"] == "vector"
    assert run.about["compodiff"]["prior"]["text_width"] == 24
    assert "its text vector is one token" in caplog.text


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ([{"reference": "none.png", "text": "x", "target": "1.png"}], "1 pictures missing"),
        ([{"reference": "1.png", "target": "2.png"}], "no text"),
        ([{"reference": None, "reference_caption": "a", "text": "b"}], "lines without"),
    ],
)
def test_files_that_are_no_triplets(config, folder: Path, tmp_path, lines, sentence: str) -> None:
    file = write(tmp_path / "bad.jsonl", lines)
    with pytest.raises(MismatchError, match=sentence):
        train(config(triplets=(file,), root=folder))
    with pytest.raises(MismatchError, match="no file of triplets"):
        train(config(triplets=(tmp_path / "none.jsonl",)))


def test_what_cannot_be_chosen_on(config, folder, tmp_path) -> None:
    with pytest.raises(UsageError, match="leaves no triplet"):
        train(config(holdout=0.01))
    with pytest.raises(MismatchError, match="are in those to train on as well"):
        train(config(validation=folder / "triplets.jsonl"))


def test_impossible_settings(config) -> None:
    for settings, sentence in (
        ({"mix_t2i": -1.0}, "the mix is"),
        ({"drop_text": 0.9, "drop_image": 0.2}, "the drops are"),
        ({"width": 15}, "must be even"),
        ({"stage1": 1.0}, "stage1 is 1.0"),
    ):
        with pytest.raises(ValueError, match=sentence):
            config(**settings)


def test_nothing_to_learn_from(config, folder, tmp_path) -> None:
    with pytest.raises(UsageError, match="Give what to learn from"):
        train(config(triplets=()))
    with pytest.raises(UsageError, match="needs --triplets"):
        train(config(triplets=(), photos=folder, triplets_only=True))
    with pytest.raises(UsageError, match="no data for mask"):
        train(config(mix_triplet=0.0, mix_t2i=0.0))
    assert not (tmp_path / "run").exists()


def test_a_run_that_was_not_finished(config, encoder, tmp_path) -> None:
    run = train(config())
    run.weights.unlink()
    with pytest.raises(MismatchError, match="not finished"):
        files.composer(encoder, run.folder)
