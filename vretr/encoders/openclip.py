"""open_clip's models as encoders: two towers, each built when first used. Imports no torch itself.

Pictures never pay for the text tower: it is not built, and of a safetensors file it is not read.
Words that have been prepared (`vretr.encoders.words`) are read without torch.
"""

import logging
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vretr.encoders.base import unit
from vretr.encoders.blueprint import blueprint
from vretr.encoders.names import Precision, Spec
from vretr.encoders.precision import checked, computing, lower, pick_device, pick_dtype
from vretr.encoders.prompts import Pieces, Prompts
from vretr.encoders.tensors import open_tensors, remembered_digest
from vretr.errors import UsageError
from vretr.images import Preprocessing

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from vretr.encoders.base import Images
    from vretr.encoders.prompts import PromptTokens
    from vretr.encoders.texts import ClipTexts, Texts
    from vretr.encoders.words.prepared import Words

log = logging.getLogger(__name__)

TEXTS_AT_ONCE = 256  # also: what is worth importing torch for
TOKENS_AT_ONCE = 4096


class OpenClip:
    """A PseudoTextEncoder around one model of open_clip.

    Raises:
        UsageError: weights of another activation; no such device or precision.
        VretrError: weights that are not here, damaged, or do not fit the architecture.
    """

    reads_text = True

    def __init__(self, spec: Spec, *, device: str = "auto", precision: Precision = "auto") -> None:
        self.name = spec.name
        self._wanted = device, checked(precision)
        if device not in ("auto", "cpu"):
            pick_device(device)  # wrong ones are refused now, and not when first used
        self.design = blueprint(spec)
        if self.design.weights is None:
            log.warning("The weights of %s are random: for tests and timing only.", spec.name)

    @property
    def dim(self) -> int:
        """Length of its vectors."""
        return self.design.model["embed_dim"]

    @property
    def token_width(self) -> int:
        """Length of one token embedding.

        Raises:
            UsageError: the text tower is not CLIP's.
        """
        if (width := self.design.token_width) is None:
            raise UsageError(
                f"The text tower of {self.name} is not CLIP's: it takes no pseudo words."
            )
        return width

    @property
    def context(self) -> int:
        """Most tokens of a sentence, start and end included."""
        return self._prompts.length

    @property
    def preprocessing(self) -> Preprocessing:
        """How the weights want their pictures."""
        return self.design.preprocessing

    @cached_property
    def identity(self) -> str:
        """Digest of the tensors, the architecture (pooling, activation) and the preprocessing."""
        if known := self.design.known_identity():
            return known
        from vretr.encoders.towers import both_parts

        path = self.design.weights
        assert path is not None  # random weights are known
        weights = remembered_digest(path, lambda: both_parts(open_tensors(path)))
        return self.design.identity(weights)

    def encode_images(self, images: "Images") -> NDArray[np.float32]:
        """Pictures or uint8 pixels [B, 3, S, S] -> float32 [B, dim], unit length."""
        return unit(self.project_images(images))

    def project_images(self, images: "Images") -> NDArray[np.float32]:
        """Pictures or uint8 pixels [B, 3, S, S] -> float32 [B, dim] as the tower gives them."""
        import torch

        from vretr.encoders.pixels import normalised

        pixels = normalised(images, self.preprocessing, self._device)
        if not len(pixels):
            return np.empty((0, self.dim), np.float32)
        with torch.inference_mode(), computing(self._device, self._dtype):
            output = self._image_tower(pixels)
        vectors = output[0] if isinstance(output, tuple) else output  # CoCa gives tokens as well
        return vectors.float().cpu().numpy()

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Sentences -> float32 [B, dim], unit length; what exceeds the context is left out."""
        if not texts:
            return np.empty((0, self.dim), np.float32)
        if words := self._words_for(len(texts)):
            return words(texts)
        import torch

        parts = []
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            with torch.inference_mode(), computing(self._device, self._dtype):
                vectors = self._texts.read(list(texts[start : start + TEXTS_AT_ONCE]))
            parts.append(unit(vectors.float().cpu().numpy()))
        return np.concatenate(parts)

    @property
    def token_states_width(self) -> int:
        """Length of the state of one token; of a text tower that is not CLIP's, of its vector."""
        return self.design.token_width or self.dim

    def token_states(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Sentences -> float32 [B, context, token_states_width]: the last hidden states.

        After the last norm, before the projection, and at every place of the context (77), the
        padding's as well. A text tower that is not CLIP's tells one state, its vector.
        """
        if self.design.token_width is None:
            return self.encode_texts(texts)[:, None]
        import torch

        states = np.empty((len(texts), self.context, self.token_states_width), np.float32)
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            batch = list(texts[start : start + TEXTS_AT_ONCE])
            with torch.inference_mode(), computing(self._device, self._dtype):
                found = self._clip_texts.states(batch)
            states[start : start + len(batch)] = found.float().cpu().numpy()
        return states

    def _words_for(self, count: int) -> "Words | None":
        """Prepared words, where they are as good as torch and sooner there."""
        device, precision = self._wanted
        if "_texts" in vars(self) or count > TEXTS_AT_ONCE:
            return None
        if device not in ("auto", "cpu") or precision not in ("auto", "fp32"):
            return None
        if self._words is None:
            log.info("The words of %s are not prepared: torch reads them.", self.name)
        return self._words

    @cached_property
    def _words(self) -> "Words | None":
        from vretr.encoders.words.prepared import load

        return load(self.design)

    def prepare_texts(self) -> bool:
        """Makes words answer without torch from now on; whether they do. The log says why not.

        The first time it takes some seconds, and as much memory as the text tower in float32.

        Raises:
            VretrError: the weights cannot be read.
        """
        if self._words is None:
            from vretr.encoders.words.preparing import prepare

            log.info("The words of %s are being prepared.", self.name)
            self._words = prepare(self.design, name=self.name, identity=lambda: self.identity)
        return self._words is not None

    def prompts(self, sentences: Sequence[Pieces]) -> Prompts:
        """Sentences in pieces -> their tokens; what exceeds the context is left out, but no place.

        Raises:
            UsageError: a text tower that is not CLIP's; more pseudo words than tokens are read.
        """
        return self._prompts(sentences)

    def embed(self, prompts: Prompts, words: "Tensor | None" = None) -> "Tensor":
        """Sentences, and [P, token_width] to stand in their P places -> float32 [B, dim].

        Differentiable with respect to `words`. Not scaled to unit length: LinCIR's loss compares
        what the tower itself gives.

        Raises:
            UsageError: a text tower that is not CLIP's.
            ValueError: words of another shape.
        """
        prompts.check((0, self.token_width) if words is None else words.shape, self.token_width)
        with computing(self._device, self._dtype):
            return self._clip_texts.embed(prompts, words).float()

    def encode_with(
        self, sentences: Sequence[Pieces], words: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Sentences in pieces, and what stands between them -> float32 [B, dim], unit length.

        Raises:
            UsageError: a text tower that is not CLIP's; more pseudo words than tokens are read.
            ValueError: words of another shape.
        """
        prompts = self.prompts(sentences)
        prompts.check(words.shape, self.token_width)
        if not sentences:
            return np.empty((0, self.dim), np.float32)
        if prepared := self._words_for(len(sentences)):
            return prepared.read(prompts, words, context=self.context)
        import torch

        vectors = np.empty((len(prompts), self.dim), np.float32)
        for rows, places, part in prompts.batches(TOKENS_AT_ONCE):
            with torch.inference_mode():
                found = self.embed(part, torch.tensor(words[places]))
            vectors[rows] = unit(found.cpu().numpy())
        return vectors

    @cached_property
    def _prompts(self) -> "PromptTokens":
        """The tokenizer alone; without torch, unless the model cleans text in its own way."""
        _ = self.token_width  # refuses other text towers
        config = self.design.model["text_cfg"]
        if config.get("tokenizer_kwargs"):
            return self._clip_texts.prompts
        from vretr.encoders.words.tokens import clip_prompts

        return clip_prompts(config.get("context_length", 77))

    @cached_property
    def _device(self) -> "torch.device":
        return pick_device(self._wanted[0])

    @cached_property
    def _dtype(self) -> "torch.dtype":
        return pick_dtype(self._wanted[1], self._device)

    @cached_property
    def _image_tower(self) -> "nn.Module":
        import torch

        from vretr.encoders.towers import image_tower

        tower = self._placed(image_tower(self.design, name=self.name))
        return tower.to(memory_format=torch.channels_last)

    @cached_property
    def _texts(self) -> "Texts":
        from vretr.encoders.texts import check_words, texts_of
        from vretr.encoders.towers import text_tower

        check_words(self.design)
        return texts_of(self._placed(text_tower(self.design, name=self.name)), self.design)

    @property
    def _clip_texts(self) -> "ClipTexts":
        from vretr.encoders.texts import ClipTexts

        _ = self.token_width  # refuses other towers before they are built
        assert isinstance(self._texts, ClipTexts)
        return self._texts

    def _placed(self, tower: "nn.Module") -> "nn.Module":
        import torch

        with torch.inference_mode(False):  # as in `towers._built`: copies take part in gradients
            return lower(tower, self._dtype).to(self._device)
