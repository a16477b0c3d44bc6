"""A seeded world of scenes, its splits, and the folders it can be written to."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vretr.data.worlds import drawing
from vretr.data.worlds.language import caption, find_language, instruction
from vretr.data.worlds.scenes import VOCABULARY, Edit, Scene, draw, edits
from vretr.errors import UsageError
from vretr.methods import near

SPLITS = ("train", "test", "unseen")
TEST_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Triplet:
    """A composed query: the reference picture and the words ask for the target."""

    reference: Scene
    edit: Edit
    text: str

    @property
    def target(self) -> Scene:
        """What should be found."""
        return self.edit.target


class World:
    """Scenes by number, in three splits that share no meaning.

    `train` and `test` divide all that can be said 4 : 1, by a hash, so that what is told of a test
    picture is told of no training picture. Classes that are `held_out` occur in neither, and in
    every scene of `unseen`. A class is one or more words of the vocabulary that hold of one group:
    "star", "red circle", "three large".

    Args:
        seed: another seed, other scenes.
        size: the side of a picture in pixels, from 32.
        held_out: the classes of `unseen`.
        noise: largest deviation of a pixel's value, 0 to 127.

    Raises:
        UsageError: a word that is not in the vocabulary, or a size or noise out of range.
    """

    def __init__(
        self, seed: int = 0, size: int = 64, *, held_out: Iterable[str] = (), noise: int = 0
    ) -> None:
        if size < 32 or not 0 <= noise <= 127:
            raise UsageError(
                f"A world takes size >= 32 and noise 0 to 127, not {size} and {noise}."
            )
        self.seed, self.size, self.noise = seed, size, noise
        self.held_out = [_class(words) for words in held_out]

    def scene(self, number: int, *, split: str = "train") -> Scene:
        """The scene of that number; no other need be made for it."""
        random = self._stream(split, number)
        while True:
            words = self.held_out[number % len(self.held_out)] if split == "unseen" else None
            if self.split_of(scene := draw(random, with_words=words)) == split:
                return scene

    def scenes(self, count: int, *, split: str = "train") -> Iterator[Scene]:
        """`count` scenes of which no two mean the same: each caption has exactly one picture."""
        seen: set[object] = set()
        number = 0
        while len(seen) < count:
            scene = self.scene(number, split=split)
            number += 1
            if scene.meaning not in seen:
                seen.add(scene.meaning)
                yield scene

    def split_of(self, scene: Scene) -> str:
        """The split to which the scene's meaning belongs."""
        for words in self.held_out:
            if any(group.words.issuperset(words.values()) for group in scene.groups):
                return "unseen"
        digest = blake2b(caption(scene).encode(), digest_size=4).digest()
        return "test" if int.from_bytes(digest, "big") < TEST_SHARE * 2**32 else "train"

    def triplet(self, number: int, *, split: str = "train", language: str = "en") -> Triplet:
        """A scene and an edit of it; both belong to the split (a target to `unseen`, its
        reference perhaps not)."""
        random = self._stream(f"triplet {split}", number)
        home = "train" if split == "unseen" else split
        while True:
            reference = self.scene(int(random.random() * 2**48), split=home)
            found = [edit for edit in edits(reference) if self.split_of(edit.target) == split]
            if found:
                edit = found[int(random.random() * len(found))]
                phrasing = int(random.random() * find_language(language).phrasings)
                text = instruction(reference, edit, language, phrasing=phrasing)
                return Triplet(reference, edit, text)

    def pixels(self, scene: Scene) -> NDArray[np.uint8]:
        """The scene as RGB, uint8 [size, size, 3]."""
        return drawing.pixels(scene, self.size, noise=self.noise)

    def render(self, scene: Scene) -> Image.Image:
        """The scene as a picture."""
        return Image.fromarray(self.pixels(scene))

    def lines(self, scene: Scene) -> NDArray[np.float32]:
        """The straight edges in the picture, float32 [N, 4] in pixels; see `drawing.lines`."""
        return drawing.lines(scene, self.size)

    def write(self, folder: Path, counts: Mapping[str, int]) -> None:
        """Writes scenes of each split ({"train": 500, "test": 100}) as a captioned folder.

        `metadata.jsonl` has a line a picture: file_name, captions, captions_ko, split, attributes.
        """
        lines = []
        for split, count in counts.items():
            for number, scene in enumerate(self.scenes(count, split=split)):
                name = self._save(folder, f"{split}_{number:06}.png", scene)
                lines.append(
                    {
                        "file_name": name,
                        "captions": captions(scene, "en"),
                        "captions_ko": captions(scene, "ko"),
                        "split": split,
                        "attributes": attributes(scene),
                    }
                )
        _write_lines(folder / "metadata.jsonl", lines)

    def write_triplets(
        self, folder: Path, count: int, *, split: str = "test", language: str = "en"
    ) -> None:
        """Writes composed queries: pictures and `triplets.jsonl`.

        A line holds reference, text, targets, gallery. The gallery is the reference, the target and
        up to ten other edits of the reference: neither picture nor words alone tell the target.
        """
        lines = []
        for number in range(count):
            triplet = self.triplet(number, split=split, language=language)
            others = [e.target for e in edits(triplet.reference) if e != triplet.edit]
            random = self._stream(f"gallery {split}", number)
            others.sort(key=lambda scene: random.random())
            scenes = {"reference": triplet.reference, "target": triplet.target}
            scenes |= {f"other{i}": scene for i, scene in enumerate(others[:10])}
            files = {
                key: self._save(folder, f"{split}_{number:06}_{key}.png", scene)
                for key, scene in scenes.items()
            }
            lines.append(
                {
                    "reference": files["reference"],
                    "text": triplet.text,
                    "targets": [files["target"]],
                    "gallery": list(files.values()),
                }
            )
        _write_lines(folder / "triplets.jsonl", lines)

    def _stream(self, purpose: str, number: int) -> Random:
        known = SPLITS if self.held_out else SPLITS[:2]
        split = purpose.split()[-1]
        if split not in known:
            raise UsageError(f"This world has no split {split!r}; {near(split, list(known))}")
        return Random(f"{self.seed} {purpose} {number}")

    def _save(self, folder: Path, name: str, scene: Scene) -> str:
        file_name = f"images/{name}"
        (folder / "images").mkdir(parents=True, exist_ok=True)
        self.render(scene).save(folder / file_name, compress_level=1)
        return file_name


def captions(scene: Scene, language: str) -> list[str]:
    """Every phrasing of that language."""
    phrasings = find_language(language).phrasings
    return [caption(scene, language, phrasing=i) for i in range(phrasings)]


def attributes(scene: Scene) -> dict[str, Any]:
    """The scene as plain values, ready for JSON."""
    return {"groups": [asdict(group) for group in scene.groups], "background": scene.background}


def _class(words: str) -> dict[str, str]:
    """ "red circle" -> {"colour": "red", "shape": "circle"}."""
    homes = {word: attribute for attribute, values in VOCABULARY.items() for word in values}
    for word in words.split():
        if word not in homes:
            raise UsageError(f"A world has no {word!r} to hold out; {near(word, homes)}")
    return {homes[word]: word for word in words.split()}


def _write_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
