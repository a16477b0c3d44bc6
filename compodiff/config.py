"""What CompoDiff's training, evaluation and queries can be told. No torch."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

from vretr.evaluation.config import CirConfig
from vretr.training.config import TrainConfig as CoreConfig

TASKS = ("t2i", "triplet", "mask")
"""Words to a picture; a picture and words to another; a picture, masked, to itself."""


def backbones() -> Iterable[str]:
    """Names to complete `--backbone` with; looked up only when that is asked for."""
    from vretr.encoders.names import known_names

    return known_names()


@dataclass(frozen=True, kw_only=True)
class TrainConfig(CoreConfig):
    """CompoDiff"""

    backbone: Annotated[
        str, "Encoder in whose space it works, by name or a Run by its path.", backbones
    ] = "lite"
    triplets: Annotated[
        tuple[Path, ...],
        "Files of triplets, repeatable: JSON lines of reference, text, target or targets; or of "
        "captions alone, as `vretr build-triplets` makes them from captions. Rows whose split is "
        "test are left out.",
    ] = ()
    root: Annotated[
        Path | None, "Folder that names in triplets are relative to (default: the file's)."
    ] = None
    captions: Annotated[
        Path | None,
        "Photos with captions, for the tasks t2i and mask: a folder or zip with metadata.jsonl, or "
        "parquet.",
    ] = None
    captions_field: Annotated[str, "Column with the captions."] = "captions"
    captions_split: Annotated[str | None, "Only this split of the captions."] = None
    photos: Annotated[
        Path | None, "Folder or zip of further photos for the task mask, without words."
    ] = None
    triplets_only: Annotated[
        bool, "Train on triplets alone: best for composed queries, no masks, no words alone."
    ] = False
    stage1: Annotated[
        float,
        "Share of the steps that come first and learn t2i alone (two stages: the paper; how long: "
        "from memory about half).",
    ] = 0.15
    mix_t2i: Annotated[float, "Share of batches: words to a picture (paper, from memory)."] = 0.3
    mix_triplet: Annotated[float, "Share of batches: triplets (paper, from memory)."] = 0.5
    mix_mask: Annotated[float, "Share of batches: masked pictures (paper, from memory)."] = 0.2
    drop_text: Annotated[
        float, "Share of rows without words, which guidance needs (from memory)."
    ] = 0.1
    drop_image: Annotated[float, "Share of rows without picture (from memory)."] = 0.1
    drop_both: Annotated[float, "Share of rows without either (from memory)."] = 0.1
    boxes: Annotated[int, "Random masks of each photo that are prepared (ours)."] = 2
    cosine: Annotated[float, "Weight of 1 - cosine beside the squared error (ours)."] = 0.0
    text: Annotated[
        Literal["tokens", "vector"],
        "Words as the states of all their tokens (paper), or as the encoder's one vector (ours).",
    ] = "tokens"
    width: Annotated[int, "Width of the network's tokens; 0: the vectors' (paper: 768)."] = 512
    depth: Annotated[int, "Blocks of the network (paper: 12)."] = 4
    heads: Annotated[int, "Heads of self-attention (paper: 16)."] = 8
    mask_size: Annotated[int, "Side of the masks that the network sees (paper)."] = 64
    validation: Annotated[
        Path | None,
        "Triplets that choose the best step and the guidance (default: those with split val, else "
        "--holdout).",
    ] = None
    holdout: Annotated[
        float, "Share of the triplets' photos kept out to choose on; 0: the last step is kept."
    ] = 0.1
    steps: Annotated[int, "Optimiser steps in all (paper, from memory: over a million)."] = 3000
    batch_size: Annotated[
        int, "Samples a step, over all processes together (paper, from memory: 2048)."
    ] = 128
    lr: Annotated[float, "Highest learning rate (AdamW; paper: 1e-4)."] = 5e-4
    warmup: Annotated[int, "Steps over which the learning rate rises from 0."] = 100
    ema: Annotated[
        float, "Decay of the moving average of the weights, which is what is kept; 0: none."
    ] = 0.999

    def __post_init__(self) -> None:
        """Raises ValueError for a value with which no training is possible."""
        super().__post_init__()
        mix, drops = mix_of(self), (self.drop_text, self.drop_image, self.drop_both)
        if min(mix.values()) < 0 or sum(mix.values()) <= 0:
            raise ValueError(f"the mix is {mix}, but must be shares of which one is positive")
        if min(drops) < 0 or sum(drops) > 1:
            raise ValueError(f"the drops are {drops}, but must be shares, together at most 1")
        for name in ("stage1", "holdout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, but must lie in [0, 1)")
        if self.width < 0 or self.width % 2:
            raise ValueError(f"width is {self.width}, but must be even, or 0")
        if min(self.depth, self.heads, self.mask_size, self.boxes) < 1:
            raise ValueError("depth, heads, mask_size and boxes must be at least 1")


def mix_of(config: TrainConfig) -> dict[str, float]:
    """The share of each task as it was asked for."""
    if config.triplets_only:
        return {"t2i": 0.0, "triplet": 1.0, "mask": 0.0}
    return {"t2i": config.mix_t2i, "triplet": config.mix_triplet, "mask": config.mix_mask}


@dataclass(frozen=True, kw_only=True)
class ComposerOptions:
    """How a vector is made"""

    steps: Annotated[
        int | None, "Calls of the network; few are best (default: the run's, mostly 2)."
    ] = None
    guidance_image: Annotated[
        float | None, "How much the picture pulls (default: the run's, chosen on triplets)."
    ] = None
    guidance_text: Annotated[
        float | None,
        "How much the words pull; unwanted words need more than 1 (default: the run's).",
    ] = None
    eta: Annotated[float, "Fresh noise in each step, 0 to 1; 0 draws none after the start."] = 0.0
    seed: Annotated[int, "Decides the noise that a vector is made from."] = 0
    samples: Annotated[int, "Vectors that are made of different noise and averaged."] = 1
    mix: Annotated[
        float | None, "Share of the picture's own vector, as --picture-weight (default: the run's)."
    ] = None

    def __post_init__(self) -> None:
        """Raises ValueError for impossible values."""
        if self.steps is not None and not 1 <= self.steps <= 1000:
            raise ValueError(f"steps is {self.steps}, but must be 1 to 1000")
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta is {self.eta}, but must lie in [0, 1]")
        if self.seed < 0 or self.samples < 1:
            raise ValueError("seed must be 0 or more, and samples at least 1")
        if self.mix is not None and not 0 <= self.mix <= 1:
            raise ValueError(f"mix is {self.mix}, but must lie in [0, 1]")
        for name in ("guidance_image", "guidance_text"):
            value = getattr(self, name)
            if value is not None and not abs(value) < 1e3:
                raise ValueError(f"{name} is {value}, but must be a number below 1000")


@dataclass(frozen=True, kw_only=True)
class EvalConfig(CirConfig, ComposerOptions):
    """CompoDiff"""

    encoder: Annotated[
        str, "Encoder by name, or a Run; auto: the one that --run is for, else lite.", backbones
    ] = "auto"
    run: Annotated[
        Path | None,
        "A Run of `vretr train compodiff`, or a file of its weights (default: what is at hand for "
        "--encoder).",
    ] = None
    composer: Annotated[
        str,
        "What makes the query: compodiff, or for comparison image, text, sum, slerp, or another "
        "Run.",
        ("compodiff", "image", "text", "sum", "slerp"),
    ] = "compodiff"

    def __post_init__(self) -> None:
        """Raises ValueError for what only CompoDiff takes beside another composer."""
        CirConfig.__post_init__(self)
        ComposerOptions.__post_init__(self)
        defaults = {field.name: field.default for field in fields(ComposerOptions)}
        if self.composer != "compodiff":
            for name, default in {**defaults, "run": None}.items():
                if getattr(self, name) != default:
                    raise ValueError(f"{name} belongs to the composer compodiff, not this one")

    @property
    def options(self) -> ComposerOptions:
        """What the composer is told."""
        names = [field.name for field in fields(ComposerOptions)]
        return ComposerOptions(**{name: getattr(self, name) for name in names})
