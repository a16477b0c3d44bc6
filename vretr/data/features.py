"""Vectors of pictures and of texts, cached on disk.

A cache file holds the vectors of up to `SHARD` inputs and is named by a digest of the encoder's
identity, of how it computes (`variant`, say device and precision), of another preprocessing than
its own, of whether lengths are kept, and of these inputs (of a picture: path, region, size and time
of change). So no vector is ever taken for that of another encoder or of a changed picture; an
interrupted run keeps its finished files, and so does a list that only grew at its end. The files
lie in `features/` of vretr's cache and may be deleted at any time.
"""

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.lib.format import read_array_header_1_0, read_magic
from numpy.typing import NDArray

from vretr import images
from vretr.data.sources import refuse_unreadable
from vretr.encoders.base import Encoder, KeepsLengths
from vretr.errors import UsageError
from vretr.images import Masked, Preprocessing, Region
from vretr.paths import atomic_write, home
from vretr.progress import Bar, progress

log = logging.getLogger(__name__)

Vectors = NDArray[np.float32]
Picture = str | Path | Region | Masked
Input = TypeVar("Input")

SHARD = 2048  # inputs a file: what an interruption can cost at most
TEXTS = 256  # texts that are encoded in one call


def image_features(
    encoder: Encoder,
    pictures: Sequence[Picture],
    *,
    variant: str = "",
    preprocessing: Preprocessing | None = None,
    raw: bool = False,
    batch_size: int = 32,
    workers: int | None = None,
) -> Vectors:
    """Unit vectors float32 [N, dim] of N pictures.

    Args:
        pictures: paths (plain strings for a hundred thousand of them: a `Path` costs more than what
            is done with it here), regions of pictures, or pictures with a box that is not shown.
        variant: how the encoder computes, for the cache's key.
        preprocessing: another one than the encoder's own; of the same size.
        raw: as long as the image tower makes them, instead of unit length.

    Raises:
        UsageError: `raw`, and the encoder does not tell lengths.
        MismatchError: pictures cannot be read; all of a shard are counted and the first are named.
    """
    look = encoder.encode_images
    if preprocessing is not None:
        variant += f" {preprocessing.describe()}"
    if raw:
        if not isinstance(encoder, KeepsLengths):
            raise UsageError(f"{encoder.name} does not tell how long its pictures' vectors are.")
        look = encoder.project_images
        variant += " raw"
    folder = os.getcwd()

    def encode(shard: Sequence[Picture]) -> Iterator[Vectors]:
        unreadable: list[images.Unreadable] = []
        batches = images.batches(
            [each if isinstance(each, Region | Masked) else Path(folder, each) for each in shard],
            preprocessing or encoder.preprocessing,
            batch_size=batch_size,
            workers=workers,
        )
        with closing(batches):  # it owns processes
            for batch in batches:
                unreadable += batch.unreadable
                if batch.files and not unreadable:  # once one is missing, only count the others
                    yield look(batch.pixels)
                bar.advance(len(batch.files))
        refuse_unreadable(unreadable)

    with progress(len(pictures), "Encoding pictures") as bar:
        state = partial(_state, folder)
        return _cached(encoder, pictures, bar, variant=variant, name=state, encode=encode)


def text_features(encoder: Encoder, texts: Sequence[str], *, variant: str = "") -> Vectors:
    """Unit vectors float32 [N, dim] of N texts."""

    def encode(shard: Sequence[str]) -> Iterator[Vectors]:
        for start in range(0, len(shard), TEXTS):
            batch = shard[start : start + TEXTS]
            yield encoder.encode_texts(batch)
            bar.advance(len(batch))

    with progress(len(texts), "Encoding texts") as bar:
        return _cached(encoder, texts, bar, variant=variant, name=_bytes, encode=encode)


def _cached(
    encoder: Encoder,
    inputs: Sequence[Input],
    bar: Bar,
    *,
    variant: str,
    name: Callable[[Input], bytes],
    encode: Callable[[Sequence[Input]], Iterator[Vectors]],
) -> Vectors:
    folder = home() / "features"
    folder.mkdir(parents=True, exist_ok=True)
    vectors = np.empty((len(inputs), encoder.dim), dtype=np.float32)
    for start in range(0, len(inputs), SHARD):
        shard, part = inputs[start : start + SHARD], vectors[start : start + SHARD]
        file = folder / f"{cache_key(encoder.identity, variant, *map(name, shard))}.npy"
        if _read(file, out=part):
            bar.advance(len(shard))
        else:
            np.concatenate(list(encode(shard)), out=part)
            with atomic_write(file) as stream:
                np.save(stream, part, allow_pickle=False)
    return vectors


def cache_key(identity: str, variant: str, *names: bytes) -> str:
    """The name of the file with the vectors of these inputs."""
    digest = hashlib.blake2b(digest_size=16)
    for name in (identity.encode(), variant.encode(), *names):
        digest.update(len(name).to_bytes(8, "little") + name)
    return digest.hexdigest()


def _state(folder: str, picture: Picture) -> bytes:
    """What tells a picture from another and from itself after a change."""
    path = os.fspath(picture)
    if not path.startswith("/"):
        path = os.path.join(folder, path)
    part = ""
    if isinstance(picture, Region):
        part = f"{picture.box} {picture.dilation} {picture.growth}"
    elif isinstance(picture, Masked):
        part = f"masked {picture.box}"
    try:
        status = os.stat(path)
    except OSError:
        return os.fsencode(path)  # encoding it will say what is wrong with it
    return os.fsencode(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0{part}")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _read(file: Path, *, out: Vectors) -> bool:
    """Fills `out` from the cache; False where the file is missing or not what it should be."""
    try:
        with file.open("rb") as stream:  # not np.load, which would copy once more
            version = read_magic(stream)
            shape, columns_first, dtype = read_array_header_1_0(stream)
            sound = version == (1, 0) and (shape, columns_first, dtype) == (
                out.shape,
                False,
                out.dtype,
            )
            if sound and stream.readinto(out.view(np.uint8)) == out.nbytes:  # type: ignore[arg-type]
                return True
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        log.warning("%s is damaged and made anew: %s", file, error)
        return False
    log.warning("%s is damaged and made anew.", file)
    return False
