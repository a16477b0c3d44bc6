"""The released network, `navervision/CompoDiff-Aesthetic`, from its file.

Its pictures are the projections of OpenAI's ViT-L/14 as long as they are (scale 1, not normalised),
its words the last hidden states of OpenCLIP's ViT-bigG/14, padded to 77 tokens; its vectors are
made by the sampler's original form.
"""

import logging
import math
import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from compodiff.model import Prior
from vretr.encoders.tensors import Renamed, load_strictly, open_tensors
from vretr.errors import MismatchError, VretrError
from vretr.paths import display

log = logging.getLogger(__name__)

PICTURES = "openai/clip-vit-large-patch14"
WORDS = "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k"
SCALE = 1.0

_NAMES = {  # theirs -> ours; {} is a number
    "to_text_embeds.0": "text",
    "to_time_embeds.0.1.net.0.0": "time.0",
    "to_time_embeds.0.1.net.1.0": "time.2",
    "to_time_embeds.0.1.net.2": "time.4",
    "to_mask_embeds.1.net.0.0": "mask.0",
    "to_mask_embeds.1.net.1.0": "mask.2",
    "to_mask_embeds.1.net.2": "mask.4",
    "transformer.rel_pos_bias.relative_attention_bias.weight": "distances",
    "transformer.layers.{}.0": "blocks.{}.attention",
    "transformer.layers.{}.1": "blocks.{}.cross",
    "transformer.layers.{}.2.0": "blocks.{}.feed.norm",
    "transformer.layers.{}.2.1": "blocks.{}.feed.widen",
    "transformer.layers.{}.2.5": "blocks.{}.feed.narrow",
    "transformer.norm": "norm",
    "transformer.project_out": "out",
}
_PARTS = {
    ".null_kv": ".null",
    ".norm.g": ".norm.gain",
    ".to_out.0.weight": ".out.weight",
    ".to_out.1.g": ".out_norm.gain",
    ".g": ".gain",
}
_COMPUTED = re.compile(r"noise_scheduler\.|(^|\.)rotary_emb\.")
"""Buffers that follow from formulas. An old loader turns `betas` into `biass`; none is read."""

_ANCHOR = "transformer.project_out.weight"


def read_released(path: Path) -> Prior:
    """The network of a released file, safetensors or torch's format, or of the folder it lies in.

    Raises:
        MismatchError: it is not in the released layout.
        VretrError: it is missing or damaged.
    """
    if path.is_dir():
        known = ("model.safetensors", "pytorch_model.bin")
        path = next((path / name for name in known if (path / name).exists()), path / known[0])
    tensors = open_tensors(path)
    try:
        prior = from_released(tensors)
    except VretrError as problem:
        raise MismatchError(f"{display(path)} is no released CompoDiff: {problem}") from problem
    log.warning(
        "%s: this is not the paper's model, but one of its authors' for art pictures (pictures by "
        "CLIP ViT-L/14, words by OpenCLIP ViT-bigG/14, averaged weights of step 710,000): the "
        "paper's figures are not to be expected of it.",
        display(path),
    )
    return prior


def from_released(tensors: Mapping[str, Tensor]) -> Prior:
    """The network of a released state dict, whatever prefix its names have (`model.net.`).

    Raises:
        VretrError: tensors are missing, unknown or of other shapes.
    """
    anchors = [name for name in tensors if name.endswith(_ANCHOR)]
    if len(anchors) != 1:
        raise MismatchError(f"it has {len(anchors)} tensors named {_ANCHOR}.")
    prefix = anchors[0].removesuffix(_ANCHOR)
    names = {
        our_name(name.removeprefix(prefix)): name for name in tensors if not _COMPUTED.search(name)
    }
    ours = Renamed(tensors, names)
    prior = Prior(**_settings(ours))
    load_strictly(prior, ours, what="CompoDiff's network")
    return prior.eval()


def our_name(name: str) -> str:
    """`transformer.layers.3.1.to_out.1.g` -> `blocks.3.cross.out_norm.gain`.

    Raises:
        MismatchError: there is nothing of that name in the network.
    """
    for theirs, ours in _NAMES.items():
        pattern = re.escape(theirs).replace(r"\{\}", r"(\d+)")
        if found := re.match(rf"{pattern}(?=\.|$)(.*)", name):
            *number, rest = found.groups()
            start = ours.format(*number)
            part = next((part for part in _PARTS if rest == part), None)
            return start + (_PARTS[part] if part else rest)
    raise MismatchError(f"it has an unknown tensor {name}.")


def _settings(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """What `Prior` is made from, by shapes."""
    try:
        head_dim = tensors["blocks.0.attention.null"].shape[1]
        return {
            "dim": tensors["out.weight"].shape[0],
            "depth": sum(name.endswith(".attention.null") for name in tensors),
            "heads": tensors["distances"].shape[1],
            "head_dim": head_dim,
            "cross_heads": tensors["blocks.0.cross.to_q.weight"].shape[0] // head_dim,
            "text_width": tensors["text.weight"].shape[1],
            "mask_size": math.isqrt(tensors["mask.0.weight"].shape[1]),
        }
    except KeyError as lacking:
        raise MismatchError(f"it lacks {lacking}.") from lacking
