"""What the training of `lite`'s heads can be told. No torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from vretr.training.config import TrainConfig as CoreConfig


@dataclass(frozen=True, kw_only=True)
class TrainConfig(CoreConfig):
    """Heads of lite"""

    captions: Annotated[
        Path, "Folder or zip of captioned photos (metadata.jsonl: file_name, captions)."
    ]
    split: Annotated[str, "Which rows of --captions to train on, by their column split."] = "train"
    products: Annotated[
        Path | None,
        "Folder or zip of product photos (metadata.jsonl: file_name, name, article_type, colour): "
        "colour and product words.",
    ] = None
    holdout: Annotated[
        int,
        "Captioned photos kept out of the training, to choose the best step by; 0: train on all, "
        "keep the last step.",
    ] = 400
    views: Annotated[int, "Views of each photo: as it is, mirrored, then random crops."] = 8
    members: Annotated[int, "Heads that are trained side by side and averaged."] = 4
    hidden: Annotated[int, "Width of the MLP beside the linear map."] = 256
    image_dropout: Annotated[float, "Share of what is seen that is dropped."] = 0.75
    text_dropout: Annotated[float, "Share of the sentence vector that is dropped."] = 0.2
    product_weight: Annotated[float, "Weight of the loss on product texts."] = 1.0
    class_weight: Annotated[float, "Weight of the distillation of the classifier."] = 0.3
    least_trust: Annotated[
        float,
        "How much the class-name part counts in texts that name no class, of what it counts in "
        "those that do.",
    ] = 0.0
    seed: Annotated[int, "Decides initial weights, order of samples and all random draws."] = 0
    steps: Annotated[int, "Optimiser steps in all."] = 400
    batch_size: Annotated[int, "Captioned photos a step, and as many products."] = 512
    lr: Annotated[float, "Highest learning rate (AdamW)."] = 1e-3
    weight_decay: Annotated[float, "Weight decay (AdamW)."] = 0.1
    warmup: Annotated[int, "Steps over which the learning rate rises from 0."] = 100
    validate_every: Annotated[int, "Steps between validations."] = 50

    def __post_init__(self) -> None:
        """Raises ValueError for a value with which no training is possible."""
        super().__post_init__()
        for name in ("views", "members", "hidden"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be at least 1")
        for name in ("image_dropout", "text_dropout"):
            if not 0 <= getattr(self, name) < 1:
                value = getattr(self, name)
                raise ValueError(f"{name} is {value}, but must be at least 0 and less than 1")
