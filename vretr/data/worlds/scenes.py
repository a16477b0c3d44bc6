"""What a scene is: its vocabulary, its groups of equal shapes, and how one thing changes."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from random import Random
from typing import Any

# What a group is made of. Order matters: a seed stands for the places in these lists.
VOCABULARY: dict[str, tuple[str, ...]] = {
    "shape": ("circle", "square", "triangle", "star", "cross", "ring"),
    "colour": ("red", "green", "blue", "yellow", "orange", "purple", "brown", "pink"),
    "size": ("small", "large"),
    "count": ("one", "two", "three"),
    "place": ("left", "right", "top", "bottom", "middle"),
}
BACKGROUNDS = ("white", "grey", "black")
OPPOSITE = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}


@dataclass(frozen=True, slots=True)
class Group:
    """One to three equal shapes in one part of the picture. Values are words of `VOCABULARY`."""

    shape: str
    colour: str
    size: str
    count: str
    place: str

    @property
    def number(self) -> int:
        """How many shapes: 1, 2 or 3."""
        return VOCABULARY["count"].index(self.count) + 1

    @property
    def words(self) -> frozenset[str]:
        """All its values."""
        return frozenset(getattr(self, name) for name in VOCABULARY)


@dataclass(frozen=True, slots=True)
class Scene:
    """One group anywhere, or two groups in opposite halves, on a plain background.

    Two groups never share both shape and colour, so that "the red circle" names one of them.
    `pose` seeds what no caption tells: the exact places, turns and noise. Scenes that differ in
    nothing but `pose` mean the same.
    """

    groups: tuple[Group, ...]
    background: str
    pose: int

    @property
    def meaning(self) -> tuple[tuple[Group, ...], str]:
        """All that a caption tells: equal meanings have equal captions."""
        return self.groups, self.background


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of exactly one attribute of one group, or of the background (`group` is None)."""

    target: Scene
    attribute: str
    value: str
    group: int | None


def pick(random: Random, values: tuple[str, ...]) -> str:
    """One of the values. Not `random.choice`, whose stream Python does not promise to keep."""
    return values[int(random.random() * len(values))]


def draw(random: Random, *, with_words: dict[str, str] | None = None) -> Scene:
    """A random scene; one of its groups has the attributes of `with_words`, if any are given."""
    first = replace(_draw_group(random), **(with_words or {}))
    groups: tuple[Group, ...] = (first,)
    if first.place in OPPOSITE and random.random() < 0.5:
        second = replace(_draw_group(random), place=OPPOSITE[first.place])
        if (second.shape, second.colour) != (first.shape, first.colour):
            groups = (first, second)
    background = pick(random, BACKGROUNDS)
    return Scene(ordered(groups), background, pose=int(random.random() * 2**48))


def ordered(groups: tuple[Group, ...]) -> tuple[Group, ...]:
    """Left before right, top before bottom: one meaning, one scene."""
    return tuple(sorted(groups, key=lambda group: VOCABULARY["place"].index(group.place)))


def edits(scene: Scene) -> Iterator[Edit]:
    """Every change of one attribute that gives another scene, in a fixed order.

    A place changes only where the group is alone: of two groups each has its own half.
    """
    for position, group in enumerate(scene.groups):
        for attribute, values in VOCABULARY.items():
            if attribute == "place" and len(scene.groups) > 1:
                continue
            for value in values:
                changed: dict[str, Any] = {attribute: value}
                groups = list(scene.groups)
                groups[position] = replace(group, **changed)
                if groups[position] != group and _distinct(groups):
                    target = replace(scene, groups=tuple(groups))
                    yield Edit(target, attribute, value, position)
    for background in BACKGROUNDS:
        if background != scene.background:
            yield Edit(replace(scene, background=background), "background", background, None)


def _draw_group(random: Random) -> Group:
    return Group(*(pick(random, VOCABULARY[field.name]) for field in fields(Group)))


def _distinct(groups: list[Group]) -> bool:
    return len({(group.shape, group.colour) for group in groups}) == len(groups)
