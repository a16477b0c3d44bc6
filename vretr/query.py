"""A query: pictures and words, wanted and not. `vretr.searcher` answers it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Literal

from vretr import masks
from vretr.composers import Weights
from vretr.errors import UsageError
from vretr.paths import display

TERMS = ("text", "image", "not_text", "not_image")
AUTO: Literal["auto"] = "auto"


@dataclass(frozen=True, kw_only=True)
class Query:
    """What is asked: the options of `vretr query` by their names.

    A list of weights is as long as the list of its terms, or empty for all 1.

    Raises:
        UsageError: nothing is asked, or a value is impossible.
        TypeError: one term was given where a list of them belongs.
    """

    text: Sequence[str] = ()
    image: Sequence[Path] = ()
    not_text: Sequence[str] = ()
    not_image: Sequence[Path] = ()
    text_weight: Sequence[float] = ()
    image_weight: Sequence[float] = ()
    not_text_weight: Sequence[float] = ()
    not_image_weight: Sequence[float] = ()
    k: int = 10
    min_score: float | Literal["auto"] | None = None  # auto: only what fits; `vretr.calibration`
    mask: Path | None = None  # of the one picture: white where it is to be another
    mask_box: masks.Box | None = None  # or left, top, width, height of that part in pixels
    filter: str | None = None  # glob on the path relative to the index's root, or on the name
    include_self: bool = False  # whether the query photo and its copies may be hits

    def __post_init__(self) -> None:
        for term in TERMS:
            terms, weights = getattr(self, term), getattr(self, f"{term}_weight")
            if isinstance(terms, str | os.PathLike):
                raise TypeError(f"{term} takes a list, not {terms!r} alone")
            option = "--" + term.replace("_", "-")
            if weights and len(weights) != len(terms):
                raise UsageError(
                    f"{len(terms)} x {option} but {len(weights)} x {option}-weight: "
                    "give one weight for each, in the same order, or none."
                )
            if not all(0 < weight < float("inf") for weight in weights):
                raise UsageError(f"{option}-weight must be a positive number.")
        if not (self.text or self.image or self.not_text or self.not_image):
            raise UsageError("Nothing is asked: give --text, --image, --not-text or --not-image.")
        for words in (*self.text, *self.not_text):
            if not words.strip():
                raise UsageError("There are no words in one of the texts.")
            if any("\ud800" <= letter <= "\udfff" for letter in words):
                raise UsageError(f"The text {display(words)} is not UTF-8.")
        if self.masked:
            self._check_mask()
        if self.k < 1:
            raise UsageError(f"-k must be at least 1, not {self.k}.")
        if isinstance(self.min_score, str) and self.min_score != AUTO:
            raise UsageError(f"--min-score must be a number or auto, not {self.min_score!r}.")
        if isinstance(self.min_score, float) and isnan(self.min_score):
            raise UsageError("--min-score must be a number or auto.")

    @property
    def composed(self) -> bool:
        """Whether pictures and words come together in it."""
        return bool((self.image and self.text) or (self.not_image and self.not_text))

    @property
    def masked(self) -> bool:
        """Whether a part of the picture is to be another."""
        return self.given_mask is not None

    @property
    def given_mask(self) -> masks.Given | None:
        """The mask, as a file or a box."""
        return self.mask if self.mask is not None else self.mask_box

    def _check_mask(self) -> None:
        if self.mask is not None and self.mask_box is not None:
            raise UsageError("Give --mask or --mask-box, not both.")
        if len(self.image) != 1:
            raise UsageError(
                f"A mask belongs to one picture, and there are {len(self.image)}: give one --image."
            )
        if self.mask_box is not None and not (
            len(self.mask_box) == 4 and self.mask_box[2] > 0 and self.mask_box[3] > 0
        ):
            raise UsageError(
                "--mask-box is left,top,width,height in pixels, as in 10,20,100,50, not "
                f"{','.join(map(str, self.mask_box))}."
            )

    @property
    def weights(self) -> Weights:
        """As a Composer takes them."""
        return Weights(
            references=self.image_weight,
            texts=self.text_weight,
            negative_references=self.not_image_weight,
            negative_texts=self.not_text_weight,
        )
