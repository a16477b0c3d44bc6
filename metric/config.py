"""What metric learning's training and evaluation can be told. No torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from metric.loss_names import LOSSES
from vretr.evaluation.config import EncoderConfig, known_encoders
from vretr.ties import Ties
from vretr.training.config import TrainConfig as CoreConfig

DATA = "A set by name (cub, cars, sop, inshop; with --root), or a folder or zip of labelled photos."


@dataclass(frozen=True, kw_only=True)
class TrainConfig(CoreConfig):
    """Metric learning"""

    data: Annotated[str, DATA, ("cub", "cars", "sop", "inshop")]
    root: Annotated[Path | None, "Folder where a set given by name lies."] = None
    label_field: Annotated[
        str | None, "Column with the class, or several joined with + (default: class_name, label)."
    ] = None
    test_classes: Annotated[
        float, "Share of the classes that is never trained on, where the data have no split."
    ] = 0.5
    val_classes: Annotated[
        float, "Share of the training classes held out to choose the best step; 0: the last step."
    ] = 0.2
    choose_on: Annotated[
        Literal["val", "test"],
        "Choose the best step on held-out training classes, or on the test classes as the papers "
        "do (for comparison only: such figures are too good).",
    ] = "val"
    backbone: Annotated[
        str, "Image tower: lite, timm:NAME, or a name of open_clip.", known_encoders
    ] = "lite"
    frozen: Annotated[
        bool, "Leave the tower as it is; what it tells of --views views is computed once and kept."
    ] = False
    size: Annotated[int | None, "Side of the pictures (default: the tower's)."] = None
    pooling: Annotated[
        str, "From patches to one vector: avg, max, gem, ggem, cls, ... (`vretr train pooling`)."
    ] = "avg"
    dim: Annotated[int, "Numbers of an embedding; 0: those of the pooling, without a head."] = 512
    loss: Annotated[
        Literal[
            "softmax",
            "norm-softmax",
            "cosface",
            "arcface",
            "sphereface",
            "softtriple",
            "proxy-nca",
            "proxy-anchor",
            "circle",
        ],
        "Proxy loss.",
    ] = "norm-softmax"
    scale: Annotated[float | None, "Of the loss's cosines (default: the paper's)."] = None
    margin: Annotated[float | None, "Of the loss (default: the paper's)."] = None
    synthesis: Annotated[bool, "Proxy Synthesis: virtual classes between the batch's."] = False
    alpha: Annotated[float, "Proxy Synthesis: of Beta(α, α), from which the mix is drawn."] = 0.4
    mu: Annotated[float, "Proxy Synthesis: synthetic samples for each real one, 0 to 1."] = 1.0
    memvir: Annotated[bool, "MemVir: classes of earlier steps as virtual classes."] = False
    memvir_steps: Annotated[int, "MemVir: earlier steps used at once (the paper's N)."] = 20
    memvir_gap: Annotated[int, "MemVir: steps left out between them (the paper's M)."] = 25
    memvir_warmup: Annotated[int, "MemVir: steps before the first one is remembered (U)."] = 0
    memvir_dtype: Annotated[
        Literal["float32", "float16", "bfloat16"], "MemVir: number format of the memory."
    ] = "float32"
    memvir_device: Annotated[
        Literal["same", "cpu"], "MemVir: where the memory lies; cpu spares a GPU's."
    ] = "same"
    instances: Annotated[int, "Photos of a class in a batch; 1 is a plain shuffle."] = 1
    views: Annotated[int, "Frozen: views of a photo: as it is, mirrored, random crops."] = 8
    least_crop: Annotated[float, "Least share of a photo that a random crop takes."] = 0.25
    backbone_lr: Annotated[float, "Learning rate of the tower, as a factor of --lr."] = 1.0
    proxy_lr: Annotated[float, "Learning rate of the class weights, as a factor of --lr."] = 100.0
    pooling_lr: Annotated[float, "Learning rate of the pooling, as a factor of --lr."] = 10.0
    adam_eps: Annotated[float, "AdamW's ε; the papers' 0.01 makes it act almost like SGD."] = 0.01
    freeze_norms: Annotated[bool, "Leave the tower's batch statistics as they are."] = True
    batch_size: Annotated[int, "Photos a step, over all processes together."] = 128
    lr: Annotated[float, "Highest learning rate (AdamW)."] = 1e-4
    weight_decay: Annotated[float, "Weight decay (AdamW), of matrices only."] = 1e-4
    steps: Annotated[int, "Optimiser steps in all."] = 2000
    clip: Annotated[float, "Largest norm of the gradient; 0 leaves it as it is."] = 0.0
    validate_every: Annotated[int, "Steps between validations."] = 100

    def __post_init__(self) -> None:
        """Raises ValueError for a value with which no training is possible."""
        super().__post_init__()
        if not 0 < self.test_classes < 1:
            raise ValueError(f"test_classes is {self.test_classes}, but must lie between 0 and 1")
        if not 0 <= self.val_classes < 1:
            raise ValueError(
                f"val_classes is {self.val_classes}, but must be at least 0 and less than 1"
            )
        if not 0 < self.least_crop <= 1:
            raise ValueError(f"least_crop is {self.least_crop}, but must lie in (0, 1]")
        for name, least in (("views", 1), ("instances", 1), ("dim", 0), ("memvir_steps", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be at least {least}")
        if self.batch_size % self.instances:
            raise ValueError(
                f"batch_size is {self.batch_size}, but must be a multiple of instances"
            )
        if self.memvir and self.ema:
            raise ValueError("ema does not go with memvir, whose memory cannot be averaged")
        for name in ("scale", "margin"):
            if getattr(self, name) is not None and name not in LOSSES[self.loss].options:
                raise ValueError(f"{name} belongs to other losses than {self.loss}")

    @property
    def loss_options(self) -> dict[str, float]:
        """What was said of the loss."""
        said = {"scale": self.scale, "margin": self.margin}
        return {name: value for name, value in said.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class EvalConfig(EncoderConfig):
    """Metric learning"""

    data: Annotated[str, DATA, ("cub", "cars", "sop", "inshop")]
    root: Annotated[Path | None, "Folder or zip where a set given by name lies."] = None
    split: Annotated[
        Literal["test", "train", "all"], "Measure on the test classes, the others, or all."
    ] = "test"
    label_field: Annotated[
        str | None, "Column with the class, or several joined with + (default: class_name, label)."
    ] = None
    test_classes: Annotated[
        float, "Share of the classes that is tested, where the data have no split."
    ] = 0.5
    allow_shared_classes: Annotated[
        bool, "Take the data's own split even where train and test share classes."
    ] = False
    k: Annotated[
        tuple[int, ...],
        "K of Recall@K, repeatable (default: 1, 2, 4, 8; sop 1, 10, 100, 1000; inshop 1, 10, 20, "
        "40).",
    ] = ()
    nmi: Annotated[bool, "Also NMI by k-means, which takes longer than all the rest."] = False
    seed: Annotated[int, "Of k-means."] = 0
    ties: Annotated[
        Ties, "Equal scores: by place in the gallery, or photos of the class last, or first."
    ] = "index"
    per_class: Annotated[Path | None, "Write the figures of each class, as CSV."] = None
    page: Annotated[
        Path | None, "Write an HTML page: bad and good queries with their nearest neighbours."
    ] = None

    def __post_init__(self) -> None:
        """Raises ValueError for values with which nothing can be measured."""
        super().__post_init__()
        if not 0 < self.test_classes < 1:
            raise ValueError(f"test_classes is {self.test_classes}, but must lie between 0 and 1")
        if self.k and min(self.k) < 1:
            raise ValueError(f"k is {min(self.k)}, but must be at least 1")
