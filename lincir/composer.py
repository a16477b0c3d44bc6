"""LinCIR at query time: "a photo of $ that is red", where $ is a pseudo word. NumPy, no torch."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np

from lincir.backbone import mean_length
from lincir.config import PROMPT
from lincir.phi import PseudoWords
from vretr.composers import Vectors, WeightedSum
from vretr.encoders import PseudoTextEncoder
from vretr.encoders.base import unit
from vretr.errors import UsageError

PICTURE, WORDS = "$", "{}"


@dataclass(frozen=True)
class Prompt:
    """A sentence with a place for pictures, `$`, and one for words, `{}`.

    Several pictures stand in one `$`, joined by "and", or each in its own.

    Raises:
        UsageError: a place is missing.
    """

    text: str = PROMPT

    def __post_init__(self) -> None:
        if self.text.count(WORDS) != 1 or PICTURE not in self.text:
            raise UsageError(
                f"The prompt {self.text!r} must hold $ for the picture and {{}} once for the "
                f"words, as in {PROMPT!r}."
            )

    def pieces(self, words: str, *, pictures: int, tokens: int) -> tuple[str, ...]:
        """The sentence with these words, in pieces, with `tokens` places for each picture."""
        parts = self.text.split(PICTURE)
        if len(parts) == 2 and pictures > 1:
            parts = [parts[0], *[" and "] * (pictures - 1), parts[1]]
        if len(parts) != pictures + 1:
            raise UsageError(
                f"The prompt {self.text!r} has {len(parts) - 1} places for pictures, and there are "
                f"{pictures}: write $ once or as often."
            )
        first, *others = (part.replace(WORDS, words) for part in parts)
        return (first, *chain.from_iterable([""] * (tokens - 1) + [part] for part in others))


class LinCIR(WeightedSum):
    """The weighted sum, with words that are read together with the pictures.

        T_i = unit((1 - m) E("a photo of $ that <text i>") + m E(<text i>)),  $ := phi(picture)

    instead of E(text i); m is the share of the words read by themselves. Everything else is as in
    `WeightedSum`: weights, negatives (their words are read together with the pictures not wanted),
    and the pictures' own share. In the paper both shares are 0. Pictures alone and words alone are
    what they are there. Pictures of different weights get a sentence each instead of sharing one,
    and these count by their weights.
    """

    reads_lengths = True
    reads_together = True

    def __init__(
        self,
        encoder: PseudoTextEncoder,
        phi: PseudoWords,
        *,
        prompt: str = PROMPT,
        picture_weight: float = 0.0,
        words_weight: float = 0.0,
        is_default: bool = True,
        name: str = "lincir",
    ) -> None:
        """
        Args:
            prompt: see `Prompt`.
            picture_weight: share of the pictures' own vectors.
            words_weight: share of the words by themselves, m above.
            is_default: whether it did better than the sum on validation data, as its card says.
        """
        super().__init__(encoder, picture_weight, name=name)
        self.phi, self.prompt, self.is_default = phi, Prompt(prompt), is_default
        self.words_weight = words_weight
        self._reader = encoder
        self.tokens = phi.width // encoder.token_width  # pseudo words for one picture

    @property
    def settings(self) -> Mapping[str, Any]:
        """What its figures depend on."""
        return {
            "prompt": self.prompt.text,
            "tokens": self.tokens,
            "words_weight": self.words_weight,
        }

    def read_by(self, encoder: Any) -> "LinCIR":
        """The same, whose words by themselves another encoder reads."""
        other = copy(self)
        other.encoder = encoder
        return other

    def words_of(
        self,
        groups: Sequence[Sequence[str]],
        pictures: Sequence[Vectors],
        weights: Sequence[Sequence[float]],
    ) -> list[Vectors]:
        """See `WeightedSum.words_of`. Those beside pictures are read in one call."""
        both = [place for place, group in enumerate(groups) if len(group) and len(pictures[place])]
        together = set() if self.words_weight else {*both}
        alone = [() if place in together else group for place, group in enumerate(groups)]
        found = super().words_of(alone, pictures, weights)
        if not both:
            return found
        sentences: list[tuple[str, ...]] = []
        words: list[Vectors] = []
        shares: list[float] = []
        firsts: list[int] = []  # of each text's sentences
        for place in both:
            bundles = self._bundles(pictures[place], weights[place])
            for text in groups[place]:
                firsts.append(len(sentences))
                for seen, share in bundles:
                    count = len(seen) // self.tokens
                    sentences.append(self.prompt.pieces(text, pictures=count, tokens=self.tokens))
                    words.append(seen)
                    shares.append(share)
        vectors = self._reader.encode_with(sentences, np.concatenate(words))
        weighed = vectors * np.array(shares, np.float32)[:, None]
        summed = unit(np.add.reduceat(weighed, firsts))
        ends = np.cumsum([len(groups[place]) for place in both])
        for place, vectors in zip(both, np.split(summed, ends[:-1]), strict=True):
            found[place] = self._mixed(vectors, found[place])
        return found

    def _mixed(self, together: Vectors, alone: Vectors) -> Vectors:
        """Words read with the pictures [T, dim], and by themselves, if that is wanted."""
        if not self.words_weight:
            return together
        return unit((1 - self.words_weight) * together + self.words_weight * alone)

    @cached_property
    def _phi(self) -> PseudoWords:
        """φ, which knows how long vectors are where its file does not say so."""
        known = self.phi.unit or self.phi.length is not None
        return self.phi if known else replace(self.phi, length=mean_length(self._reader))

    def _bundles(self, pictures: Vectors, weights: Sequence[float]) -> list[tuple[Vectors, float]]:
        """What each sentence about these pictures holds, [R * tokens, width], and its share."""
        words = self._phi(pictures).reshape(len(pictures), self.tokens, -1)
        if len(weights) != len(pictures) or len({*weights}) == 1:
            return [(words.reshape(-1, words.shape[2]), 1.0)]
        return list(zip(words, weights, strict=True))
