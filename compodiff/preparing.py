"""From photos, captions and triplets to `Samples`: all is encoded once, then kept on disk."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from compodiff import triplets as ours
from compodiff.conditions import Texts, Vectors
from compodiff.config import TASKS, TrainConfig, mix_of
from compodiff.data import NONE, Samples, Task, random_boxes
from compodiff.triplets import TextTriplet
from vretr import images
from vretr.data import captions, triplets
from vretr.data.captions import Captioned
from vretr.data.features import Picture, image_features, text_features
from vretr.data.sources import folder_of
from vretr.data.triplets import Gallery, Triplet
from vretr.encoders import Encoder
from vretr.errors import MismatchError, UsageError
from vretr.images import Masked
from vretr.paths import display

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sources:
    """What there is to learn from, not yet encoded.

    Attributes:
        held, among: triplets to choose on, and the photos to search in for them.
        unseen: photos that must not be learned from: those, and those of test triplets.
    """

    triplets: Sequence[Triplet]
    texts: Sequence[TextTriplet]
    held: Sequence[Triplet]
    among: Sequence[Path]
    unseen: frozenset[Path]
    captioned: Sequence[Captioned]
    photos: Sequence[Path]

    @classmethod
    def of(cls, config: TrainConfig) -> "Sources":
        """Raises:
        UsageError: nothing to learn from is given, or the hold-out leaves nothing.
        MismatchError: something is missing or malformed.
        """
        if not (config.triplets or config.captions or config.photos):
            raise UsageError("Give what to learn from: --triplets, --captions or --photos.")
        if config.triplets_only and not config.triplets:
            raise UsageError("--triplets-only needs --triplets.")
        loaded = ours.load(config.triplets, config.root)
        found, val = ([_resolved(one) for one in part] for part in (loaded.train, loaded.val))
        test = {_real(photo) for photo in _named(loaded.test)}
        held: list[Triplet] = []
        among: list[Path] = []
        if config.validation is not None or val:
            held = val
            if config.validation is not None:
                held = [
                    _resolved(one) for one in triplets.load(config.validation, root=config.root)
                ]
            among = triplets.pictures(held)
            if both := {*among} & {*_named(found)}:
                raise MismatchError(
                    f"{len(both):,} photos of the triplets to choose on are in those to train on "
                    f"as well, say {display(min(both))}."
                )
        elif found and config.holdout:
            found, held, among = ours.split(found, config.holdout, config.seed)
            if not (found and held):
                raise UsageError(
                    f"--holdout {config.holdout:g} of the photos leaves no triplet to train or to "
                    "choose on: give another share, --validation FILE, or 0."
                )
        alone = config.triplets_only
        captioned: Sequence[Captioned] = []
        if config.captions is not None and not alone:
            captioned = captions.load(
                config.captions, split=config.captions_split, field=config.captions_field
            )
        photos = [*_photos(config.photos)] if config.photos is not None and not alone else []
        unseen = frozenset({*among, *test})
        return cls(found, loaded.texts, held, among, unseen, captioned, photos)


def _resolved(triplet: Triplet) -> Triplet:
    targets = tuple(map(_real, triplet.targets))
    gallery = triplet.gallery and _resolved_gallery(triplet.gallery)
    return Triplet(_real(triplet.reference), triplet.text, targets, gallery)


@cache
def _resolved_gallery(gallery: Gallery) -> Gallery:
    return Gallery(tuple(map(_real, gallery.paths)))


@cache
def _real(path: Path) -> Path:
    """A path that is the same for the same photo, whatever file names it."""
    return Path(os.path.realpath(path))


def _named(found: Sequence[Triplet]) -> list[Path]:
    """References and targets, without galleries."""
    return triplets.pictures([Triplet(one.reference, one.text, one.targets) for one in found])


def _photos(source: Path) -> list[Path]:
    folder = folder_of(source)
    if not (found := [*images.find([folder])]):
        raise MismatchError(f"{display(source)} holds no picture.")
    return found


def samples(config: TrainConfig, sources: Sources, encoder: Encoder, texts: Texts) -> Samples:
    """Encodes what was not encoded before, and lays out the tasks that have data.

    Raises:
        UsageError: no task that has a share has data.
        MismatchError: pictures cannot be read.
    """
    shelf = _Shelf()
    tasks = _tasks(config, sources, shelf)
    mix = _possible(mix_of(config), tasks)
    variant = f"{config.device} {config.precision}"
    stage1 = round(config.stage1 * config.steps) if "t2i" in mix else 0
    vectors = _vectors(encoder, shelf, variant)
    return Samples(
        {name: tasks[name] for name in mix},
        mix,
        vectors=vectors,
        texts=texts.features([*shelf.texts], variant=variant),
        scale=encoder.dim**0.5,
        mask_size=config.mask_size,
        batch_size=config.batch_size,
        seed=config.seed,
        stage1=stage1,
    )


class _Shelf:
    """Places of what must be encoded: pictures, captions in place of pictures, texts."""

    def __init__(self) -> None:
        self.pictures: dict[Picture | tuple[str], int] = {}  # (caption,) stands for a picture
        self.texts: dict[str, int] = {"": 0}

    def picture(self, picture: "Picture | tuple[str]") -> int:
        """The place of a picture, or of a caption."""
        return self.pictures.setdefault(picture, len(self.pictures))

    def text(self, text: str) -> int:
        """The place of a text."""
        return self.texts.setdefault(text, len(self.texts))


def _tasks(config: TrainConfig, sources: Sources, shelf: _Shelf) -> dict[str, Task]:
    tasks = {name: Task() for name in TASKS}
    for one in sources.triplets:
        targets = [shelf.picture(str(target)) for target in one.targets]
        tasks["triplet"].add(shelf.picture(str(one.reference)), shelf.text(one.text), targets)
    for each in sources.texts:
        reference, target = shelf.picture((each.reference,)), shelf.picture((each.target,))
        tasks["triplet"].add(reference, shelf.text(each.text), [target])
    seen = [(_real(photo.path), photo.captions) for photo in sources.captioned]
    seen += [(_real(path), ("",)) for path in sources.photos]
    boxes = iter(random_boxes(len(seen) * config.boxes, config.seed))
    draws = np.random.default_rng(config.seed)
    for path, captions_of in seen:
        if path in sources.unseen:
            continue
        whole = shelf.picture(str(path))
        for words in captions_of:
            if words:
                tasks["t2i"].add(NONE, shelf.text(words), [whole])
        if not config.mix_mask:
            continue
        for _ in range(config.boxes):
            box = next(boxes)
            words = captions_of[draws.integers(len(captions_of))]
            masked = shelf.picture(Masked(str(path), box))
            tasks["mask"].add(masked, shelf.text(words), [whole])
            tasks["mask"].boxes.append(box)
    return tasks


def _possible(mix: dict[str, float], tasks: dict[str, Task]) -> dict[str, float]:
    """The shares of tasks that have rows; says which have none."""
    wanted = {name: share for name, share in mix.items() if share}
    kept = {name: share for name, share in wanted.items() if len(tasks[name])}
    if not kept:
        raise UsageError(
            f"There are no data for {' or '.join(wanted)}: give --triplets, --captions or --photos."
        )
    if lost := [name for name in wanted if name not in kept]:
        log.warning("There are no data for %s: left out of the mix.", " and ".join(lost))
    return kept


def _vectors(encoder: Encoder, shelf: _Shelf, variant: str) -> Vectors:
    """Unit vectors of the shelf's pictures, in their order."""
    vectors = np.empty((len(shelf.pictures), encoder.dim), np.float32)
    said = [(each[0], place) for each, place in shelf.pictures.items() if isinstance(each, tuple)]
    seen = [(each, place) for each, place in shelf.pictures.items() if not isinstance(each, tuple)]
    if seen:
        pictures, places = zip(*seen, strict=True)
        vectors[[*places]] = image_features(encoder, pictures, variant=variant)
    if said:
        words, places = zip(*said, strict=True)
        vectors[[*places]] = text_features(encoder, words, variant=variant)
    return vectors
