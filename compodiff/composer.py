"""CompoDiff at query time: a picture, words and a mask become the vector that is searched for."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from compodiff.conditions import Texts, Trained
from compodiff.config import ComposerOptions
from vretr.composers import NEGATIVE_WEIGHT, NOTHING, Negatives, Vectors, WeightedSum, Weights
from vretr.encoders import Encoder
from vretr.encoders.base import unit
from vretr.errors import UsageError
from vretr.images.masked import Mask, resized

if TYPE_CHECKING:
    from compodiff.making import Maker

AGAINST = 2.0
"""Guidance of the words beside words that are not wanted, where the Run's own is less: at 1 they do
nothing, and at 2 they halve what is not wanted in the small world of benchmarks."""


@dataclass(frozen=True)
class _Asked:
    """A query as the network reads it."""

    image: Vectors  # [dim], unit, or zero where there is none
    text: str
    negative: str
    mask: Mask | None
    guidance: tuple[float, float]


class CompoDiff:
    """A diffusion prior as a Composer.

    Several pictures count as their weighted mean, several texts as one sentence. Words that are not
    wanted take the place of the empty text in guidance; pictures that are not wanted are taken away
    from the result, as in `WeightedSum`. Pictures alone are what they are there: nothing is to be
    made anew. Words alone are made into a picture's vector.
    """

    reads_masks = reads_together = True

    def __init__(
        self,
        encoder: Encoder,
        trained: Trained,
        maker: "Callable[[], Maker]",
        *,
        options: ComposerOptions | None = None,
        picture_weight: float | None = None,
        texts: Texts | None = None,
        name: str = "compodiff",
    ) -> None:
        """
        Args:
            trained: what the Run says.
            maker: loads the network, when it is first needed.
            picture_weight: share of the picture's own vector; None: that of options or Run.
            texts: reads the words, if the encoder does not.
        """
        self.encoder, self.trained, self.name = encoder, trained, name
        self.options = options or ComposerOptions()
        self.texts = texts or Texts(encoder, trained.text)
        self._load = maker
        chosen = (picture_weight, self.options.mix, trained.mix)
        self.picture_weight = next(share for share in chosen if share is not None)
        self._pictures = WeightedSum(encoder, 1.0)
        self.guidance = (
            _or(self.options.guidance_image, trained.guidance[0]),
            _or(self.options.guidance_text, trained.guidance[1]),
        )
        self.steps = int(_or(self.options.steps, trained.steps))

    @property
    def is_default(self) -> bool:
        """Whether it did better on validation data than what composes without training."""
        return self.trained.default

    @property
    def settings(self) -> Mapping[str, Any]:
        """What its figures depend on."""
        return {
            "steps": self.steps,
            "guidance_image": self.guidance[0],
            "guidance_text": self.guidance[1],
            "eta": self.options.eta,
            "seed": self.options.seed,
            "samples": self.options.samples,
        }

    def compose(
        self,
        references: Vectors,
        texts: Sequence[str],
        negatives: Negatives = NOTHING,
        *,
        weights: Weights | None = None,
        mask: Mask | None = None,
    ) -> Vectors:
        """See `Composer.compose`."""
        return self.compose_batch(
            [references], [texts], [negatives], weights=[weights], masks=[mask]
        )[0]

    def compose_batch(
        self,
        references: Vectors | Sequence[Vectors],
        texts: Sequence[Sequence[str]],
        negatives: Sequence[Negatives] | None = None,
        *,
        weights: Sequence[Weights | None] | None = None,
        masks: Sequence[Mask | None] | None = None,
    ) -> Vectors:
        """See `Composer.compose_batch`.

        Raises:
            UsageError: nothing is asked, words that are wanted and not wanted, or a condition that
                the network was never trained with.
        """
        count = len(texts)
        vectors = np.zeros((count, self.encoder.dim), np.float32)
        negatives = negatives or [NOTHING] * count
        of_each = zip(
            references, texts, negatives, weights or [None] * count, masks or [None] * count,
            strict=True,
        )  # fmt: skip
        groups: dict[tuple[float, float], dict[int, _Asked]] = defaultdict(dict)
        for number, (pictures, words, unwanted, weight, mask) in enumerate(of_each):
            weight = weight or Weights()
            if words or unwanted.texts or mask is not None:
                asked = self._asked(pictures, words, unwanted, weight, mask)
                groups[asked.guidance][number] = asked
            else:
                vectors[number] = self._pictures.compose(pictures, (), unwanted, weights=weight)
        for guidance, group in groups.items():
            vectors[[*group]] = self._made([*group.values()], guidance)
            for number in group:
                if len(not_wanted := negatives[number].references):
                    weight = (weights or [None] * count)[number]
                    away = self._mean(not_wanted, weight, negative=True)
                    vectors[number] = unit(vectors[number] - NEGATIVE_WEIGHT * away)
        return vectors

    def _asked(
        self,
        pictures: Vectors,
        words: Sequence[str],
        unwanted: Negatives,
        weights: Weights,
        mask: Mask | None,
    ) -> _Asked:
        _check(words, unwanted.texts, weights)
        if mask is not None and len(pictures) != 1:
            raise UsageError(f"A mask belongs to one picture, and there are {len(pictures)}.")
        image = np.zeros(self.encoder.dim, np.float32)
        if len(pictures):
            image = self._mean(pictures, weights)
        guidance = self.guidance
        if unwanted.texts and self.options.guidance_text is None:
            guidance = (guidance[0], max(guidance[1], AGAINST))
        self.trained.require(
            image=len(pictures) > 0,
            negative=len(unwanted.texts) > 0,
            mask=mask is not None,
            guidance=guidance,
        )
        if unwanted.texts:
            from compodiff.guidance import warn_of_unheard_words

            warn_of_unheard_words(guidance)
        return _Asked(image, " and ".join(words), ", ".join(unwanted.texts), mask, guidance)

    def _mean(
        self, pictures: Vectors, weights: Weights | None, *, negative: bool = False
    ) -> Vectors:
        weights = weights or Weights()
        own = weights.negative_references if negative else weights.references
        return self._pictures.compose(pictures, (), weights=Weights(references=own))

    def _made(self, asked: Sequence[_Asked], guidance: tuple[float, float]) -> Vectors:
        """The vectors [B, dim] of queries with one guidance."""
        image = np.stack([each.image for each in asked])
        said = [each.text for each in asked]
        distinct = [*dict.fromkeys((*said, *(each.negative for each in asked)))]
        read = dict(zip(distinct, self.texts(distinct), strict=True))
        side = int(self.trained.prior["mask_size"] or 0)
        mask = np.zeros((len(asked), side, side), np.float32)
        for row, each in zip(mask, asked, strict=True):
            if each.mask is not None:
                row[:] = resized(each.mask, side)
        found = self._maker(
            image=image * self._maker.scale,
            text=np.stack([read[text] for text in said]),
            negative=np.stack([read[each.negative] for each in asked]),
            mask=mask,
            guidance=guidance,
            steps=self.steps,
            eta=self.options.eta,
            seed=self.options.seed,
            samples=self.options.samples,
        )
        share = np.where(image.any(1), self.picture_weight, 0)[:, None]
        return unit((1 - share) * unit(found) + share * image)

    @cached_property
    def _maker(self) -> "Maker":
        return self._load()


def _check(words: Sequence[str], unwanted: Sequence[str], weights: Weights) -> None:
    """Raises UsageError for words that are empty, wanted and not wanted, or weighed."""
    if not all(text.strip() for text in (*words, *unwanted)):
        raise UsageError("There are no words in one of the texts.")
    plain = {text.strip().casefold() for text in words}
    if both := [text for text in unwanted if text.strip().casefold() in plain]:
        raise UsageError(f"{both[0]!r} is wanted and not wanted at once: leave out one of the two.")
    if {*weights.texts, *weights.negative_texts} - {1.0}:
        raise UsageError(
            "CompoDiff reads its words as one sentence and takes no weights for them: "
            "--composer-option guidance-text=2 makes all of them count more."
        )


def _or(given: float | None, default: float) -> float:
    return default if given is None else given
