"""What the poolings' training and evaluation can be told. No torch."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from vretr.evaluation.config import EncoderConfig, known_encoders
from vretr.training.config import TrainConfig as CoreConfig

DATA = (
    "Folder, zip or folder in a zip of labelled photos: labels.jsonl, or a folder for each class."
)


def known_poolings() -> Iterable[str]:
    """Names to complete `--pooling` with."""
    from vretr.poolings import known_poolings

    return known_poolings()


@dataclass(frozen=True, kw_only=True)
class TrainConfig(CoreConfig):
    """Pooling"""

    data: Annotated[Path, DATA]
    label_field: Annotated[
        str | None, "Column with the class (default: class_name, else label).", ("class_name",)
    ] = None
    split: Annotated[str | None, "Train on this split only (column `split`).", ("train",)] = None
    val_split: Annotated[
        str | None, "Choose the best step on this split, instead of held-out photos.", ("val",)
    ] = None
    holdout: Annotated[float, "Share of the photos that is held out to choose the best step."] = 0.1
    backbone: Annotated[
        str, "The tower: lite, timm:NAME, timm:NAME/random, a name of open_clip.", known_encoders
    ] = "lite"
    pooling: Annotated[
        str, "avg, max, gem, ggem, cls, attention; with options, or several.", known_poolings
    ] = "ggem"
    frozen: Annotated[bool, "Leave the tower as it is; what it tells is computed once."] = False
    size: Annotated[int | None, "Side of the pictures (default: the tower's own)."] = None
    views: Annotated[int, "Frozen: views of a photo: as it is, mirrored, random crops."] = 2
    least_crop: Annotated[float, "Least share of a photo that a random crop takes."] = 0.35
    backbone_lr: Annotated[float, "Learning rate of the tower, as a factor of --lr."] = 1.0
    pooling_lr: Annotated[
        float, "Learning rate of p, as a factor of --lr; it has no weight decay."
    ] = 10.0
    lr: Annotated[float, "Highest learning rate (AdamW)."] = 1e-3
    weight_decay: Annotated[float, "Weight decay (AdamW), of matrices only."] = 0.05
    steps: Annotated[int, "Optimiser steps in all."] = 1000
    validate_every: Annotated[int, "Steps between validations."] = 200

    def __post_init__(self) -> None:
        """Raises ValueError for a value with which no training is possible."""
        super().__post_init__()
        if not 0 <= self.holdout < 1:
            raise ValueError(f"holdout is {self.holdout}, but must be at least 0 and less than 1")
        if not 0 < self.least_crop <= 1:
            raise ValueError(f"least_crop is {self.least_crop}, but must lie in (0, 1]")
        if self.views < 1:
            raise ValueError(f"views is {self.views}, but must be at least 1")
        if self.size is not None and self.size < 1:
            raise ValueError(f"size is {self.size}, but must be at least 1")
        for name in ("backbone_lr", "pooling_lr"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be 0 or more")
        if self.val_split is not None and self.split is None:
            raise ValueError("val_split is given together with split")


@dataclass(frozen=True, kw_only=True)
class EvalConfig(EncoderConfig):
    """Pooling"""

    data: Annotated[Path, DATA]
    label_field: Annotated[
        str | None, "Column with the class (default: class_name, else label).", ("class_name",)
    ] = None
    split: Annotated[str | None, "Only this split (column `split`).", ("test", "val")] = None
