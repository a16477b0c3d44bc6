"""What the evaluations can be told. No torch."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from vretr.metrics import Ties


def known_encoders() -> Iterable[str]:
    """Names to complete `--encoder` with; looked up only when that is asked for."""
    from vretr.encoders.names import known_names

    return known_names()


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Encoder"""

    encoder: Annotated[str, "Encoder by name, or a Run by its path.", known_encoders] = "lite"
    device: Annotated[
        str, "Where to compute; auto takes a GPU if there is one.", ("auto", "cpu", "cuda", "mps")
    ] = "auto"
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"], "Number format; auto is bf16 where it is fast."
    ] = "auto"
    batch_size: Annotated[int, "Photos encoded at a time."] = 32
    workers: Annotated[
        int | None,
        "Processes that decode photos; 0 does it in this one (default: one a processor).",
    ] = None

    @property
    def variant(self) -> str:
        """How vectors are computed: those of another variant are not taken from the cache."""
        return f"{self.device} {self.precision}"

    def __post_init__(self) -> None:
        """Raises ValueError for values with which nothing can be encoded."""
        if self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}, but must be at least 1")
        if self.workers is not None and self.workers < 0:
            raise ValueError(f"workers is {self.workers}, but must be 0 or more")


@dataclass(frozen=True, kw_only=True)
class RetrievalConfig(EncoderConfig):
    """Retrieval"""

    data: Annotated[
        Path,
        "Folder, zip or folder in a zip with metadata.jsonl (file_name, captions) or parquet; "
        "or with labels.jsonl or a folder for each class.",
    ]
    split: Annotated[str | None, "Only this split.", ("dev", "val", "test", "train")] = None
    captions_field: Annotated[
        str | None, "Column with the captions (default: captions).", ("captions", "captions_ko")
    ] = None
    image_field: Annotated[
        str | None, "Column with the photos (default: file_name; image in parquet)."
    ] = None
    label_field: Annotated[
        str | None,
        "Column with the class; photos are then found by class even if there are captions.",
        ("class_name", "label"),
    ] = None
    prompt: Annotated[str, "Sentence about a class; {} is its name."] = "a photo of a {}"
    ties: Annotated[
        Ties, "Equal scores: by place in the gallery, or relevant photos last, or first."
    ] = "index"

    def __post_init__(self) -> None:
        """Raises ValueError for a prompt without a place for the name, or two kinds of data."""
        super().__post_init__()
        if self.captions_field is not None and self.label_field is not None:
            raise ValueError("captions_field and label_field exclude each other")
        if self.prompt.count("{}") != 1:
            raise ValueError(f"prompt is {self.prompt!r}, but must hold {{}} once")


@dataclass(frozen=True, kw_only=True)
class CirConfig(EncoderConfig):
    """Composed retrieval"""

    dataset: Annotated[
        str, "triplets:FILE, JSON lines of reference, text, targets and gallery.", ("triplets:",)
    ]
    root: Annotated[
        Path | None, "Folder that names in the file are relative to (default: the file's)."
    ] = None
    composer: Annotated[
        str, "What makes the query: image, text, sum, or a Run.", ("image", "text", "sum")
    ] = "sum"
    picture_weight: Annotated[
        float | None, "Share of the picture in sum, 0 to 1 (default: as in `vretr query`)."
    ] = None
    keep_reference: Annotated[bool, "Leave the reference in the gallery."] = False
    ties: Annotated[
        Ties, "Equal scores: by place in the gallery, or relevant photos last, or first."
    ] = "pessimistic"

    def __post_init__(self) -> None:
        """Raises ValueError for a dataset of another kind or a weight outside [0, 1]."""
        super().__post_init__()
        kind, _, file = self.dataset.partition(":")
        if kind != "triplets" or not file:
            raise ValueError(f"dataset is {self.dataset!r}, but must be triplets:FILE")
        if self.picture_weight is not None and not 0 <= self.picture_weight <= 1:
            raise ValueError(f"picture_weight is {self.picture_weight}, but must lie in [0, 1]")
