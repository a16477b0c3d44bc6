"""What is kept of a text tower so that it can answer without torch, and what reads it.

A folder for each model in VRETR_HOME/words: `words.json` says what kind of tower and tokenizer it
is; `tower.safetensors` has the weights in float32, unless the model's own file does, which is then
mapped where it lies; `tokenizer.json` is there for every tokenizer but CLIP's. A folder is named
for all that its vectors depend on, so it is never out of date, and it may be deleted.
"""

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vretr import paths
from vretr.blas import blas_threads_for
from vretr.encoders.base import unit
from vretr.encoders.blueprint import Blueprint
from vretr.encoders.prompts import Prompts
from vretr.encoders.words.arrays import Array, Ids, Tensors, map_safetensors
from vretr.encoders.words.clip import ClipTower
from vretr.encoders.words.foreign import ForeignTower, NllbEncoder, Roberta, T5Encoder
from vretr.encoders.words.sentences import AT_ONCE, read
from vretr.encoders.words.tokens import ClipTokens, FileTokens, Tokenizer

log = logging.getLogger(__name__)

FORMAT = 1  # counted up when what is kept changes
CARD, TENSORS, TOKENIZER = "words.json", "tower.safetensors", "tokenizer.json"
_TOWERS: dict[str, type[ClipTower | ForeignTower]] = {
    "clip": ClipTower,
    "roberta": Roberta,
    "nllb": NllbEncoder,
    "t5": T5Encoder,
}


@dataclass
class Words:
    """Sentences to vectors, by a tokenizer and a tower in NumPy."""

    tokenizer: Tokenizer
    tower: ClipTower | ForeignTower
    warned: bool = False

    def __call__(self, texts: Sequence[str]) -> Array:
        """Sentences, at least one -> float32 [B, dim], unit length; too long ones are cut."""
        ids, cut = self.tokenizer(texts)
        if cut and not self.warned:
            self.warned = True
            log.warning(
                "A text is longer than the %d tokens that the model reads; its end is left out.",
                ids.shape[1] - 2,
            )
        return unit(self.vectors(ids))

    def read(self, prompts: Prompts, words: Array, *, context: int) -> Array:
        """Sentences, at least one, with P places, and [P, width] to stand there -> [B, dim], unit.

        For CLIP's own tokens; `context` is how many the model reads.
        """
        return unit(read(self.tower, prompts, words, context=context))

    def vectors(self, ids: Ids) -> Array:
        """Token ids [B, L] -> float32 [B, dim] as the tower gives them."""
        with blas_threads_for(len(ids)):
            order = np.argsort(ids.argmax(1), kind="stable")  # CLIP's by length: little padding
            parts = [order[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE)]
            found = np.concatenate([self.tower(ids[rows]) for rows in parts])
        return found[np.argsort(order)]


def folder_of(design: Blueprint) -> Path | None:
    """Where a model's words are kept; None while the digest of its weights is not known."""
    identity = design.known_identity()
    if identity is None:
        return None
    facts = json.dumps([FORMAT, identity, _tokenizer_stamp(design)])
    key = hashlib.blake2b(facts.encode(), digest_size=16)
    return paths.home() / "words" / key.hexdigest()


def _tokenizer_stamp(design: Blueprint) -> list[Any]:
    """What tells whether a borrowed tokenizer or configuration is another than before."""
    config = design.model["text_cfg"]
    stamp: list[Any] = []
    for name in (config.get("hf_tokenizer_name"), config.get("hf_model_name")):
        if not name:
            continue
        for folder in filter(None, (design.folder, Path(name))):
            if folder.is_dir():
                files = sorted((*folder.glob("*.json"), *folder.glob("*.model")))
                stats = [(file.name, file.stat()) for file in files]
                stamp += [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]
        revision = paths.hub_cache() / f"models--{name.replace('/', '--')}" / "refs" / "main"
        if revision.is_file():
            stamp.append(revision.read_text(encoding="ascii"))
    return stamp


def load(design: Blueprint) -> Words | None:
    """The words of a model if they have been prepared; maps the weights, reads none."""
    folder = folder_of(design)
    if folder is None:
        return None
    try:
        card = json.loads((folder / CARD).read_bytes())
        return words_of(card, folder, design.weights)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as problem:
        log.info("The prepared words in %s cannot be read: %s", paths.display(folder), problem)
        return None


def words_of(card: dict[str, Any], folder: Path, weights: Path | None) -> Words:
    """From what `words.json` says.

    Raises:
        OSError, ValueError: a file is missing or is not what it should be.
    """
    prefix = card["prefix"]  # of the tower's tensors in the model's own file; None: in ours
    if prefix is None:
        tensors = map_safetensors(folder / TENSORS)
    else:
        assert weights is not None
        tensors = map_safetensors(weights, prefix)
    if missing := [name for name in card["tensors"] if name not in tensors]:
        raise ValueError(f"there is no float32 tensor {missing[0]}")
    tower = _TOWERS[card["family"]](tensors=Tensors(tensors), **card["tower"])
    tokens = card["tokenizer"]
    if "length" in tokens:
        return Words(ClipTokens(tokens["length"]), tower)
    return Words(FileTokens(folder / TOKENIZER, **tokens), tower)


def size_of(folder: Path) -> int:
    """Bytes that a model's prepared words take."""
    return sum(entry.stat().st_size for entry in os.scandir(folder))
