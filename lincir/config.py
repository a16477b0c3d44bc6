"""What LinCIR's training, evaluation and export can be told. No torch."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from vretr.evaluation.config import CirConfig
from vretr.methods import ARGUMENT
from vretr.training.config import TrainConfig as CoreConfig

PROMPT = "a photo of $ that {}"
"""The paper's sentence for CIRR, CIRCO, FashionIQ and GeneCIS."""


def backbones() -> Iterable[str]:
    """Names to complete `--backbone` with; looked up only when that is asked for."""
    from vretr.encoders.names import known_names

    return known_names()


def corpora() -> Iterable[str]:
    """Names to complete `--corpus` with."""
    from lincir.corpus import PRESETS

    return PRESETS


@dataclass(frozen=True, kw_only=True)
class TrainConfig(CoreConfig):
    """LinCIR"""

    backbone: Annotated[
        str,
        "Encoder whose text tower reads the pseudo words: lite, ViT-L, ViT-H, ViT-G, any of CLIP's "
        "kind that open_clip has, or a Run by its path.",
        backbones,
    ] = "ViT-L"
    corpus: Annotated[
        tuple[str, ...],
        "Sentences to learn from, repeatable: a file (text, JSONL, CSV, parquet, also .gz), a hub "
        "data set ORG/NAME, or a preset: paper, repository. Given twice, it counts twice.",
        corpora,
    ] = ("paper",)
    column: Annotated[
        tuple[str, ...],
        "Column with the sentences, repeatable: the first one that a table has is taken.",
    ] = ("text", "caption", "captions")
    tagger: Annotated[
        Literal["auto", "spacy", "rules"],
        "What finds the key words: spaCy's en_core_web_sm or a list of ours; auto takes spaCy "
        "where both it and that model are installed.",
    ] = "auto"
    masking: Annotated[
        Literal["span", "original"],
        "Put the pseudo word where the key words stand, or wherever their letters occur, as the "
        "authors' code does.",
    ] = "span"
    noise: Annotated[
        float, "Scale of the noise on the text vector; 1 is the paper's (see README for lite)."
    ] = 1.0
    dropout: Annotated[float, "Share of φ's hidden numbers that is dropped."] = 0.5
    hidden: Annotated[int, "Width of φ's two hidden layers; 0: four times the vector's."] = 0
    tokens: Annotated[int, "Pseudo words that stand for one picture."] = 1
    l2_normalize: Annotated[bool, "Scale φ's input to length 1 after the noise."] = False
    holdout: Annotated[
        int,
        "Sentences kept out of the training; the loss on them chooses the best step. 0: none, the "
        "last step is kept.",
    ] = 2048
    triplets: Annotated[
        Path | None,
        "File of triplets (as of `vretr eval cir`) whose recall@10 chooses the best step instead.",
    ] = None
    keep_features: Annotated[
        bool, "Keep the text vectors of the whole corpus on disk, where it is read several times."
    ] = True
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"],
        "Number format of the text tower; auto is bf16 where it is faster, which is measured on a "
        "processor. φ stays in float32.",
    ] = "auto"
    seed: Annotated[int, "Decides initial weights, order of samples and all random draws."] = 12345
    steps: Annotated[int, "Optimiser steps in all."] = 20_000
    batch_size: Annotated[int, "Sentences a step, over all processes together."] = 512
    lr: Annotated[float, "Learning rate (AdamW)."] = 1e-4
    schedule: Annotated[
        Literal["cosine", "constant"], "How the learning rate goes on after the warm-up."
    ] = "constant"
    clip: Annotated[float, "Largest norm of the gradient; 0 leaves it as it is."] = 0.0
    validate_every: Annotated[int, "Steps between validations."] = 1000
    save_every: Annotated[int, "Steps between checkpoints; a killed run loses no more."] = 1000

    def __post_init__(self) -> None:
        """Raises ValueError for a value with which no training is possible."""
        super().__post_init__()
        if not (self.corpus and self.column):
            raise ValueError("corpus and column must name at least one each")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}, but must be at least 0 and less than 1")
        if not 0 <= self.noise < float("inf"):
            raise ValueError(f"noise is {self.noise}, but must be 0 or more")
        if self.tokens < 1:
            raise ValueError(f"tokens is {self.tokens}, but must be at least 1")
        if self.hidden < 0 or self.holdout < 0:
            raise ValueError("hidden and holdout must be 0 or more")


@dataclass(frozen=True, kw_only=True)
class EvalConfig(CirConfig):
    """LinCIR"""

    encoder: Annotated[
        str, "Encoder by name, or a Run; auto: the one that --phi is for, else lite.", backbones
    ] = "auto"
    phi: Annotated[
        Path | None,
        "A Run of `vretr train lincir`, or a file of LinCIR, SEARLE or Pic2Word (default: the φ at "
        "hand for --encoder).",
    ] = None
    prompt: Annotated[
        str | None,
        "The sentence; $ is the picture and {} the words (default: the φ's, in the paper "
        f"'{PROMPT}').",
    ] = None
    composer: Annotated[
        str,
        "What makes the query: lincir, or for comparison image, text, sum, slerp, or another Run.",
        ("lincir", "image", "text", "sum", "slerp"),
    ] = "lincir"
    picture_weight: Annotated[
        float | None,
        "Share of the picture's own vector, 0 to 1 (default: the φ's, 0 in the paper).",
    ] = None
    words_weight: Annotated[
        float | None,
        "Share of the words by themselves in what is read with the picture, 0 to 1 (default: the "
        "φ's, 0 in the paper).",
    ] = None

    def __post_init__(self) -> None:
        """Raises ValueError for what only φ takes beside another composer."""
        super().__post_init__()
        for name in ("phi", "prompt", "words_weight"):
            if self.composer != "lincir" and getattr(self, name) is not None:
                raise ValueError(f"{name} belongs to the composer lincir, not {self.composer}")
        if self.words_weight is not None and not 0 <= self.words_weight <= 1:
            raise ValueError(f"words_weight is {self.words_weight}, but must lie in [0, 1]")


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Export of a φ"""

    source: Annotated[Path, "A Run of `vretr train lincir`, or a file with a φ.", ARGUMENT]
    out: Annotated[Path, "File to write: {epoch, Phi}, as torch saves it."]
