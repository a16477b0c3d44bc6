"""Worlds say the truth: what the words tell is counted in the pixels, independently."""

import json
import re
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from vretr.data.worlds import LANGUAGES, Group, Scene, World, caption, wireframe
from vretr.data.worlds.drawing import COLOURS, RADIUS
from vretr.data.worlds.language import instruction
from vretr.data.worlds.raster import FINE, fill_polygons
from vretr.data.worlds.scenes import VOCABULARY, edits
from vretr.errors import UsageError

numbers = st.integers(0, 10**9)


# --- the same everywhere -------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "noise"), [(64, 0), (224, 9)])
def test_pixels_are_the_same_on_every_machine(size: int, noise: int) -> None:
    world = World(seed=1, size=size, noise=noise)
    digest = blake2b(digest_size=8)
    for number in range(20):
        digest.update(world.pixels(world.scene(number)).tobytes())
    assert digest.hexdigest() == {64: "3914d8db6a6b4449", 224: "e00d5ea9d8bfea1c"}[size]


def test_wireframes_are_the_same_on_every_machine() -> None:
    digest = blake2b(digest_size=8)
    for number in range(10):
        digest.update(wireframe(number, size=128).picture.tobytes())
    assert digest.hexdigest() == "0eeb02af43ccd6e1"


def test_a_scene_is_made_without_those_before_it() -> None:
    forwards = [World(seed=3).scene(number) for number in range(5)]
    assert forwards == [World(seed=3).scene(number) for number in reversed(range(5))][::-1]
    assert forwards != [World(seed=4).scene(number) for number in range(5)]


# --- the truth -----------------------------------------------------------------------------------


def _components(mask: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """The connected pieces of a mask, each as [n, 2] rows and columns: a plain flood fill."""
    left = {(int(r), int(c)) for r, c in np.argwhere(mask)}
    pieces = []
    while left:
        piece, front = [], [left.pop()]
        while front:
            r, c = front.pop()
            piece.append((r, c))
            near = {(r + dr, c + dc) for dr in (-1, 0, 1) for dc in (-1, 0, 1)} & left
            left -= near
            front += near
        pieces.append(np.array(piece))
    return pieces


AREA = {  # of the unit circle's square, by formula
    "circle": np.pi,
    "square": 2.0,
    "triangle": 3 * np.sqrt(3) / 4,
    "star": 5 * 0.42 * np.sin(np.pi / 5),
    "cross": 4 * 0.6 * 0.65 + 0.36,
    "ring": np.pi * (1 - 0.55**2),
}


@pytest.mark.parametrize("number", range(25))
def test_pixels_show_what_the_scene_says(number: int) -> None:
    size = 192
    world = World(seed=11, size=size)
    scene = world.scene(number)
    picture = world.pixels(scene).astype(int)
    assert (picture[0, 0] == COLOURS[scene.background]).all()
    rows, columns = np.mgrid[:size, :size]
    in_place = {
        "left": columns < size / 2,
        "right": columns >= size / 2,
        "top": rows < size / 2,
        "bottom": rows >= size / 2,
        "middle": abs(columns - size / 2) <= size / 4,
    }
    for group in scene.groups:
        mask = (picture == COLOURS[group.colour]).all(axis=2) & in_place[group.place]
        pieces = [piece for piece in _components(mask) if len(piece) > 12]  # not stray edge pixels
        assert len(pieces) == {"one": 1, "two": 2, "three": 3}[group.count]
        radius = RADIUS[group.size] * size / 64
        for piece in pieces:
            assert len(piece) == pytest.approx(AREA[group.shape] * radius**2, rel=0.2)
    if len(scene.groups) == 1:
        coloured = (picture != COLOURS[scene.background]).any(axis=2)
        assert not (coloured & ~in_place[scene.groups[0].place]).any()


def test_a_polygon_covers_its_area() -> None:
    """Against the shoelace formula: Pillow's polygons would be half a cell too large all round."""
    corners = np.array([[13, 21], [201, 55], [170, 190], [44, 133]])
    canvas = np.zeros((64, 64, 3), dtype=np.uint8)
    fill_polygons(canvas, [(corners, (255, 255, 255))])
    x, y = corners.T / FINE
    area = abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
    assert canvas[..., 0].sum() / 255 == pytest.approx(area, rel=2e-3)


# --- words ---------------------------------------------------------------------------------------


def parse(text: str, language: str) -> tuple[list[dict[str, str]], str]:
    """Reads a caption back knowing the words alone: five of each group, one of the background."""
    homes = {word: attribute for attribute, words in VOCABULARY.items() for word in words}
    meaning = {
        form: value
        for value, synonyms in LANGUAGES[language].words.items()
        for synonym in synonyms
        for form in synonym.split("|")
    }
    longest_first = "|".join(sorted(map(re.escape, meaning), key=len, reverse=True))
    found = [meaning[word] for word in re.findall(rf"(?<!\w)({longest_first})(?=에?(?!\w))", text)]
    (background,) = (value for value in found if value not in homes)
    rest = [value for value in found if value in homes]
    assert len(rest) % 5 == 0
    chunks = [rest[i : i + 5] for i in range(0, len(rest), 5)]
    return [{homes[value]: value for value in chunk} for chunk in chunks], background


@pytest.mark.parametrize("language", LANGUAGES)
@given(number=numbers, phrasing=st.integers(0, 5))
def test_captions_tell_everything(language: str, number: int, phrasing: int) -> None:
    scene = World().scene(number)
    groups, background = parse(caption(scene, language, phrasing=phrasing), language)
    assert tuple(Group(**group) for group in groups) == scene.groups
    assert background == scene.background


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_no_two_values_share_a_word(language) -> None:  # type: ignore[no-untyped-def]
    forms = [f for synonyms in language.words.values() for s in synonyms for f in s.split("|")]
    assert len(forms) == len(set(forms))


def test_phrasings_differ_and_plurals_are_plural() -> None:
    scene = Scene((Group("cross", "red", "small", "two", "left"),), "grey", pose=0)
    assert caption(scene) == "two small red crosses on the left, grey background"
    one = replace(scene, groups=(replace(scene.groups[0], count="one"),))
    assert caption(one, phrasing=2) == "against grey, on the left a small red cross"
    for language, table in LANGUAGES.items():
        texts = {caption(scene, language, phrasing=i) for i in range(table.phrasings)}
        assert len(texts) == table.phrasings >= 3


def test_unknown_language_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="en"):
        caption(World().scene(0), "eng")


# --- edits ---------------------------------------------------------------------------------------


@given(number=numbers)
def test_edits_change_exactly_one_attribute(number: int) -> None:
    scene = World().scene(number)
    found = list(edits(scene))
    assert len({edit.target.meaning for edit in found}) == len(found)
    for edit in found:
        target = edit.target
        changes = [("background", target.background)] * (target.background != scene.background)
        assert len(target.groups) == len(scene.groups)
        for before, after in zip(scene.groups, target.groups, strict=True):
            for attribute in VOCABULARY:
                if getattr(before, attribute) != getattr(after, attribute):
                    changes.append((attribute, getattr(after, attribute)))
        assert changes == [(edit.attribute, edit.value)]
        pairs = [(group.shape, group.colour) for group in target.groups]
        assert len(set(pairs)) == len(pairs)


def test_an_edit_of_one_group_leaves_the_other_half_alone() -> None:
    world = World(size=96)
    pair = next(s for n in range(99) if len((s := world.scene(n)).groups) == 2)
    vertical = pair.groups[0].place == "left"
    for edit in edits(pair):
        if edit.group is None:
            continue
        changed = (world.pixels(pair) != world.pixels(edit.target)).any(axis=2)
        changed = changed if vertical else changed.T
        half = changed[:, 48:] if edit.group == 0 else changed[:, :48]
        assert changed.any()
        assert not half.any()


@pytest.mark.parametrize("language", LANGUAGES)
def test_instructions_tell_the_change_and_the_group(language: str) -> None:
    words = LANGUAGES[language].words
    for number in range(40):
        scene = World(seed=2).scene(number)
        told = set()
        for edit in edits(scene):
            text = instruction(scene, edit, language)
            synonyms = words[edit.value]
            assert any(form in text for synonym in synonyms for form in synonym.split("|")), text
            told.add(text)
            if edit.group is not None and len(scene.groups) == 2:
                assert words[scene.groups[edit.group].colour][0] in text
        assert len(told) == len(list(edits(scene)))  # no instruction stands for two targets


def test_instructions_read_well() -> None:
    one = Scene((Group("circle", "red", "small", "one", "left"),), "grey", pose=0)
    texts = {(e.attribute, e.value): instruction(one, e) for e in edits(one)}
    assert texts["colour", "blue"] == "make it blue"
    assert texts["count", "two"] == "but two of them"
    assert texts["shape", "star"] == "make it star-shaped"
    assert texts["place", "top"] == "put it at the top"
    assert texts["background", "black"] == "on a black background"
    two = replace(one, groups=(*one.groups, Group("star", "blue", "large", "two", "right")))
    texts = {(e.attribute, e.value, e.group): instruction(two, e) for e in edits(two)}
    assert texts["colour", "pink", 1] == "make the blue stars pink"
    assert texts["count", "three", 0] == "but three of the red circles"


# --- splits --------------------------------------------------------------------------------------

HELD_OUT = ("star", "red circle", "three large")


def _is_held_out(group: Group) -> bool:
    return (
        group.shape == "star"
        or (group.colour, group.shape) == ("red", "circle")
        or (group.count, group.size) == ("three", "large")
    )


@given(number=numbers)
def test_held_out_classes_are_only_in_unseen(number: int) -> None:
    world = World(seed=5, held_out=HELD_OUT)
    for split in ("train", "test"):
        assert not any(map(_is_held_out, world.scene(number, split=split).groups))
        assert not any(map(_is_held_out, world.triplet(number, split=split).target.groups))
    assert any(map(_is_held_out, world.scene(number, split="unseen").groups))
    assert any(map(_is_held_out, world.triplet(number, split="unseen").target.groups))


def test_every_held_out_class_is_seen_in_unseen() -> None:
    groups = [g for s in World(held_out=HELD_OUT).scenes(30, split="unseen") for g in s.groups]
    assert {"star"} <= {group.shape for group in groups}
    assert ("red", "circle") in {(group.colour, group.shape) for group in groups}
    assert ("three", "large") in {(group.count, group.size) for group in groups}


def test_train_and_test_share_no_meaning() -> None:
    world = World()
    train = {world.scene(number).meaning for number in range(3000)}
    test = {world.scene(number, split="test").meaning for number in range(3000)}
    assert not train & test


def test_scenes_do_not_repeat() -> None:
    found = [scene.meaning for scene in World().scenes(2000)]
    assert len(set(found)) == len(found) == 2000


def test_wrong_wishes_are_refused_with_a_hint() -> None:
    with pytest.raises(UsageError, match="star"):
        World(held_out=["starr"])
    with pytest.raises(UsageError, match="no split 'unseen'"):
        World().scene(0, split="unseen")
    with pytest.raises(UsageError, match="size"):
        World(size=8)
    with pytest.raises(UsageError, match="noise"):
        World(noise=200)


# --- lines ---------------------------------------------------------------------------------------


def offset_of_edge(picture: NDArray[np.float64], line: NDArray[np.float32]) -> float:
    """How many pixels beside `line` the step in the picture lies, measured to a sub-pixel.

    The mean profile across the line, sampled by bilinear interpolation with pixel centres at half
    coordinates; the place where it passes the middle between the levels of both sides.
    """
    start, end = line[:2].astype(float), line[2:].astype(float)
    along = (end - start) / np.linalg.norm(end - start)
    across = np.array([-along[1], along[0]])
    steps = np.linspace(-2, 2, 41)
    at = np.linspace(0.25, 0.75, 60)[:, None, None]
    points = start + at * (end - start) + steps[None, :, None] * across - 0.5
    whole = np.floor(points).astype(int)
    fx, fy = np.moveaxis(points - whole, -1, 0)[..., None]
    x, y = np.moveaxis(whole, -1, 0)
    value = (picture[y, x] * (1 - fx) + picture[y, x + 1] * fx) * (1 - fy)
    value += (picture[y + 1, x] * (1 - fx) + picture[y + 1, x + 1] * fx) * fy
    profiles = value.mean(axis=0).T  # one of each colour channel
    profile = max(profiles, key=lambda levels: abs(levels[-1] - levels[0]))
    assert abs(profile[-1] - profile[0]) > 8, "no step in the picture"
    share = (profile - profile[0]) / (profile[-1] - profile[0])
    return float(np.interp(0.5, share, steps))


def _lengths(lines: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.hypot(lines[:, 2] - lines[:, 0], lines[:, 3] - lines[:, 1])


@pytest.mark.parametrize("number", range(30))
def test_wireframe_lines_lie_on_edges_to_a_tenth_of_a_pixel(number: int) -> None:
    found = wireframe(number, size=256, noise=0)
    picture = np.asarray(found.picture, dtype=float)
    offsets = [offset_of_edge(picture, line) for line in found.lines[_lengths(found.lines) > 14]]
    assert offsets
    assert np.abs(offsets).max() < 0.1


def test_scene_lines_lie_on_edges() -> None:
    world = World(size=256)
    for number in range(30):
        scene = world.scene(number)
        picture = np.asarray(world.render(scene), dtype=float)
        sides = {"square": 4, "triangle": 3, "star": 10, "cross": 12}
        lines = world.lines(scene)
        assert len(lines) == sum(sides.get(g.shape, 0) * g.number for g in scene.groups)
        for line in lines[_lengths(lines) > 14]:
            assert abs(offset_of_edge(picture, line)) < 0.1


def test_every_strong_edge_of_a_wireframe_is_listed() -> None:
    """No line is missing: away from the lines the picture is flat."""
    for number in range(10):
        found = wireframe(number, size=192, noise=0)
        picture = np.asarray(found.picture, dtype=int).sum(axis=2)
        step = np.zeros(picture.shape, dtype=bool)
        step[:, :-1] |= np.diff(picture, axis=1) != 0
        step[:-1] |= np.diff(picture, axis=0) != 0
        points = np.argwhere(step)[:, ::-1] + 0.5
        start, end = found.lines[:, :2], found.lines[:, 2:]
        along = ((points[:, None] - start) * (end - start)).sum(-1) / _lengths(found.lines) ** 2
        nearest = start + np.clip(along, 0, 1)[..., None] * (end - start)
        assert np.linalg.norm(points[:, None] - nearest, axis=-1).min(axis=1).max() < 2


def test_a_wireframe_lists_each_line_once_and_its_junctions() -> None:
    for number in range(20):
        found = wireframe(number)
        turned = found.lines[:, [2, 3, 0, 1]]
        both = np.concatenate([found.lines, turned])
        assert len(np.unique(both, axis=0)) == len(both)
        ends = {tuple(end) for end in found.lines.reshape(-1, 2).tolist()}
        assert ends == {tuple(point) for point in found.junctions.tolist()}
        assert found.lines.min() >= 0
        assert found.lines.max() <= 256


# --- folders -------------------------------------------------------------------------------------


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_write_makes_a_captioned_folder(tmp_path: Path) -> None:
    world = World(seed=9, size=48, held_out=["ring"], noise=3)
    world.write(tmp_path, {"train": 6, "test": 3, "unseen": 2})
    lines = _read(tmp_path / "metadata.jsonl")
    assert [line["split"] for line in lines] == ["train"] * 6 + ["test"] * 3 + ["unseen"] * 2
    for line in lines:
        with Image.open(tmp_path / line["file_name"]) as picture:
            assert picture.size == (48, 48)
        for language, key in (("en", "captions"), ("ko", "captions_ko")):
            for text in line[key]:
                groups, background = parse(text, language)
                assert groups == line["attributes"]["groups"]
                assert background == line["attributes"]["background"]
    assert len({line["captions"][0] for line in lines}) == len(lines)


def test_write_triplets_has_the_answer_among_hard_distractors(tmp_path: Path) -> None:
    World(seed=2, size=32).write_triplets(tmp_path, 5)
    for triplet in _read(tmp_path / "triplets.jsonl"):
        assert {triplet["reference"], *triplet["targets"]} < set(triplet["gallery"])
        assert len(triplet["gallery"]) == 12
        pictures = {(tmp_path / name).read_bytes() for name in triplet["gallery"]}
        assert len(pictures) == 12  # no distractor shows the target
        assert triplet["text"]
