"""The two towers of an open_clip model, built and filled. Importing this imports open_clip."""

from collections.abc import Mapping
from typing import Any

import torch
from open_clip import model as towers
from torch import Tensor, nn

from vretr.encoders.blueprint import SEED, Blueprint
from vretr.encoders.tensors import Renamed, load_strictly, open_tensors
from vretr.errors import VretrError

# In files of the older format the text tower's tensors stand beside `visual`, not in `text`.
_OLD_TEXT = {"token_embedding", "positional_embedding", "transformer", "ln_final"}
_OLD_TEXT |= {"text_projection"}
# No tower's: the scale and bias of training's logits, CoCa's captions, sizes in OpenAI's files.
_NEITHER = {"logit_scale", "logit_bias", "text_decoder"}
_NEITHER |= {"input_resolution", "context_length", "vocab_size"}


def image_tower(design: Blueprint, *, name: str) -> nn.Module:
    """Pixels to vectors, in float32 on the processor; `name` is what errors call the model.

    Raises:
        VretrError: weights that are damaged or do not fit.
    """
    config = {**design.model["vision_cfg"], "timm_model_pretrained": False}
    tower = _built(design, towers._build_vision_tower, config, part="visual.", name=name)
    if "timm_model_name" in config:
        from timm.utils import reparameterize_model

        tower = reparameterize_model(tower)  # MobileCLIP: branches become one convolution
    return tower


def text_tower(design: Blueprint, *, name: str) -> nn.Module:
    """Token ids to vectors, likewise."""
    config = {**design.model["text_cfg"], "hf_model_pretrained": False}
    return _built(design, towers._build_text_tower, config, part="text.", name=name)


def _built(
    design: Blueprint, build: Any, config: Mapping[str, Any], *, part: str, name: str
) -> nn.Module:
    """One tower with its weights; random ones depend on the seed alone, not on the order.

    Weights made in inference mode could never take part in a gradient, `embed`'s say.
    """
    model = design.model
    with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        tower: nn.Module = build(model["embed_dim"], config, model.get("quick_gelu", False))
    if path := design.weights:
        parts = both_parts(open_tensors(path))
        names = {found.removeprefix(part): found for found in parts if found.startswith(part)}
        load_strictly(tower, Renamed(parts, names), what=name)
    return tower.eval().requires_grad_(False)


def both_parts(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
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
