"""What leads the network, as it is trained and asked: words, and what a Run says of itself.

No torch, so that a query may look at a Run before it needs the network.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from vretr.data.features import text_features
from vretr.data.token_features import token_features
from vretr.encoders import Encoder
from vretr.encoders.base import TellsTokens
from vretr.errors import MismatchError, UsageError

log = logging.getLogger(__name__)

Kind = Literal["tokens", "vector"]
Vectors = NDArray[np.float32]


class Rows(Protocol):
    """Texts that were read; those that are asked for come as float32 [N, L, W]."""

    def __getitem__(self, rows: NDArray[np.int64]) -> Vectors: ...


@dataclass(frozen=True)
class Texts:
    """Sentences as the network reads them, float32 [B, L, width]."""

    encoder: Encoder
    kind: Kind = "tokens"

    @classmethod
    def of(cls, encoder: Encoder, kind: Kind) -> "Texts":
        """By their tokens, where the encoder tells these.

        Raises:
            UsageError: the encoder reads no words.
        """
        if not encoder.reads_text:
            raise UsageError(f"{encoder.name} reads no words, which CompoDiff needs.")
        if kind == "tokens" and not isinstance(encoder, TellsTokens):
            log.warning(
                "%s does not tell what it makes of single tokens: its text vector is one token.",
                encoder.name,
            )
            kind = "vector"
        return cls(encoder, kind)

    @property
    def width(self) -> int:
        """Of one token."""
        if self.kind == "tokens" and isinstance(self.encoder, TellsTokens):
            return self.encoder.token_states_width
        return self.encoder.dim

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Sentences -> float32 [B, L, width]."""
        if self.kind == "tokens" and isinstance(self.encoder, TellsTokens):
            return self.encoder.token_states(texts)
        return self.encoder.encode_texts(texts)[:, None]

    def features(self, texts: Sequence[str], *, variant: str = "") -> Rows:
        """The same, kept on disk."""
        if self.kind == "tokens":
            return token_features(self.encoder, texts, variant=variant)
        return text_features(self.encoder, texts, variant=variant)[:, None]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a Run says of its network.

    Attributes:
        prior: what `Prior` is made from.
        text: how words are read.
        scale: length of the vectors that the network works with.
        normalise: whether they were all brought to that length, or it is only what they mostly have
            (of the released network, whose pictures were as long as the tower made them).
        tasks: those it was trained on.
        drops: shares of rows without text, image, both.
        guidance: w_I and w_T that did best on triplets kept out.
        steps: calls of the network.
        mix: share of the picture's own vector.
        default: whether it did better than the sum and LinCIR on validation data.
    """

    prior: Mapping[str, int | None]
    text: Kind = "tokens"
    scale: float = 1.0
    normalise: bool = True
    tasks: tuple[str, ...] = ()
    drops: Mapping[str, float] = field(default_factory=dict)
    guidance: tuple[float, float] = (1.0, 1.0)
    steps: int = 2
    mix: float = 0.0
    default: bool = False

    @classmethod
    def read(cls, about: Mapping[str, Any], what: str) -> "Trained":
        """From the header of a file.

        Raises:
            MismatchError: it says nothing of CompoDiff, or what this version does not know.
        """
        try:
            said = dict(about["compodiff"])
            return cls(
                **{**said, "tasks": tuple(said["tasks"]), "guidance": tuple(said["guidance"])}
            )
        except (KeyError, TypeError, ValueError) as problem:
            raise MismatchError(f"{what} does not say how its CompoDiff was trained.") from problem

    def said(self) -> dict[str, Any]:
        """As plain values, for the header of a file."""
        return asdict(self) | {"tasks": [*self.tasks], "guidance": [*self.guidance]}

    @property
    def without_text(self) -> bool:
        """Whether it was trained on rows without words."""
        return self.drops.get("text", 0) + self.drops.get("both", 0) > 0

    @property
    def without_image(self) -> bool:
        """Whether it was trained on rows without a picture."""
        lost = self.drops.get("image", 0) + self.drops.get("both", 0)
        return "t2i" in self.tasks or lost > 0

    @property
    def with_image(self) -> bool:
        """Whether it was trained on rows with a picture."""
        return bool({"triplet", "mask"} & {*self.tasks})

    def require(
        self, *, image: bool, negative: bool, mask: bool, guidance: tuple[float, float]
    ) -> None:
        """Raises UsageError unless it was trained for such a query.

        Args:
            image, negative, mask: whether there is one of these.
            guidance: w_I, w_T.
        """
        if mask and "mask" not in self.tasks:
            raise UsageError(
                "This CompoDiff was trained without masked pictures: train one with --captions or "
                "--photos and without --triplets-only."
            )
        if image and not self.with_image:
            raise UsageError(
                "This CompoDiff was trained on words alone and knows no pictures: ask by words, or "
                "train one with --triplets."
            )
        if not image and not self.without_image:
            raise UsageError(
                "This CompoDiff was never trained without a picture: give --image, or train one "
                "with --captions or --drop-image."
            )
        if negative and not self.without_text:
            raise UsageError(
                "This CompoDiff was never trained without words, which words that are not wanted "
                "need: train one with --drop-text."
            )
        if guidance[1] != 1 and not self.without_text:
            raise UsageError(
                "This CompoDiff was never trained without words: its guidance-text must be 1."
            )
        if image and guidance[0] != 1 and not self.without_image:
            raise UsageError(
                "This CompoDiff was never trained without a picture: its guidance-image must be 1."
            )
