"""Makes what `prepared` reads. Needs torch and open_clip, and compares its work with theirs."""

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from open_clip import tokenizer as tokenizers
from open_clip.hf_model import ClsLastHiddenStatePooler, ClsPooler, HFTextEncoder, MeanPooler
from open_clip.transformer import QuickGELU, ResidualAttentionBlock, TextTransformer
from safetensors.torch import save_file
from torch import Tensor, nn

from vretr import paths
from vretr.encoders.base import unit
from vretr.encoders.blueprint import Blueprint
from vretr.encoders.texts import check_words, tokenizer_of
from vretr.encoders.towers import text_tower
from vretr.encoders.words import prepared
from vretr.encoders.words.arrays import map_safetensors
from vretr.encoders.words.prepared import CARD, TENSORS, TOKENIZER, Words
from vretr.errors import VretrError
from vretr.paths import display

log = logging.getLogger(__name__)

CLOSE = 1e-4  # cosine distance to torch above which the words are not taken
_TRIED = (
    "a photo of a dog",
    "Two CATS & 1 dog's bed -- on a sofa_bed; 50% off!",
    "naïve café \u2019til 東京 ☃",
    "",
    "one more word " * 120,
)
_TRANSFORMERS = {"roberta": "roberta", "xlm-roberta": "roberta", "mt5": "t5", "m2m_100": "nllb"}
_ACTIVATIONS = {"gelu": "gelu", "relu": "relu", "gelu_new": "gelu_tanh"}


class Unknown(Exception):
    """Something that NumPy has not been taught; the message says what."""


def prepare(design: Blueprint, *, name: str, identity: Callable[[], str]) -> Words | None:
    """Prepares the words of a model; None where torch has to answer, and the log says why.

    Args:
        name: what messages call the model.
        identity: finds out and remembers the encoder's identity, which may read all weights.

    Raises:
        VretrError: the weights cannot be read.
    """
    identity()
    try:
        folder = prepared.folder_of(design)
        if folder is None:
            raise Unknown(f"{display(paths.home())} cannot be written")
        check_words(design)
        _write(folder, design, tower=text_tower(design, name=name), tokenizer=tokenizer_of(design))
    except (Unknown, VretrError, OSError) as reason:
        log.info("Queries in words for %s will need torch: %s.", name, str(reason).rstrip("."))
        return None
    size = prepared.size_of(folder) / 1e6
    log.info("The words of %s are prepared in %s (%.0f MB).", name, display(folder), size)
    return prepared.load(design)


def _write(folder: Path, design: Blueprint, *, tower: nn.Module, tokenizer: Any) -> None:
    """Fills the folder, which appears when it is whole and gives what torch gives."""
    state = {
        name: value for name, value in tower.state_dict().items() if value.dtype.is_floating_point
    }
    prefix = _own_prefix(design, state)
    card = {
        **_described(tower),
        "tokenizer": _tokens(tokenizer),
        "tensors": list(state),
        "prefix": prefix,
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=folder.parent) as place:
        making = Path(place) / folder.name
        making.mkdir()
        if prefix is None:
            save_file({name: value.contiguous() for name, value in state.items()}, making / TENSORS)
        if "clean" in card["tokenizer"]:
            text = tokenizer.tokenizer.backend_tokenizer.to_str()
            (making / TOKENIZER).write_text(text, encoding="utf-8")
        (making / CARD).write_text(json.dumps(card, indent=1), encoding="ascii")
        _compare(prepared.words_of(card, making, design.weights), tower, tokenizer)
        shutil.rmtree(folder, ignore_errors=True)  # where there is one, it could not be read
        os.rename(making, folder)


def _described(tower: nn.Module) -> dict[str, Any]:
    """Which family a tower is of, and its settings."""
    if isinstance(tower, TextTransformer):
        return {"family": "clip", "tower": _clip(tower)}
    if isinstance(tower, HFTextEncoder):
        return _foreign(tower)
    raise Unknown(f"{type(tower).__name__} is not known to NumPy")


def _clip(tower: TextTransformer) -> dict[str, Any]:
    block = tower.transformer.resblocks[0]
    if type(block) is not ResidualAttentionBlock:
        raise Unknown(f"blocks of the kind {type(block).__name__}")
    if tower.pool_type == "none":
        raise Unknown("a tower that does not pool")
    return {
        "heads": tower.heads,
        "activation": _activation(block.mlp.gelu),
        "eps": tower.ln_final.eps,
        "pool": tower.pool_type,
        "eos": tower.eos_id,
        "causal": tower.attn_mask is not None,
        "cls": tower.cls_emb is not None,
        "pad": tower.pad_id,
    }


def _activation(layer: nn.Module) -> str:
    if isinstance(layer, QuickGELU):
        return "quick_gelu"
    if isinstance(layer, nn.GELU):
        return "gelu_tanh" if layer.approximate == "tanh" else "gelu"
    raise Unknown(f"the activation {type(layer).__name__}")


def _foreign(tower: HFTextEncoder) -> dict[str, Any]:
    config: Any = tower.config
    family = _TRANSFORMERS.get(config.model_type)
    pool = {MeanPooler: "mean", ClsPooler: "first", ClsLastHiddenStatePooler: "first"}.get(
        type(tower.pooler)
    )
    own = family == "roberta" and isinstance(tower.pooler, ClsPooler)  # has one more layer
    if family is None or pool is None or own:
        raise Unknown(f"a {config.model_type} with {type(tower.pooler).__name__}")
    settings = {"pad": config.pad_token_id, "pool": pool}
    if family == "roberta":
        settings["heads"], settings["eps"] = config.num_attention_heads, config.layer_norm_eps
        activation = config.hidden_act
    elif family == "nllb":
        settings["heads"] = config.encoder_attention_heads
        settings["eps"] = tower.transformer.layer_norm.eps
        settings["scale"] = tower.transformer.embed_tokens.embed_scale
        activation = config.activation_function
    else:
        if not config.is_gated_act:
            raise Unknown("a T5 without gates")
        settings["heads"], settings["eps"] = config.num_heads, config.layer_norm_epsilon
        settings["buckets"] = config.relative_attention_num_buckets
        settings["farthest"] = config.relative_attention_max_distance
        activation = config.dense_act_fn
    if activation not in _ACTIVATIONS:
        raise Unknown(f"the activation {activation}")
    return {"family": family, "tower": {**settings, "activation": _ACTIVATIONS[activation]}}


def _tokens(tokenizer: Any) -> dict[str, Any]:
    """Settings of `ClipTokens` or of `FileTokens`."""
    if isinstance(tokenizer, tokenizers.SimpleTokenizer):
        plain = tokenizers.SimpleTokenizer()
        if (
            tokenizer.clean_fn is not plain.clean_fn
            or tokenizer.reduction_fn
            or tokenizer.vocab_size != plain.vocab_size
        ):
            raise Unknown("a byte-pair tokenizer with settings of its own")
        return {"length": tokenizer.context_length}
    if tokenizer.tokenizer_mode or getattr(tokenizer.tokenizer, "backend_tokenizer", None) is None:
        raise Unknown(f"the tokenizer {type(tokenizer.tokenizer).__name__}")
    tokenizer([""])  # sets length and padding, which are then written with it
    ways = {
        tokenizers._clean_canonicalize: "canonicalize",
        tokenizers._clean_lower: "lower",
        tokenizers._clean_whitespace: "whitespace",
    }
    separator = tokenizer.tokenizer.sep_token_id if tokenizer.strip_sep_token else None
    return {"clean": ways[tokenizer.clean_fn], "without": separator}


def _own_prefix(design: Blueprint, state: Mapping[str, Tensor]) -> str | None:
    """What stands before the tower's names in the model's file, if that can be mapped as it is."""
    if design.weights is None or design.weights.suffix != ".safetensors":
        return None
    for prefix in ("text.", "", "module.text.", "module."):
        found = map_safetensors(design.weights, prefix)
        if all(name in found and found[name].flags.aligned for name in state):
            return prefix
    return None


def _compare(words: Words, tower: nn.Module, tokenizer: Any) -> None:
    """Raises Unknown where NumPy and torch differ in tokens or vectors."""
    ids, _ = words.tokenizer(_TRIED)
    wanted = tokenizer(list(_TRIED))
    if not np.array_equal(ids, wanted.numpy()):
        raise Unknown("a tokenizer that cuts sentences otherwise")
    with torch.inference_mode():
        output = tower(wanted)
    expected = unit((output[0] if isinstance(output, tuple) else output).numpy())
    nearness = float((unit(words.vectors(ids)) * expected).sum(1).min())
    if not 1 - nearness <= CLOSE:
        raise Unknown(f"a text tower of other vectors (cosine {nearness:.4f})")
