"""What the heads are trained on: what the locked towers tell of photos and texts, computed once.

The towers never change, so their answers are kept in vretr's cache; training itself touches
neither pictures nor words.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vretr import images, paths
from vretr.data import captions
from vretr.data.sources import folder_of, rows
from vretr.data.views import views_of
from vretr.encoders.base import unit
from vretr.encoders.lite.files import PINNED
from vretr.encoders.lite.heads import seen_by_heads
from vretr.encoders.lite.image_tower import ImageTower
from vretr.encoders.lite.shape import CLASSES, PREPROCESSING, SEEN
from vretr.encoders.lite.text_tower import TextTower
from vretr.errors import VretrError
from vretr.progress import progress

log = logging.getLogger(__name__)

Array = NDArray[np.float32]

PHOTOS_AT_ONCE = 16
AREA = (0.6, 0.95)  # share of a photo that a crop takes


@dataclass(frozen=True)
class Photos:
    """N photos in V views each, with T texts each.

    `seen` is [N, V, 1832] (`heads.seen_by_heads`), `probabilities` [N, V, 1000], both float16 to
    spare memory; `texts` [N, T] are row numbers of `sentences` [S, 384].
    """

    seen: Tensor
    probabilities: Tensor
    texts: Tensor
    sentences: Tensor

    def __len__(self) -> int:
        return len(self.seen)

    def part(self, rows: Tensor) -> "Photos":
        """The photos with these numbers."""
        return Photos(self.seen[rows], self.probabilities[rows], self.texts[rows], self.sentences)


@dataclass(frozen=True)
class Pairs:
    """A batch: B photos in one view with one text each, float32."""

    seen: Tensor  # [B, 1832]
    probabilities: Tensor  # [B, 1000]
    sentences: Tensor  # [B, 384]
    text: Tensor  # [B], number of the text
    texts: Tensor  # [B, T], numbers of all texts that are true of the photo

    @classmethod
    def draw(cls, photos: Photos, rows: Tensor) -> "Pairs":
        """A random view and a random text of each of these photos (torch's global generator)."""
        views = torch.randint(photos.seen.shape[1], (len(rows),))
        choice = torch.randint(photos.texts.shape[1], (len(rows),))
        text = photos.texts[rows, choice]
        return cls(
            photos.seen[rows, views].float(),
            photos.probabilities[rows, views].float(),
            photos.sentences[text],
            text,
            photos.texts[rows],
        )


class Samples:
    """Batches of captioned photos, and as many products, drawn at random, where there are any."""

    def __init__(self, captioned: Photos, products: Photos | None) -> None:
        self.captioned, self.products = captioned, products

    def __len__(self) -> int:
        return len(self.captioned)

    def __getitems__(self, indices: list[int]) -> list[Pairs]:
        batch = [Pairs.draw(self.captioned, torch.tensor(indices))]
        if self.products is not None:
            drawn = torch.randint(len(self.products), (len(indices),))
            batch.append(Pairs.draw(self.products, drawn))
        return batch


def captioned(source: Path, split: str, views: int, seed: int) -> Photos:
    """The captioned photos of a folder or zip; all need the same number of captions or more.

    Those with more keep the first ones, so that the texts form a matrix.
    """
    photos = captions.load(source, split=split or None)
    count = min(len(photo.captions) for photo in photos)
    texts = [photo.captions[:count] for photo in photos]
    return _photos([photo.path for photo in photos], texts, views, seed)


def products(source: Path, views: int, seed: int) -> Photos:
    """The product photos of the split `train`: what they are called and which colour they have."""
    folder = folder_of(source)
    train = [row for _, row in rows(folder / "metadata.jsonl") if row.get("split") == "train"]
    return _photos(
        [folder / row["file_name"] for row in train],
        [product_texts(row) for row in train],
        views,
        seed,
    )


def product_texts(row: dict[str, str]) -> tuple[str, ...]:
    """Five texts of a product: its name, colour and kind, colour alone in two wordings, kind."""
    colour, kind = row["colour"], row["article_type"]
    return (
        row["name"],
        f"{colour} {kind}",
        f"something {colour.lower()}",
        f"is {colour.lower()}",
        kind,
    )


def class_names() -> Array:
    """A MiniLM vector [1000, 384] for each ImageNet class, in their usual order (timm's names).

    The mean of three ways to say it: "NAME", "a photo of a NAME", and that with all its names.
    """
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    names = [info.index_to_description(index) for index in range(CLASSES)]
    first = [name.split(",")[0] for name in names]
    ways = [first, [f"a photo of a {name}" for name in first], [f"a photo of a {x}" for x in names]]
    return unit(np.sum([sentences(way) for way in ways], axis=0))


def _photos(files: list[Path], texts: Sequence[Sequence[str]], views: int, seed: int) -> Photos:
    seen, probabilities = _seen(files, views, seed)
    unique = sorted({text for row in texts for text in row})
    number = {text: i for i, text in enumerate(unique)}
    return Photos(
        torch.from_numpy(seen),
        torch.from_numpy(probabilities),
        torch.tensor([[number[text] for text in row] for row in texts]),
        torch.from_numpy(sentences(unique)),
    )


def sentences(texts: Sequence[str]) -> Array:
    """MiniLM vectors [B, 384] of these texts, from the cache where it has them."""
    place = _cache("sentences", texts)
    if not place.exists():
        log.info("Reading %d sentences", len(texts))
        _keep(place, TextTower()(texts))
    return np.load(place)


def _seen(files: list[Path], views: int, seed: int) -> tuple[NDArray[np.float16], ...]:
    """What the tower tells of each view of each file: [N, V, 1832] and [N, V, 1000]."""
    settings = str(SEEN), PREPROCESSING.describe(), str(views), str(seed)
    place = _cache("seen", [str(file) for file in files], *settings)
    if not place.exists():
        log.warning("Looking at %d photos in %d views each", len(files), views)
        tower = ImageTower(device="auto")
        parts = []
        with progress(len(files), "Looking at photos") as bar:
            for start in range(0, len(files), PHOTOS_AT_ONCE):
                some = enumerate(files[start : start + PHOTOS_AT_ONCE], start)
                pixels = [_views(file, views, seed + number) for number, file in some]
                parts.append(_look(tower, np.concatenate(pixels)))
                bar.advance(len(pixels))
        _keep(place, np.concatenate(parts).reshape(len(files), views, -1))
    told = np.load(place)
    return told[..., :-CLASSES], told[..., -CLASSES:]


def _views(file: Path, views: int, seed: int) -> NDArray[np.uint8]:
    """The photo as it is, mirrored, then random crops, in turn mirrored.

    Raises:
        VretrError: the photo cannot be read; training data must be whole.
    """
    pixels = views_of(file, PREPROCESSING, views, seed=seed, area=AREA)
    if isinstance(pixels, images.Unreadable):
        raise VretrError(f"{paths.display(file)} cannot be read: {pixels.reason}.")
    return pixels


def _look(tower: ImageTower, pixels: NDArray[np.uint8]) -> NDArray[np.float16]:
    seen = tower(pixels.transpose(0, 3, 1, 2))
    return np.concatenate([seen_by_heads(seen), seen.probabilities], axis=1).astype(np.float16)


def _cache(kind: str, texts: Sequence[str], *settings: str) -> Path:
    """The place in vretr's cache for what the pinned towers tell of exactly these texts."""
    digest = hashlib.blake2b(digest_size=16)
    for text in (*(pin for _, _, pin in PINNED.values()), *settings, *texts):
        digest.update(text.encode("utf-8", "surrogateescape") + b"\0")
    return paths.home() / "lite" / f"{kind}-{digest.hexdigest()}.npy"


def _keep(place: Path, array: NDArray[np.floating]) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with paths.atomic_write(place) as file:
        np.save(file, array)
