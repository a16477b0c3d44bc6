"""A world of vectors: what an encoder would give of pictures and words, without either.

For methods that work on vectors alone. A picture is a sum of what is seen on it; its words are
vectors of their own, so that only learning connects them.
"""

from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vretr.encoders.base import unit

Vectors = NDArray[np.float32]
Items = NDArray[np.intp]  # [N, 4]: a value of each attribute

ATTRIBUTES = ("shape", "colour", "background", "pattern")
COUNTS = (8, 8, 6, 3)
LENGTHS = (1.0, 0.9, 0.8, 0.6)
TOGETHER = 0.5  # length of what a shape and a colour are together, beside both
NOISE = 0.08  # of each number
NO_BACKGROUND = 0  # the background that adds nothing: only a mask tells it from a hidden one
SHAPE, COLOUR, BACKGROUND, PATTERN = range(4)
OBJECT = (SHAPE, COLOUR, PATTERN)

TOKENS = 6
MASK_SIZE = 8
PADDING, CHANGE, TO = range(3)
FIRST_NAME = 3  # words: the attributes, then their values
FIRST_VALUE = FIRST_NAME + len(ATTRIBUTES)


class Task(NamedTuple):
    """Rows to learn from: `image` zero and `mask` zero where there is none."""

    target: Vectors  # [N, dim], unit
    image: Vectors  # [N, dim], unit or zero
    text: Vectors  # [N, TOKENS, dim]
    mask: Vectors  # [N, MASK_SIZE, MASK_SIZE]


class VectorWorld:
    """1,152 kinds of pictures: 8 shapes, 8 colours, 6 backgrounds (one adds nothing), 3 patterns.

    `items` are all of them, `gallery` one picture of each.
    """

    def __init__(self, seed: int = 0, dim: int = 24) -> None:
        random = np.random.default_rng(seed)
        self.dim = dim
        self.items: Items = np.array([*product(*map(range, COUNTS))])
        self._values = [
            length * unit(random.standard_normal((count, dim)))
            for length, count in zip(LENGTHS, COUNTS, strict=True)
        ]
        self._values[BACKGROUND][NO_BACKGROUND] = 0
        pairs = random.standard_normal((COUNTS[SHAPE], COUNTS[COLOUR], dim))
        self._pairs = TOGETHER * unit(pairs.reshape(-1, dim)).reshape(pairs.shape)
        self._words = random.standard_normal((FIRST_VALUE + sum(COUNTS), dim))
        self._positions = random.standard_normal((TOKENS, dim))
        self.gallery = self.pictures(self.items, random)

    def pictures(
        self, items: Items, random: np.random.Generator, *, masked: NDArray[np.bool_] | None = None
    ) -> Vectors:
        """Unit vectors [N, dim], a new picture each time.

        Args:
            masked: [N, 2]: the object, or the background, is hidden.
        """
        noise = NOISE * random.standard_normal((len(items), self.dim))
        return self._seen(items, noise, masked)

    def _seen(
        self, items: Items, noise: NDArray[np.float64], masked: NDArray[np.bool_] | None
    ) -> Vectors:
        seen = sum(self._values[part][items[:, part]] for part in OBJECT)
        seen = seen + self._pairs[items[:, SHAPE], items[:, COLOUR]]
        behind = self._values[BACKGROUND][items[:, BACKGROUND]]
        if masked is not None:
            seen, behind = seen * ~masked[:, :1], behind * ~masked[:, 1:]
        return unit(seen + behind + noise)

    def captions(self, items: Items, named: NDArray[np.bool_]) -> Vectors:
        """The values of those attributes that are `named` [N, 4], then padding; none: the empty
        string. [N, TOKENS, dim]."""
        words = np.full((len(items), TOKENS), PADDING)
        first = FIRST_VALUE + np.cumsum([0, *COUNTS[:-1]])
        for row, (item, said) in enumerate(zip(items, named, strict=True)):
            words[row, : said.sum()] = (first + item)[said]
        return self._told(words)

    def changes(self, attributes: NDArray[np.intp], values: NDArray[np.intp]) -> Vectors:
        """ "change colour to red", of N attributes and values: [N, TOKENS, dim]."""
        words = np.full((len(values), TOKENS), PADDING)
        first = FIRST_VALUE + np.cumsum([0, *COUNTS[:-1]])
        named = [np.full_like(values, CHANGE), FIRST_NAME + attributes, np.full_like(values, TO)]
        words[:, :4] = np.stack([*named, first[attributes] + values], axis=1)
        return self._told(words)

    @property
    def empty(self) -> Vectors:
        """The empty string, [TOKENS, dim]."""
        return self._told(np.full((1, TOKENS), PADDING))[0]

    def _told(self, words: NDArray[np.intp]) -> Vectors:
        return (self._words[words] + self._positions).astype(np.float32)

    def edits(
        self, references: Items, random: np.random.Generator
    ) -> tuple[Items, NDArray[np.intp], Vectors]:
        """One attribute of each changed -> the targets, the attributes, the words that ask so."""
        attributes = random.integers(len(ATTRIBUTES), size=len(references))
        counts = np.array(COUNTS)[attributes]
        rows = np.arange(len(references))
        before = references[rows, attributes]
        values = (before + random.integers(1, counts)) % counts
        targets = references.copy()
        targets[rows, attributes] = values
        return targets, attributes, self.changes(attributes, values)

    def described(self, items: Items, random: np.random.Generator) -> Vectors:
        """Captions as people write them: half tell all, half some of it."""
        named = random.random((len(items), len(ATTRIBUTES))) < 0.5
        named |= (random.random(len(items)) < 0.5)[:, None] | ~named.any(1, keepdims=True)
        return self.captions(items, named)

    def words_to_pictures(self, count: int, random: np.random.Generator) -> Task:
        """Captions and what they describe."""
        items = self._some(count, random)
        target = self.pictures(items, random)
        text = self.described(items, random)
        return Task(target, np.zeros_like(target), text, _masks(np.zeros((count, 2), bool)))

    def triplets(self, count: int, random: np.random.Generator) -> Task:
        """A picture, a change, and the picture with that change."""
        items = self._some(count, random)
        targets, _, text = self.edits(items, random)
        image, target = self.pictures(items, random), self.pictures(targets, random)
        return Task(target, image, text, _masks(np.zeros((count, 2), bool)))

    def masked(self, count: int, random: np.random.Generator) -> Task:
        """A picture of which object or background is hidden, its caption, and the whole picture."""
        items = self._some(count, random)
        masked = np.eye(2, dtype=bool)[random.integers(2, size=count)]
        noise = NOISE * random.standard_normal((count, self.dim))
        image, target = self._seen(items, noise, masked), self._seen(items, noise, None)
        return Task(target, image, self.described(items, random), _masks(masked))

    def _some(self, count: int, random: np.random.Generator) -> Items:
        return self.items[random.integers(len(self.items), size=count)]


def _masks(masked: NDArray[np.bool_]) -> Vectors:
    """[N, 2] -> [N, MASK_SIZE, MASK_SIZE]: the left half is the object, the right the rest."""
    halves = np.repeat(masked, MASK_SIZE // 2, axis=1)
    return np.repeat(halves[:, None], MASK_SIZE, axis=1).astype(np.float32)


def mask_of(*, of_object: bool, background: bool, count: int) -> Vectors:
    """The same mask `count` times."""
    return _masks(np.tile([of_object, background], (count, 1)))
