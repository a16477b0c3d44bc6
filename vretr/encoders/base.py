"""What an encoder is. Imports no torch, so that a query can be answered without it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from vretr.encoders.prompts import Pieces, Prompts
from vretr.images import Preprocessing

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    Images = Sequence[Image] | NDArray[np.uint8] | Tensor


@runtime_checkable
class Encoder(Protocol):
    """Turns pictures, and perhaps words, into unit vectors of one space.

    `encode_images` takes PIL pictures (any mode, EXIF orientation already applied), or uint8 pixels
    [B, 3, S, S] as `preprocessing` makes them (NumPy or torch, any strides). It returns
    float32 [B, dim] of unit length. Towers are loaded when first used: an encoder that only reads
    words never pays for its image tower.
    """

    @property
    def name(self) -> str:
        """The name it was asked for by; `load_encoder(name)` gives it again."""

    @property
    def dim(self) -> int:
        """Length of its vectors."""

    @property
    def identity(self) -> str:
        """Digest of weights, preprocessing and pooling: equal identity means equal vectors up to
        rounding, whatever the dtype, device or batch."""

    @property
    def reads_text(self) -> bool:
        """Whether `encode_texts` works; if not, it raises UsageError."""

    @property
    def preprocessing(self) -> Preprocessing:
        """How a picture becomes the pixels that the image tower takes."""

    def encode_images(self, images: "Images") -> NDArray[np.float32]:
        """Pictures -> float32 [B, dim], unit length."""

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Sentences -> float32 [B, dim], unit length."""


@runtime_checkable
class PseudoTextEncoder(Encoder, Protocol):
    """An encoder whose sentences may hold pseudo words: vectors that stand where a token would.

    A sentence is given in pieces, see `vretr.encoders.prompts`. A pseudo word replaces the raw
    embedding of a token, before its position is added (Gu et al. 2024, LinCIR, arXiv:2312.01998).
    How the text tower pools (end token or mean) is its own business.
    """

    @property
    def token_width(self) -> int:
        """Length of one token embedding."""

    @property
    def context(self) -> int:
        """Most tokens of a sentence, start and end included."""

    def prompts(self, sentences: Sequence[Pieces]) -> Prompts:
        """Sentences in pieces -> their tokens. Of one that is too long the last words are left out,
        never a place, with a warning, once."""

    def embed(self, prompts: Prompts, words: "Tensor | None" = None) -> "Tensor":
        """Sentences -> Tensor float32 [B, dim], as the tower gives it, differentiable in `words`.

        Args:
            prompts: B sentences with P places; cut or padded as the tower wants it.
            words: [P, token_width], what stands in the places; None where there are no places.
        """

    def encode_with(
        self, sentences: Sequence[Pieces], words: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Sentences in pieces, and what stands between them -> float32 [B, dim], unit length.

        Without torch wherever `encode_texts` does without.

        Args:
            sentences: B sentences with P places in all.
            words: [P, token_width], sentence by sentence, from left to right.
        """


@runtime_checkable
class KeepsLengths(Protocol):
    """Of an encoder: it also tells how long its image tower makes a vector."""

    def project_images(self, images: "Images") -> NDArray[np.float32]:
        """Pictures -> float32 [B, dim] as the tower gives them; scaled to length 1 they are what
        `encode_images` gives."""


@runtime_checkable
class TellsTokens(Protocol):
    """Of an encoder: it also tells what its text tower makes of every token of a sentence."""

    @property
    def token_states_width(self) -> int:
        """Length of the state of one token."""

    def token_states(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Sentences -> [B, L, token_states_width], the tower's last hidden states.

        L is the same for every sentence: longer ones are cut. What stands behind a shorter one is
        the tower's business, and always the same.
        """


@runtime_checkable
class PreparesTexts(Protocol):
    """Of an encoder: it can make ready, once, what lets it read words without importing torch."""

    def prepare_texts(self) -> bool:
        """Whether words are now read without torch. Cheap where they were before."""


def unit(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """Rows scaled to length 1 as float32; a zero row stays zero rather than becoming NaN."""
    vectors = np.asarray(vectors, dtype=np.float32)
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(length, np.finfo(np.float32).tiny)
