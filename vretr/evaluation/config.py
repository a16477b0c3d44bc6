"""What the evaluations can be told. No torch."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

from vretr.data.cir.names import TASKS, TITLES
from vretr.ties import Ties


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
        str,
        "circo, cirr, fashioniq, genecis, or triplets:FILE (JSON lines of reference, text, targets "
        "and gallery).",
        (*TITLES, "triplets:"),
    ]
    root: Annotated[
        Path | None,
        "Folder or zip of the benchmark, see docs/composed.md; for triplets the folder that names "
        "are relative to (default: the file's).",
    ] = None
    split: Annotated[
        Literal["val", "test"],
        "Of circo and cirr, whose test figures the servers have; fashioniq has val only.",
    ] = "val"
    composer: Annotated[
        str,
        "What makes the query: image, text, sum, slerp, a method that composes, or a Run.",
        ("image", "text", "sum", "slerp"),
    ] = "sum"
    picture_weight: Annotated[
        float | None,
        "Share of the picture in sum and slerp, 0 to 1 (default: as in `vretr query`).",
    ] = None
    preprocess: Annotated[
        Literal["clip", "targetpad"],
        "Pictures as the encoder wants them, or with black bars first where they are long.",
    ] = "clip"
    reference: Annotated[
        Literal["official", "removed", "kept"],
        "Whether the reference can be found: by the benchmark's rule (triplets: removed), or not.",
    ] = "official"
    gallery: Annotated[
        Literal["original", "val"],
        "FashionIQ: search the whole split, or only what is a reference or a target (VAL's rule).",
    ] = "original"
    genecis_tasks: Annotated[
        tuple[str, ...], "GeneCIS: measure these tasks, repeatable (default: all four).", TASKS
    ] = TASKS
    genecis_text: Annotated[
        Literal["condition", "zero"],
        'GeneCIS: the words; zero is "0" for objects, an error in published figures.',
    ] = "condition"
    genecis_crop: Annotated[
        Literal["official", "symmetric"],
        "GeneCIS: boxes grow as in its own code, to the left and top, or on all sides.",
    ] = "official"
    allow_missing: Annotated[
        bool, "Measure what is left where pictures or annotations are missing."
    ] = False
    submission: Annotated[
        Path | None,
        "Write what the server of circo or cirr takes (cirr: two files, the other is subset_NAME).",
    ] = None
    ties: Annotated[
        Ties, "Equal scores: by place in the gallery, or relevant photos last, or first."
    ] = "pessimistic"

    @property
    def kind(self) -> str:
        """The benchmark's name, or `triplets`."""
        return self.dataset.partition(":")[0]

    def __post_init__(self) -> None:
        """Raises ValueError for an unknown data set and for options that it does not have."""
        super().__post_init__()
        _, _, file = self.dataset.partition(":")
        if self.dataset not in TITLES and not (self.kind == "triplets" and file):
            known = ", ".join(TITLES)
            raise ValueError(f"dataset is {self.dataset!r}, but must be {known} or triplets:FILE")
        if self.dataset in TITLES and self.root is None:
            raise ValueError(f"{self.dataset} needs a root, the folder where it lies")
        if self.picture_weight is not None and not 0 <= self.picture_weight <= 1:
            raise ValueError(f"picture_weight is {self.picture_weight}, but must lie in [0, 1]")
        tasks = {*self.genecis_tasks}
        if not tasks or not tasks <= {*TASKS} or len(tasks) < len(self.genecis_tasks):
            raise ValueError(
                f"genecis_tasks is {self.genecis_tasks}, but must be some of {', '.join(TASKS)}"
            )
        if self.submission is not None and self.reference == "kept":
            raise ValueError("a submission goes by the benchmark's rule: --reference official")
        for field, kinds in _OWNERS.items():
            if self.kind not in kinds and getattr(self, field) != _DEFAULTS[field]:
                raise ValueError(f"{field} belongs to {' and '.join(kinds)}, not to {self.kind}")


# Options that only some data sets have.
_OWNERS = {
    "split": ("circo", "cirr", "fashioniq"),
    "gallery": ("fashioniq",),
    "genecis_tasks": ("genecis",),
    "genecis_text": ("genecis",),
    "genecis_crop": ("genecis",),
    "submission": ("circo", "cirr"),
}
_DEFAULTS = {field.name: field.default for field in fields(CirConfig)}
