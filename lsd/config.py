"""What the line detector's training, evaluation and use can be told. No torch."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from lsd.architecture import MULTIPLE
from vretr.methods import PATHS
from vretr.training.config import TrainConfig as CoreConfig

_OF_LINES = ("centre", "displacement", "matching", "length", "degree")
LOSSES = (*_OF_LINES, "line", "junction", *(f"sol_{name}" for name in _OF_LINES))


def models() -> Iterable[str]:
    """Names to complete `--model`, `--teacher` and `--start` with."""
    from lsd.files import shipped
    from lsd.released import RELEASED

    return [*shipped(), *RELEASED]


@dataclass(frozen=True, kw_only=True)
class TrainConfig(CoreConfig):
    """Line detector"""

    network: Annotated[
        Literal["tiny", "large"], "0.6 million weights, or 1.5 million and half the speed."
    ] = "tiny"
    size: Annotated[int, "Side of the square that the network is shown in training."] = 512
    data: Annotated[
        tuple[Path, ...],
        "Pictures with their lines, repeatable: wireframe's JSON (L-CNN's or HAWP's), labelme, "
        "York Urban's .mat or lines.json; with the pictures beside them.",
    ] = ()
    rendered: Annotated[int, "Rendered scenes an epoch; their lines are known exactly."] = 0
    photos: Annotated[
        tuple[Path, ...],
        "Photos without lines, repeatable: folders, zips or files that --teacher is shown.",
    ] = ()
    teacher: Annotated[
        str | None,
        "Model whose maps of --photos are learned: mlsd-large, a Run, or a file.",
        models,
    ] = None
    crops: Annotated[int, "Parts of one photo that the teacher is shown, at most."] = 8
    teacher_size: Annotated[
        int,
        "Side of the square that they are squashed to; with a lesser --size, parts are learned.",
    ] = 512
    start: Annotated[
        str | None,
        "Model to start from: all its layers, or the encoder's if it is the other network.",
        models,
    ] = None
    encoder_lr: Annotated[
        float, "Learning rate of the encoder's layers, as a share; 0 keeps them as they are."
    ] = 1.0
    augment: Annotated[bool, "Flip, turn, scale, crop and recolour the pictures at random."] = True
    centre: Annotated[float, "Weight of the loss of the lines' centres; 0: none."] = 10.0
    displacement: Annotated[float, "Of the ends, as seen from the centre."] = 1.0
    matching: Annotated[float, "Of found lines that match a true one (known lines only)."] = 1.0
    length: Annotated[float, "Of the lines' length."] = 1.0
    degree: Annotated[float, "Of the lines' angle."] = 1.0
    line: Annotated[float, "Of the pixels that lie on lines."] = 1.0
    junction: Annotated[float, "Of the lines' ends."] = 1.0
    sol_centre: Annotated[float, "Of the centres of segments of lines (SoL)."] = 1.0
    sol_displacement: Annotated[float, "Of the segments' ends."] = 1.0
    sol_matching: Annotated[float, "Of found segments that match a true one."] = 1.0
    sol_length: Annotated[float, "Of the segments' length."] = 1.0
    sol_degree: Annotated[float, "Of the segments' angle."] = 1.0
    holdout: Annotated[
        float, "Share of pictures kept out of the training; sAP10 on them chooses the best step."
    ] = 0.05
    steps: Annotated[int, "Optimiser steps in all."] = 12_000
    batch_size: Annotated[int, "Pictures a step, over all processes together."] = 64
    lr: Annotated[float, "Highest learning rate (AdamW)."] = 0.01
    weight_decay: Annotated[float, "Weight decay (AdamW)."] = 1e-4
    warmup: Annotated[int, "Steps over which the learning rate rises from 0."] = 400

    def __post_init__(self) -> None:
        """Raises ValueError for a value with which no training is possible."""
        super().__post_init__()
        for name in ("size", "teacher_size"):
            side = getattr(self, name)
            if side < 2 * MULTIPLE or side % MULTIPLE:
                raise ValueError(f"{name} is {side}, but must be a multiple of {MULTIPLE}")
        if self.photos and self.size > self.teacher_size:
            raise ValueError("size must not be more than teacher_size")
        if bool(self.photos) != (self.teacher is not None):
            raise ValueError("photos and teacher are given together, or neither")
        if not 0 <= self.holdout < 1:
            raise ValueError(f"holdout is {self.holdout}, but must be at least 0 and less than 1")
        if self.crops < 1 or self.rendered < 0 or self.encoder_lr < 0:
            raise ValueError("crops must be at least 1, rendered and encoder_lr 0 or more")
        if not any(self.loss_weights.values()):
            raise ValueError("all weights of losses are 0")

    @property
    def loss_weights(self) -> dict[str, float]:
        """The weights of the losses, by their names in `losses.LossWeights`."""
        return {name: getattr(self, name) for name in LOSSES}


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Network"""

    model: Annotated[
        str,
        "The network: a name, a Run of `vretr train lsd`, or a file (.safetensors, .tflite, .pth).",
        models,
    ] = "tiny"
    size: Annotated[
        int | None, "Side of the square that the network sees; default: the model's own."
    ] = None
    resize: Annotated[Literal["area", "bilinear"], "How pictures are made that square."] = "area"
    flip: Annotated[bool, "Also look at the mirror image and take the mean; twice the time."] = (
        False
    )
    subpixel: Annotated[bool, "Ends as means over the cells around a line's centre."] = False
    merge: Annotated[
        float, "Leave out lines whose ends lie within so many pixels of a surer one's; 0: none."
    ] = 0.0
    clip: Annotated[bool, "End lines at the picture's border."] = True
    device: Annotated[str, "auto, cpu, cuda, cuda:1, mps."] = "auto"


@dataclass(frozen=True, kw_only=True)
class DetectConfig(NetworkConfig):
    """Line segments of pictures"""

    paths: Annotated[
        tuple[Path, ...], "Pictures, folders or globs; - reads a list of them from stdin.", PATHS
    ]
    out: Annotated[
        Path | None,
        "Folder for files, by the pictures' names: x.jpg.lines.json, or what is asked for.",
    ] = None
    json: Annotated[bool, "One JSON object a picture, as in a pipe anyway."] = False
    csv: Annotated[bool, "Lines as rows: path, x1, y1, x2, y2, score."] = False
    svg: Annotated[bool, "Lines as a vector drawing of the picture's size."] = False
    overlay: Annotated[bool, "The picture with its lines, to look at: x.jpg.lines.png."] = False
    boxes: Annotated[
        bool, "Also four-sided things: sheets, screens, signs. Rows of --csv are boxes then."
    ] = False
    crops: Annotated[bool, "Each box, cut out and made a rectangle: x.jpg.box-1.png."] = False
    score: Annotated[float, "Only lines that are surer than this, 0 to 1."] = 0.1
    length: Annotated[float, "Only lines longer than this, in pixels of the picture."] = 0.0
    top_k: Annotated[int, "At most so many lines a picture (or a window of it), the surest."] = 200
    tiles: Annotated[
        str,
        "Look at the picture in overlapping windows, so many along its shorter side; 0: never; "
        "auto: 1 where one side is over 3 times the other.",
        ("auto",),
    ] = "auto"
    batch_size: Annotated[int, "Pictures that the network is shown together."] = 8
    workers: Annotated[int | None, "Processes that decode; default: one a processor."] = None

    def __post_init__(self) -> None:
        """Raises ValueError for options that do not go together."""
        if self.out is None:
            if self.overlay or self.crops:
                raise ValueError("overlay and crops write pictures; say where with --out DIR")
            if self.json + self.csv + self.svg > 1:
                raise ValueError("of json, csv and svg one goes to stdout; all go to --out DIR")
        if self.tiles != "auto" and not self.tiles.isdecimal():
            raise ValueError(f"tiles must be auto or a whole number, not {self.tiles}")
        if self.batch_size < 1 or (self.workers is not None and self.workers < 0):
            raise ValueError("batch_size must be at least 1, workers 0 or more")

    @property
    def windows(self) -> int | None:
        """Windows along a picture's shorter side; None: as its shape asks for."""
        return None if self.tiles == "auto" else int(self.tiles)


@dataclass(frozen=True, kw_only=True)
class EvalConfig(NetworkConfig):
    """Line detector"""

    dataset: Annotated[
        str,
        "york-urban, wireframe, or pictures with their lines: a file, folder or zip, as --data of "
        "`vretr train lsd`.",
        ("york-urban", "wireframe"),
    ]
    root: Annotated[Path | None, "Folder or zip where york-urban or wireframe lies."] = None
    top_k: Annotated[
        tuple[int, ...],
        "Lines counted in a picture, repeatable; the number moves sAP by 2 to 3 points.",
    ] = (1000, 200)
    score: Annotated[float, "Only lines surer than this, 0 to 1."] = 0.0
    length: Annotated[float, "Only lines longer than this, in pixels."] = 0.0
    pixels: Annotated[bool, "Measure F^H as well; it takes a second or more for each picture."] = (
        True
    )
    batch_size: Annotated[int, "Pictures that the network is shown together."] = 1

    def __post_init__(self) -> None:
        """Raises ValueError for options with which nothing can be measured."""
        named = self.dataset in ("york-urban", "wireframe")
        if named and self.root is None:
            raise ValueError(f"{self.dataset} needs a root, the folder or zip where it lies")
        if not named and self.root is not None:
            raise ValueError("root belongs to york-urban and wireframe")
        if not self.top_k or min(self.top_k) < 1:
            raise ValueError("top_k must be at least one number, each at least 1")
        if self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}, but must be at least 1")
