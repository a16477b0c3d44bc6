"""The world of vectors: what is said is what is shown."""

import numpy as np
import pytest

from vretr.data.worlds.vectors import (
    BACKGROUND,
    COLOUR,
    NO_BACKGROUND,
    OBJECT,
    TOKENS,
    VectorWorld,
    mask_of,
)

WORLD = VectorWorld(3)


def test_all_kinds_are_in_the_gallery_and_can_be_told_apart() -> None:
    assert WORLD.items.shape == (1152, 4) and len({*map(tuple, WORLD.items)}) == 1152
    np.testing.assert_allclose(np.linalg.norm(WORLD.gallery, axis=1), 1, atol=1e-6)
    again = WORLD.pictures(WORLD.items, np.random.default_rng(5))
    nearest = (again @ WORLD.gallery.T).argmax(1)
    assert (nearest == np.arange(1152)).mean() > 0.9


def test_a_seed_is_a_world() -> None:
    assert np.array_equal(WORLD.gallery, VectorWorld(3).gallery)
    assert not np.allclose(WORLD.gallery, VectorWorld(4).gallery)


def test_pictures_are_the_sum_of_their_parts() -> None:
    nothing = np.zeros((1, 24))
    item = np.array([[2, 3, 4, 1]])
    parts = [WORLD._values[part][value] for part, value in enumerate(item[0])]
    assert np.allclose([np.linalg.norm(part) for part in parts], (1, 0.9, 0.8, 0.6), atol=1e-6)
    whole = sum(parts) + WORLD._pairs[2, 3]
    wanted = whole / np.linalg.norm(whole)
    np.testing.assert_allclose(WORLD._seen(item, nothing, None)[0], wanted, atol=1e-6)
    hidden = WORLD._seen(item, nothing, np.array([[True, False]]))[0]
    np.testing.assert_allclose(hidden, parts[BACKGROUND] / 0.8, atol=1e-6)


def test_a_hidden_background_looks_like_none() -> None:
    items = np.array([[1, 2, NO_BACKGROUND, 0], [1, 2, 3, 0]])
    hidden = WORLD._seen(items, np.zeros((2, 24)), np.array([[False, True]] * 2))
    np.testing.assert_array_equal(hidden[0], hidden[1])
    np.testing.assert_array_equal(hidden[0], WORLD._seen(items[:1], np.zeros((1, 24)), None)[0])


def test_words_name_values_at_their_places() -> None:
    items = np.array([[1, 5, 2, 0], [1, 6, 2, 0]])
    only = np.tile(np.arange(4) == COLOUR, (2, 1))
    whole = WORLD.captions(items, np.ones((2, 4), bool))
    differ = (whole[0] != whole[1]).any(1)
    assert [*differ] == [False, True, False, False, False, False]
    empty = WORLD.captions(items, np.zeros((2, 4), bool))
    assert np.array_equal(empty[0], WORLD.empty) and WORLD.empty.shape == (TOKENS, 24)
    colours = WORLD.captions(items, only)
    assert np.array_equal(colours[:, 1:], empty[:, 1:])
    told = WORLD.changes(np.array([COLOUR, COLOUR]), items[:, COLOUR])
    np.testing.assert_allclose(
        told[:, 3] - WORLD._positions[3], colours[:, 0] - WORLD._positions[0], atol=1e-6
    )


def test_an_edit_changes_the_one_thing_that_it_says() -> None:
    random = np.random.default_rng(0)
    targets, attributes, text = WORLD.edits(WORLD.items, random)
    changed = targets != WORLD.items
    assert (changed.sum(1) == 1).all() and (changed.argmax(1) == attributes).all()
    assert (targets <= WORLD.items.max(0)).all()
    values = targets[np.arange(1152), attributes]
    assert np.array_equal(text, WORLD.changes(attributes, values))


@pytest.mark.parametrize("task", ["words_to_pictures", "triplets", "masked"])
def test_tasks(task: str) -> None:
    def rows() -> object:
        return getattr(WORLD, task)(50, np.random.default_rng(1))

    found = rows()
    for part, again in zip(found, rows(), strict=True):
        assert part.dtype == np.float32 and len(part) == 50 and np.array_equal(part, again)
    assert found.image.any() == (task != "words_to_pictures")
    assert found.mask.any() == (task == "masked")
    if task == "masked":
        assert {tuple(mask[0, [0, -1]]) for mask in found.mask} == {(0.0, 1.0), (1.0, 0.0)}


def test_captions_name_something() -> None:
    told = WORLD.described(WORLD.items, np.random.default_rng(2))
    assert not (told == WORLD.empty).all((1, 2)).any()


def test_masks_are_halves() -> None:
    mask = mask_of(of_object=True, background=False, count=2)
    assert mask.shape == (2, 8, 8) and mask[:, :, :4].all() and not mask[:, :, 4:].any()
    assert BACKGROUND not in OBJECT
