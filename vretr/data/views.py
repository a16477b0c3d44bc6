"""What a frozen tower tells of augmented views of photos: computed once, kept on disk.

A training of what follows the tower then touches no picture. The files lie in `views/` of vretr's
cache, `SHARD` photos each, and may be deleted at any time; what was computed before an interruption
is not computed again.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from vretr import images
from vretr.data.sources import refuse_unreadable
from vretr.encoders.backbones import Backbone, Tokens
from vretr.images import Preprocessing
from vretr.paths import atomic_write, home
from vretr.progress import progress

SHARD = 128  # photos a file
AT_ONCE = 16  # pictures that a tower sees at a time

Pool = Callable[[Tokens], Tensor]


@dataclass(frozen=True)
class Views:
    """N photos in V views each. `read` gives some of them.

    Attributes:
        shards: float16 [SHARD, V, T, D] each, mapped from disk; the last may be shorter.
        prefix: how many of the T tokens come before the patches.
        count: V.
        pooled: whether the only token is what `pool` made.
    """

    shards: list[NDArray[np.float16]]
    prefix: int
    count: int
    pooled: bool = False

    @classmethod
    def of(
        cls,
        backbone: Backbone,
        photos: Sequence[Path],
        *,
        views: int,
        seed: int = 0,
        area: tuple[float, float] = (0.25, 1.0),
        pool: tuple[str, Pool] | None = None,
    ) -> "Views":
        """Looks at the photos, or at what the cache has of them.

        Args:
            backbone: frozen.
            views: V: the photo as it is, mirrored, then random crops.
            seed: decides the crops.
            area: least and largest share of the photo that a crop takes.
            pool: what to keep in place of the tokens, as one token, and its name for the cache.

        Raises:
            MismatchError: photos cannot be read; all are counted and the first are named.
        """
        folder = home() / "views"
        folder.mkdir(parents=True, exist_ok=True)
        settings = (backbone.identity, f"{views} {seed} {area}", pool[0] if pool else "tokens")
        shards: list[NDArray[np.float16]] = []
        unreadable: list[images.Unreadable] = []
        with progress(len(photos), "Looking at photos") as bar:
            for start in range(0, len(photos), SHARD):
                some = photos[start : start + SHARD]
                file = folder / f"{_key(settings, some, start)}.npy"
                if not file.exists():
                    seen: list[NDArray[np.float16]] = []
                    for number, photo in enumerate(some, seed + start):
                        pixels = views_of(
                            photo, backbone.preprocessing, views, seed=number, area=area
                        )
                        if isinstance(pixels, images.Unreadable):
                            unreadable.append(pixels)
                        elif not unreadable:  # once one is missing, only count the others
                            seen.append(_look(backbone, pixels, pool))
                        bar.advance(1)
                    if unreadable:
                        continue
                    with atomic_write(file) as stream:
                        np.save(stream, np.stack(seen), allow_pickle=False)
                bar.update(start + len(some))
                shards.append(np.load(file, mmap_mode="r", allow_pickle=False))
        refuse_unreadable(unreadable)
        return cls(shards, 0 if pool else backbone.prefix, views, pool is not None)

    def __len__(self) -> int:
        return sum(map(len, self.shards))

    def read(self, photos: Sequence[int], views: Sequence[int]) -> Tokens:
        """The tokens of these views of these photos, one of each, float32."""
        rows = [
            self.shards[photo // SHARD][photo % SHARD, view]
            for photo, view in zip(photos, views, strict=True)
        ]
        tokens = torch.from_numpy(np.stack(rows).astype(np.float32))
        return Tokens(tokens[:, self.prefix :], tokens[:, : self.prefix])


def views_of(
    file: Path,
    preprocessing: Preprocessing,
    views: int,
    *,
    seed: int,
    area: tuple[float, float],
) -> "NDArray[np.uint8] | images.Unreadable":
    """uint8 [V, S, S, 3]: the photo as it is, mirrored, then random crops, each second mirrored."""
    picture = images.open(file, target=preprocessing.target)
    if isinstance(picture, images.Unreadable):
        return picture
    draws = np.random.default_rng(seed)
    return np.stack([preprocessing.pixels(view) for view in _views(picture, views, draws, area)])


def random_crops(
    files: Sequence[Path], preprocessing: Preprocessing, *, area: tuple[float, float]
) -> NDArray[np.uint8]:
    """uint8 [B, 3, S, S]: a part of each photo, half of them mirrored.

    Drawn from torch's generator, which a training seeds.

    Raises:
        MismatchError: a photo cannot be read.
    """
    crops = []
    for file in files:
        seed, mirrored = torch.randint(2**31, (2,)).tolist()
        picture = images.open(file, target=preprocessing.target)
        if isinstance(picture, images.Unreadable):
            refuse_unreadable([picture])
        assert not isinstance(picture, images.Unreadable)
        box = _box(picture.size, np.random.default_rng(seed), area)
        pixels = preprocessing.pixels(picture.crop(box))
        crops.append(pixels[:, ::-1] if mirrored % 2 else pixels)
    return np.stack(crops).transpose(0, 3, 1, 2)


def _views(
    picture: Image.Image, views: int, draws: np.random.Generator, area: tuple[float, float]
) -> Iterator[Image.Image]:
    mirror = Image.Transpose.FLIP_LEFT_RIGHT
    for number in range(views):
        view = picture if number < 2 else picture.crop(_box(picture.size, draws, area))
        yield view.transpose(mirror) if number % 2 else view


def _box(
    size: tuple[int, int], draws: np.random.Generator, shares: tuple[float, float]
) -> tuple[int, int, int, int]:
    area, ratio = draws.uniform(*shares), np.exp(draws.uniform(-0.2, 0.2))
    width = size[0] * min(1.0, (area * ratio) ** 0.5)
    height = size[1] * min(1.0, (area / ratio) ** 0.5)
    left, top = draws.uniform(0, size[0] - width), draws.uniform(0, size[1] - height)
    return round(left), round(top), max(round(left + width), 1), max(round(top + height), 1)


def _look(
    backbone: Backbone, pixels: NDArray[np.uint8], pool: tuple[str, Pool] | None
) -> NDArray[np.float16]:
    """[V, S, S, 3] -> [V, T, D]"""
    found = []
    with torch.inference_mode():
        for start in range(0, len(pixels), AT_ONCE):
            batch = torch.from_numpy(pixels[start : start + AT_ONCE].transpose(0, 3, 1, 2))
            tokens = backbone(batch)
            kept = pool[1](tokens)[:, None] if pool else torch.cat(tokens[::-1], dim=1)
            found.append(kept.cpu().numpy().astype(np.float16))
    return np.concatenate(found)


def _key(settings: tuple[str, ...], photos: Sequence[Path], start: int) -> str:
    """Of the settings, the place in the list (it decides the crops), and each photo's state."""
    digest = hashlib.blake2b(digest_size=16)
    for text in (*settings, str(start)):
        digest.update(text.encode() + b"\0")
    for photo in photos:
        digest.update(str(photo.absolute()).encode("utf-8", "surrogateescape") + b"\0")
        try:
            status = photo.stat()
        except OSError:
            continue  # reading it will say what is wrong
        digest.update(f"{status.st_size} {status.st_mtime_ns}\0".encode())
    return digest.hexdigest()
