"""open_clip's models as encoders: two towers, each built when first used.

Pictures never pay for the text tower: it is not built, and of a safetensors file it is not read.
"""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from open_clip import model as towers
from torch import Tensor, nn

from vretr.encoders.base import unit
from vretr.encoders.blueprint import blueprint
from vretr.encoders.names import Precision, Spec
from vretr.encoders.pixels import normalised
from vretr.encoders.precision import computing, lower, pick_device, pick_dtype
from vretr.encoders.tensors import Renamed, load_strictly, open_tensors, remembered_digest
from vretr.encoders.texts import Texts, check_words, require_pseudo_words, texts_of
from vretr.errors import VretrError
from vretr.images import Preprocessing

if TYPE_CHECKING:
    from vretr.encoders.base import Images

log = logging.getLogger(__name__)

SEED = 0  # of random weights
TEXTS_AT_ONCE = 256

# In files of the older format the text tower's tensors stand beside `visual`, not in `text`.
_OLD_TEXT = {"token_embedding", "positional_embedding", "transformer", "ln_final"}
_OLD_TEXT |= {"text_projection"}
# No tower's: the scale and bias of training's logits, CoCa's captions, sizes in OpenAI's files.
_NEITHER = {"logit_scale", "logit_bias", "text_decoder"}
_NEITHER |= {"input_resolution", "context_length", "vocab_size"}


class OpenClip:
    """A PseudoTextEncoder around one model of open_clip.

    Raises:
        UsageError: weights of another activation; no such device or precision.
        VretrError: weights that are not here, damaged, or do not fit the architecture.
    """

    reads_text = True

    def __init__(self, spec: Spec, *, device: str = "auto", precision: Precision = "auto") -> None:
        self.name = spec.name
        self._device = pick_device(device)
        self._dtype = pick_dtype(precision, self._device)
        self._design = blueprint(spec)
        if self._design.weights is None:
            log.warning("The weights of %s are random: for tests and timing only.", spec.name)

    @property
    def dim(self) -> int:
        """Length of its vectors."""
        return self._design.model["embed_dim"]

    @property
    def token_width(self) -> int:
        """Length of one token embedding."""
        return require_pseudo_words(self._texts, self.name).token_width

    @property
    def preprocessing(self) -> Preprocessing:
        """How the weights want their pictures."""
        return self._design.preprocessing

    @cached_property
    def identity(self) -> str:
        """Digest of the tensors, the architecture (pooling, activation) and the preprocessing."""
        if path := self._design.weights:
            weights = remembered_digest(path, lambda: _parts(open_tensors(path)))
        else:  # what the seed decides is known without building it
            weights = f"seed {SEED}, open_clip {open_clip.__version__}, torch {torch.__version__}"
        model = json.dumps(self._design.model, sort_keys=True)
        whole = "\n".join([weights, model, self.preprocessing.describe()])
        return hashlib.blake2b(whole.encode(), digest_size=16).hexdigest()

    def encode_images(self, images: "Images") -> NDArray[np.float32]:
        """Pictures or uint8 pixels [B, 3, S, S] -> float32 [B, dim], unit length."""
        pixels = normalised(images, self.preprocessing, self._device)
        if not len(pixels):
            return np.empty((0, self.dim), np.float32)
        with torch.inference_mode(), computing(self._device, self._dtype):
            output = self._image_tower(pixels)
        vectors = output[0] if isinstance(output, tuple) else output  # CoCa gives tokens as well
        return unit(vectors.float().cpu().numpy())

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Sentences -> float32 [B, dim], unit length; what exceeds the context is left out."""
        parts = [np.empty((0, self.dim), np.float32)]
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            with torch.inference_mode(), computing(self._device, self._dtype):
                vectors = self._texts.read(list(texts[start : start + TEXTS_AT_ONCE]))
            parts.append(unit(vectors.float().cpu().numpy()))
        return np.concatenate(parts)

    def embed_with(self, prompts: Sequence[str], slots: Tensor) -> Tensor:
        """Sentences with K places `$` each; `slots` [B, K, token_width] stand there -> [B, dim].

        Differentiable with respect to `slots`. Not scaled to unit length: LinCIR's loss compares
        what the tower itself gives.

        Raises:
            UsageError: a prompt with another number of places; a text tower that is not CLIP's.
        """
        texts = require_pseudo_words(self._texts, self.name)
        wanted = (len(prompts), slots.shape[1], texts.token_width)
        if tuple(slots.shape) != wanted:
            raise ValueError(f"slots are [B, K, width] = {list(wanted)}, not {list(slots.shape)}")
        with computing(self._device, self._dtype):
            return texts.read_with(prompts, slots).float()

    @cached_property
    def _image_tower(self) -> nn.Module:
        config = {**self._design.model["vision_cfg"], "timm_model_pretrained": False}
        tower = self._built(towers._build_vision_tower, config, "visual.")
        if "timm_model_name" in config:
            from timm.utils import reparameterize_model

            tower = reparameterize_model(tower)  # MobileCLIP: branches become one convolution
        return self._placed(tower).to(memory_format=torch.channels_last)

    @cached_property
    def _texts(self) -> Texts:
        check_words(self._design)
        config = {**self._design.model["text_cfg"], "hf_model_pretrained": False}
        tower = self._placed(self._built(towers._build_text_tower, config, "text."))
        return texts_of(tower, self._design)

    def _built(self, build: Any, config: Mapping[str, Any], part: str) -> nn.Module:
        """One tower with its weights; random ones depend on the seed alone, not on the order.

        Weights made in inference mode could never take part in a gradient, `embed_with`'s say.
        """
        model = self._design.model
        with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            tower: nn.Module = build(model["embed_dim"], config, model.get("quick_gelu", False))
        if path := self._design.weights:
            parts = _parts(open_tensors(path))
            names = {name.removeprefix(part): name for name in parts if name.startswith(part)}
            load_strictly(tower, Renamed(parts, names), what=self.name)
        return tower

    def _placed(self, tower: nn.Module) -> nn.Module:
        return lower(tower.eval().requires_grad_(False), self._dtype).to(self._device)


def _parts(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors of both towers, as `visual.` and `text.`, whichever form the file has.

    Raises:
        VretrError: a tensor that belongs to no part of an open_clip model.
    """
    names = {}
    for name in tensors:
        first = name.partition(".")[0]
        if name.endswith("embeddings.position_ids") or first in _NEITHER:
            continue  # the former were written by older versions of transformers
        if first not in {"visual", "text"} | _OLD_TEXT:
            raise VretrError(f"These are not open_clip's weights: it has no tensor {name}.")
        names[f"text.{name}" if first in _OLD_TEXT else name] = name
    return Renamed(tensors, names)
