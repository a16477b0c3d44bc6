"""`Lite`: the towers and the heads as an Encoder. Only gradients and GPUs need torch."""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vretr.encoders.lite.files import PINNED
from vretr.encoders.lite.heads import CONSTANTS, SHIPPED, Heads, seen_by_heads
from vretr.encoders.lite.shape import DIM, PREPROCESSING, TEXT
from vretr.encoders.lite.text_tower import MAX_TOKENS, TextTower
from vretr.encoders.names import Precision
from vretr.encoders.prompts import Pieces, Prompts

if TYPE_CHECKING:
    from torch import Tensor

    from vretr.encoders.base import Images
    from vretr.encoders.lite.image_tower import ImageTower
    from vretr.encoders.lite.torch_texts import TorchTexts


class Lite:
    """The built-in encoder: 640 numbers, pictures at 224 pixels, English words."""

    reads_text = True
    dim = DIM
    token_width = token_states_width = TEXT
    context = MAX_TOKENS
    preprocessing = PREPROCESSING

    def __init__(
        self,
        *,
        device: str = "auto",
        precision: Precision = "auto",
        heads: Path = SHIPPED,
        weights: Path | None = None,
        name: str = "lite",
    ) -> None:
        """Reads the heads; each tower is loaded when it is first needed.

        Args:
            device: where the image tower computes; words are read on the CPU.
            precision: of the image tower.
            heads: a safetensors file of `vretr train lite`.
            weights: a folder with the towers' files instead of the packages that carry them.
            name: the name that makes this encoder again.

        Raises:
            VretrError: a file of the towers is missing or altered, when that tower is needed.
        """
        self.name = name
        self._device, self._precision, self._weights = device, precision, weights
        self._heads_path = heads
        self._heads = Heads.load(heads)

    @cached_property
    def identity(self) -> str:
        """Digest of the towers' pinned files, the heads' tensors and constants, the preprocessing.

        Not of what computes: vectors of onnxruntime on the processor and of torch on a GPU agree
        within cosine 0.999 (tests/vretr/encoders/lite/test_image_tower.py), and share an index.
        """
        digest = hashlib.sha256()
        for _, _, pin in PINNED.values():
            digest.update(pin.encode())
        for name, tensor in sorted(self._heads.tensors.items()):
            digest.update(name.encode() + tensor.tobytes())
        digest.update(CONSTANTS.tobytes() + PREPROCESSING.describe().encode())
        return f"lite-{digest.hexdigest()[:24]}"

    @cached_property
    def _text_tower(self) -> TextTower:
        return TextTower(self._weights)

    @cached_property
    def _image_tower(self) -> "ImageTower":
        from vretr.encoders.lite.image_tower import ImageTower

        return ImageTower(device=self._device, precision=self._precision, folder=self._weights)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Sentences -> float32 [B, 640], unit length."""
        if not texts:
            return np.zeros((0, DIM), np.float32)
        return self._heads.texts(self._text_tower(texts))

    def token_states(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Sentences -> float32 [B, 16, 384], MiniLM's last hidden states, before mean and heads.

        Of a longer sentence the first 16, which have seen the rest of it; zeros behind a shorter.
        """
        return self._text_tower.states(texts)

    def prompts(self, sentences: Sequence[Pieces]) -> Prompts:
        """Sentences in pieces -> their tokens; what exceeds 256 is left out, but no place.

        Raises:
            UsageError: more pseudo words than tokens are read.
        """
        return self._text_tower.prompts(sentences)

    def encode_with(
        self, sentences: Sequence[Pieces], words: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Sentences in pieces, and what stands between them -> float32 [B, 640], unit length.

        A pseudo word is a word embedding of MiniLM, before position, type and norm.

        Raises:
            UsageError: more pseudo words than tokens are read.
            ValueError: words that are not [P, 384].
        """
        prompts = self.prompts(sentences)
        prompts.check(words.shape, self.token_width)
        if not sentences:
            return np.zeros((0, DIM), np.float32)
        return self._heads.texts(self._text_tower.read(prompts, words))

    def embed(self, prompts: Prompts, words: "Tensor | None" = None) -> "Tensor":
        """Sentences, and [P, 384] to stand in their P places -> float32 [B, 640], unit length.

        Differentiable with respect to `words`; in torch, on this encoder's device.

        Raises:
            ValueError: words of another shape.
        """
        prompts.check((0, self.token_width) if words is None else words.shape, self.token_width)
        return self._torch_texts(prompts, words)

    @cached_property
    def _torch_texts(self) -> "TorchTexts":
        from vretr.encoders.lite.torch_texts import TorchTexts

        return TorchTexts(self._heads, device=self._device, folder=self._weights)

    def project_images(self, images: "Images") -> NDArray[np.float32]:
        """The same as `encode_images`: the heads know unit vectors only."""
        return self.encode_images(images)

    def encode_images(self, images: "Images") -> NDArray[np.float32]:
        """PIL pictures or uint8 pixels [B, 3, 224, 224] -> float32 [B, 640], unit length."""
        from vretr.blas import one_blas_thread
        from vretr.encoders.arrays import uint8_array

        seen = self._image_tower(uint8_array(images, PREPROCESSING))
        with one_blas_thread():
            return self._heads.images(seen_by_heads(seen), seen.probabilities)


def load(path: Path, device: str = "auto") -> Lite:
    """The encoder with the heads of a Run of `vretr train lite`."""
    return Lite(device=device, heads=path / "model.safetensors", name=str(path))
