"""What a score means: whether a photo fits a query, told from the index's own photos.

A raw score means nothing alone: how high it comes out depends on the encoder, on the photos and on
the query, and a query's own distribution over the photos does not tell either (an answer stands
out no more than the best of noise does: benchmarks/no_answer.py). So a score is compared with
scores that are known to mean little.

- Words: everyday phrases (`phrases.txt`) are scored against the photos nearest to the query. A
  photo fits if the words score higher than all but about one in a hundred phrases do there.
  Beside a picture, phrases take the place of the words.
- Pictures: photos of the index are scored against their nearest neighbours. A photo fits if it is
  as near to the picture as nine in ten photos here are to another one.

Neither holds a number that belongs to an encoder.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import exp
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vretr.encoders.base import Encoder
from vretr.errors import UsageError
from vretr.paths import atomic_write, home
from vretr.progress import progress

log = logging.getLogger(__name__)

Vectors = NDArray[np.float32]

FITS = 0.5
"""The least `fit` of a photo that `--min-score auto` keeps."""

NEAREST = 5
"""Photos that the phrases are scored against. Chosen, as RANK was, on training photos of two data
sets and their mixture (docs/scores.md)."""

RANK = 3
"""The phrase that must be beaten: the third best, as a few phrases may well describe a photo."""

FEW = 5
"""Where a composer reads words together with the pictures, phrases cannot be read beforehand: every
fifth is composed, 59 of 295, and the best of these takes the place of the third best of all."""

NEIGHBOURS = 64  # photos of the index whose nearest neighbours are looked for
UNLIKE = 10  # percent of photos that may be as unlike any other as a picture that nothing resembles
STEEPNESS = 2.0  # of `fit`, per standard deviation: how sure it is; FITS does not depend on it
_LEAST = 1e-6  # spread, where all scores are equal


@dataclass(frozen=True, slots=True)
class Scale:
    """Scores of one query as fits: at `level` a photo fits as well as not."""

    level: float
    spread: float  # standard deviation of the scores that mean little

    @classmethod
    def of_words(cls, scores: Vectors, *, beside: bool = False, rank: int = RANK) -> "Scale | None":
        """From scores [P, N] of phrases with the photos nearest to the query.

        Args:
            rank: of the phrase that must be beaten, 1 for the best.
            beside: whether the phrases were composed with pictures. With any phrase the photo most
                like the picture then scores high: the level is not the highest among the photos,
                but the middle one.

        None where the phrases all score alike, as with a composer that does not read them.
        """
        if np.ptp(scores, axis=0).max() < _LEAST:
            return None
        best = np.sort(scores, axis=0)[-min(rank, len(scores))]
        level = np.median(best) if beside else best.max()
        return cls(float(level), float(scores.std(axis=0).mean()))

    @classmethod
    def of_pictures(cls, scores: Vectors) -> "Scale | None":
        """From scores [S] of photos with their nearest neighbours; None where there are none."""
        if not len(scores):
            return None
        return cls(float(np.percentile(scores, UNLIKE)), max(float(scores.std()), _LEAST))

    def fit(self, score: float) -> float:
        """0 to 1; FITS at the level."""
        steps = STEEPNESS * (score - self.level) / self.spread
        return round(1 / (1 + exp(-max(-50.0, min(50.0, steps)))), 4)


@cache
def phrases() -> tuple[str, ...]:
    """The everyday phrases."""
    return tuple(files("vretr").joinpath("phrases.txt").read_text(encoding="utf-8").splitlines())


def phrase_vectors(encoder: Encoder) -> Vectors | None:
    """The phrases' vectors [P, dim], if this encoder has read them on this machine."""
    if encoder.identity not in _known:
        try:
            vectors = np.load(_place(encoder), allow_pickle=False)
        except (OSError, ValueError, EOFError):  # not there, or cut off by a full disk
            return None
        if vectors.shape != (len(phrases()), encoder.dim) or vectors.dtype != np.float32:
            return None
        _known[encoder.identity] = vectors
    return _known[encoder.identity]


def read_phrases(encoder: Encoder) -> Vectors | None:
    """The phrases' vectors [P, dim]; read now and kept in vretr's home where they are not known.

    None where the encoder cannot read them.
    """
    if not encoder.reads_text:
        return None
    if (vectors := phrase_vectors(encoder)) is not None:
        return vectors
    try:
        vectors = _read(encoder)
    except UsageError as problem:
        log.info("%s cannot read the phrases to compare scores with: %s", encoder.name, problem)
        return None
    _known[encoder.identity] = vectors
    place = _place(encoder)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(place) as file:
            np.save(file, vectors)
    except OSError as problem:
        log.info("the phrases' vectors cannot be kept: %s", problem)
    return vectors


_TOGETHER = 32
_known: dict[str, Vectors] = {}  # identity -> vectors


def _read(encoder: Encoder) -> Vectors:
    parts = []
    with progress(len(phrases()), "Reading everyday phrases") as bar:
        for start in range(0, len(phrases()), _TOGETHER):
            parts.append(encoder.encode_texts(phrases()[start : start + _TOGETHER]))
            bar.advance(len(parts[-1]))
    return np.concatenate(parts)


def _place(encoder: Encoder) -> Path:
    digest = hashlib.sha256("\n".join((encoder.identity, *phrases())).encode()).hexdigest()[:32]
    return home() / "phrases" / f"{digest}.npy"


class PhraseReader:
    """An encoder that has read the phrases already."""

    def __init__(self, encoder: Encoder, vectors: Vectors) -> None:
        self._encoder = encoder
        self._vectors = dict(zip(phrases(), vectors, strict=True))

    def __getattr__(self, name: str) -> object:
        return getattr(self._encoder, name)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """As the encoder does."""
        unknown = [text for text in texts if text not in self._vectors]
        if unknown:
            self._vectors |= zip(unknown, self._encoder.encode_texts(unknown), strict=True)
        return np.stack([self._vectors[text] for text in texts])
