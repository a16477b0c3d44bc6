"""What an open_clip model is made of, found out without importing open_clip or torch.

Preprocessing and activation belong to the weights, not to the architecture: mean, deviation,
interpolation and fit differ between weights of one architecture, and OpenAI's, DFN's and MetaCLIP's
weights want QuickGELU. open_clip only warns of the wrong activation, and not at all for a file;
here it is an error wherever it can be known.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from vretr.encoders import catalogue
from vretr.encoders.files import fetch
from vretr.encoders.names import RANDOM, Spec
from vretr.encoders.sources import CONFIG, licence, sources
from vretr.encoders.tensors import known_digest
from vretr.errors import UsageError, VretrError
from vretr.images import Preprocessing
from vretr.paths import display

log = logging.getLogger(__name__)

SEED = 0  # of random weights

_FITS: dict[str, Literal["crop", "squash", "pad"]] = {
    "shortest": "crop",
    "squash": "squash",
    "longest": "pad",
}


@dataclass(frozen=True)
class Blueprint:
    """An open_clip model before it is built."""

    model: Mapping[str, Any]  # open_clip's model_cfg: embed_dim, vision_cfg, text_cfg, ...
    preprocessing: Preprocessing
    weights: Path | None  # None: random
    folder: Path | None = None  # where a local model's tokenizer lies, if it has its own

    @property
    def token_width(self) -> int | None:
        """Length of a token embedding of CLIP's own kind of text tower; None: it is another kind,
        which takes no pseudo words."""
        config = self.model["text_cfg"]
        other = ("hf_model_name", "hf_tokenizer_name", "embed_cls")  # the last one is CoCa's
        return None if any(config.get(name) for name in other) else config.get("width", 512)

    def identity(self, weights: str) -> str:
        """Digest of the architecture (pooling, activation), the preprocessing and the weights.

        Args:
            weights: the digest of their tensors.
        """
        model = json.dumps(self.model, sort_keys=True)
        whole = "\n".join([weights, model, self.preprocessing.describe()])
        return hashlib.blake2b(whole.encode(), digest_size=16).hexdigest()

    def known_identity(self) -> str | None:
        """The identity as far as it is known without torch: None for a file not yet read."""
        if self.weights is None:  # what the seed decides is known without building it
            return self.identity(
                f"seed {SEED}, open_clip {version('open_clip_torch')}, torch {version('torch')}"
            )
        known = known_digest(self.weights) if self.weights.is_file() else None
        return known and self.identity(known)


def blueprint(spec: Spec) -> Blueprint:
    """Of a name of kind open_clip, hf-hub or local-dir; fetches what is not on this machine.

    Raises:
        UsageError: weights that were trained with another activation than the architecture's.
        VretrError: something is missing or damaged.
    """
    if spec.kind == "hf-hub":
        card, weights = (fetch(source) for source in sources(spec))
        return _of_folder(card, weights)
    if spec.kind == "local-dir":
        assert spec.path is not None
        return _of_folder(spec.path / CONFIG, _weights_in(spec.path), folder=spec.path)
    model = catalogue.architecture(spec.model)
    if spec.path is not None:
        return _of_file(spec.model, spec.path)
    if spec.tag == RANDOM:
        return Blueprint(model, _preprocessing(model, {}), None)
    entry = catalogue.weights()[spec.model][spec.tag]
    (source,) = sources(spec)
    weights = fetch(source, licence=licence(spec))
    return Blueprint(model, _preprocessing(model, entry), weights)


def recognise(architecture: str, path: Path) -> tuple[str, dict[str, Any]] | None:
    """Which published weights a file is by its place in a hub cache or its name: (tag, entry)."""
    entries = catalogue.weights().get(architecture.removesuffix(catalogue.QUICK), {})
    for tag, entry in entries.items():
        repository = entry["hf_hub"].split("/")[:2]
        folders = path.parts[:-1]
        if "--".join(["models", *repository]) in folders or tuple(repository) == folders[-2:]:
            return tag, entry
        if path.name and path.name == entry.get("url", "").rpartition("/")[2]:
            return tag, entry
    stem = path.stem.lower().replace("-", "_")
    named = [tag for tag in entries if tag in stem]
    return (tag := max(named, key=len), entries[tag]) if named else None


def _of_folder(card: Path, weights: Path, *, folder: Path | None = None) -> Blueprint:
    config = _read(card)
    model = config.get("model_cfg", config)
    if not {"embed_dim", "vision_cfg", "text_cfg"} <= model.keys():
        raise VretrError(f"{display(card)} does not describe an open_clip model.")
    return Blueprint(
        model, _preprocessing(model, config.get("preprocess_cfg", {})), weights, folder
    )


def _read(card: Path) -> dict[str, Any]:
    try:
        return json.loads(card.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise VretrError(f"There is no {card.name} in {display(card.parent)}.") from None
    except ValueError as error:
        raise VretrError(f"{display(card)} is not JSON: {error}.") from error


def _weights_in(folder: Path) -> Path:
    """The folder's weights under one of the hub's names, or its only safetensors file."""
    for name in ("open_clip_model.safetensors", "model.safetensors", "open_clip_pytorch_model.bin"):
        if (path := folder / name).is_file():
            return path
    found = sorted(folder.glob("*.safetensors"))
    if len(found) != 1:
        raise VretrError(f"{display(folder)} needs its weights as open_clip_model.safetensors.")
    return found[0]


def _of_file(architecture: str, path: Path) -> Blueprint:
    """A file of weights, prepared for as the published weights that it is; else as its config
    beside it says; else as all weights of the architecture are; else as CLIP, with a warning.
    """
    model = catalogue.architecture(architecture)
    if known := recognise(architecture, path):
        tag, entry = known
        if (right := catalogue.right_architecture(architecture, entry)) != architecture:
            raise UsageError(
                f"{path.name} holds {tag}, trained with another activation (QuickGELU or exact "
                f"GELU) than that of {architecture}: write {right}@{display(path)}."
            )
        return Blueprint(model, _preprocessing(model, entry), path)
    if (card := path.with_name(CONFIG)).is_file():
        return Blueprint(model, _preprocessing(model, _read(card).get("preprocess_cfg", {})), path)
    entries = catalogue.weights().get(architecture, {}).values()
    usual = _preprocessing(model, {})
    possible = {_preprocessing(model, entry) for entry in entries} or {usual}
    if len(possible) > 1:
        log.warning(
            "How pictures are prepared depends on which weights %s holds; CLIP's way is taken "
            "(%s). Put its %s beside it if that is wrong.",
            path.name,
            usual.describe(),
            CONFIG,
        )
    return Blueprint(model, usual if len(possible) > 1 else possible.pop(), path)


def _preprocessing(model: Mapping[str, Any], config: Mapping[str, Any]) -> Preprocessing:
    """From open_clip's preprocess_cfg or an entry of its table; what is absent is OpenAI's."""
    size = model["vision_cfg"].get("image_size", 224)
    if not isinstance(size, int):
        if len(set(size)) != 1:
            raise VretrError(f"This model takes pictures of {size} pixels; only squares are read.")
        size = size[0]
    return Preprocessing(
        size=size,
        mean=tuple(config.get("mean") or catalogue.OPENAI_MEAN),
        std=tuple(config.get("std") or catalogue.OPENAI_STD),
        interpolation="bilinear" if config.get("interpolation") == "bilinear" else "bicubic",
        fit=_FITS[config.get("resize_mode") or "shortest"],
    )
