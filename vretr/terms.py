"""Queries as a Composer takes them: their pictures become vectors."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from vretr import images, masks
from vretr.composers import Composer, Negatives, Vectors, Weights
from vretr.encoders import Encoder
from vretr.encoders.base import KeepsLengths
from vretr.errors import UsageError, VretrError
from vretr.images.masked import Mask, blanked
from vretr.index import Index
from vretr.paths import display
from vretr.query import Query

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURES_AT_ONCE = 32  # query photos that are decoded and encoded together


@dataclass(frozen=True, slots=True)
class _Photo:
    """A query photo: its content hash and its vector."""

    digest: bytes
    vector: Vectors  # [dim]


@dataclass(frozen=True, slots=True)
class Terms:
    """A query as a Composer takes it, and the photos in it that are no answer to it."""

    references: Vectors
    texts: Sequence[str]
    negatives: Negatives
    weights: Weights
    itself: frozenset[bytes]
    mask: Mask | None = None


@dataclass(frozen=True)
class Reader:
    """Makes Terms of queries to an index."""

    index: Index
    encoder: Encoder
    composer: Composer

    def read(self, queries: Sequence[Query]) -> list[Terms | VretrError]:
        """The Terms of each query, or what is wrong with it.

        Photos that are not in the index are encoded together.
        """
        photos = self._see({path for query in queries for path in (*query.image, *query.not_image)})
        found: list[Terms | VretrError] = []
        for query in queries:
            try:
                found.append(self._terms(query, photos))
            except VretrError as problem:
                found.append(problem)
        return found

    def _terms(self, query: Query, photos: Mapping[Path, _Photo | VretrError]) -> Terms:
        if (query.text or query.not_text) and not self.encoder.reads_text:
            raise UsageError(
                f"{self.encoder.name}, which this index was made with, reads no words: ask by "
                "picture, or make an index with an encoder that reads words (`vretr encoders`)."
            )
        wanted, unwanted = _found(query.image, photos), _found(query.not_image, photos)
        references, mask = self._stack(wanted), None
        if query.masked:
            references, mask = self._masked(query)
        return Terms(
            references=references,
            texts=query.text,
            negatives=Negatives(self._stack(unwanted), query.not_text),
            weights=query.weights,
            itself=frozenset(() if query.include_self else (photo.digest for photo in wanted)),
            mask=mask,
        )

    def _masked(self, query: Query) -> tuple[Vectors, Mask]:
        """The vector [1, dim] of the query's one picture without the masked part, and the mask."""
        if not getattr(self.composer, "reads_masks", False):
            raise UsageError(
                f"The composer {self.composer.name} has no use for a mask: --composer takes a run "
                "of one that has, as of `vretr train compodiff`."
            )
        (path,), seen = query.image, self.encoder.preprocessing
        picture = images.open(path, target=seen.target)
        if isinstance(picture, images.Unreadable):
            raise _unreadable(picture)
        mask = masks.mask_of(picture, path, seen, cast(masks.Given, query.given_mask))
        pixels = blanked(seen.pixels(picture), mask, seen)[None].transpose(0, 3, 1, 2)
        return self._vectors(pixels), mask

    def _stack(self, photos: Sequence[_Photo]) -> Vectors:
        rows = [photo.vector for photo in photos]
        return np.stack(rows) if rows else np.zeros((0, self.encoder.dim), dtype=np.float32)

    def _see(self, paths: Collection[Path]) -> dict[Path, _Photo | VretrError]:
        """Each photo's vector: the stored one where the index has its content, else encoded now."""
        photos: dict[Path, _Photo | VretrError] = {}
        unknown: list[tuple[Path, bytes]] = []
        for path in paths:
            if not os.path.isfile(path):
                photos[path] = UsageError(f"There is no picture {display(path)}.")
            elif isinstance(file := images.digest(path), images.Unreadable):
                photos[path] = _unreadable(file)
            elif (vector := self.index.vector_of(file.digest)) is not None:
                photos[path] = _Photo(file.digest, vector)
            else:
                unknown.append((path, file.digest))
        for start in range(0, len(unknown), PICTURES_AT_ONCE):
            photos |= self._encode(unknown[start : start + PICTURES_AT_ONCE])
        return photos

    def _encode(self, files: Sequence[tuple[Path, bytes]]) -> dict[Path, _Photo | VretrError]:
        target = self.encoder.preprocessing.target
        photos: dict[Path, _Photo | VretrError] = {}
        pictures: dict[tuple[Path, bytes], Image] = {}
        for path, digest in files:
            picture = images.open(path, target=target)
            if isinstance(picture, images.Unreadable):
                photos[path] = _unreadable(picture)
            else:
                pictures[path, digest] = picture
        if pictures:
            vectors = self._vectors([*pictures.values()])
            for (path, digest), vector in zip(pictures, vectors, strict=True):
                photos[path] = _Photo(digest, vector)
        return photos

    def _vectors(self, pictures: "Sequence[Image] | NDArray[np.uint8]") -> Vectors:
        """Vectors [B, dim], as long as the tower makes them where the composer reads lengths."""
        if getattr(self.composer, "reads_lengths", False) and isinstance(
            self.encoder, KeepsLengths
        ):
            return self.encoder.project_images(pictures)
        return self.encoder.encode_images(pictures)


def _found(paths: Sequence[Path], photos: Mapping[Path, _Photo | VretrError]) -> list[_Photo]:
    found = []
    for path in paths:
        if isinstance(photo := photos[path], VretrError):
            raise photo
        found.append(photo)
    return found


def _unreadable(file: images.Unreadable) -> VretrError:
    return VretrError(f"{display(file.path)} cannot be read as a picture: {file.reason}.")
