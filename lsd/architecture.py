"""The two networks of M-LSD as one formula, for torch and for ONNX alike. No torch.

Section 3 of the paper and the graphs of the released files: MobileNetV2 cut short, then a small
decoder that joins its maps from coarse to fine.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol, TypeVar

Size = Literal["tiny", "large"]
Activation = Literal["relu6", "relu", "none"]
X = TypeVar("X")

CHANNELS = 16
"""Of the output: see `Channel`."""
MULTIPLE = 16
"""Sides of the input are multiples of this: each map is then half of the one before."""
CELL = 2
"""Pixels of the input along a cell of the output map."""


class Channel:
    """What the output's channels tell; SoL: of segments of lines, see `targets`."""

    SOL_CENTRE, LINE, JUNCTION = 0, 1, 2
    SOL_DISPLACEMENT = slice(3, 7)
    CENTRE = 7
    DISPLACEMENT = slice(
        8, 12
    )  # x and y of the start, x and y of the end, in cells from the centre
    LENGTH, DEGREE, SOL_LENGTH, SOL_DEGREE = 12, 13, 14, 15
    DETECTION = slice(7, 12)  # all that inference needs


class Layer(NamedTuple):
    """A convolution with its normalisation and activation."""

    inputs: int
    outputs: int
    kernel: int = 1
    stride: int = 1  # 2: padded by one at the bottom and right only, as TensorFlow does
    dilation: int = 1
    depthwise: bool = False
    activation: Activation = "relu"
    normalised: bool = True  # the last one is not, and has a bias


class Bottleneck(NamedTuple):
    """An inverted residual of MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381)."""

    inputs: int
    outputs: int
    stride: int = 1

    @property
    def residual(self) -> bool:
        return self.stride == 1 and self.inputs == self.outputs


WIDTH = 64  # of the decoder's blocks
STEM = 32
BOTTLENECKS = (
    Bottleneck(32, 16),  # not expanded
    *(Bottleneck(16, 24, 2), Bottleneck(24, 24)),
    *(Bottleneck(24, 32, 2), Bottleneck(32, 32), Bottleneck(32, 32)),
    *(Bottleneck(32, 64, 2), Bottleneck(64, 64), Bottleneck(64, 64), Bottleneck(64, 64)),
    *(Bottleneck(64, 96), Bottleneck(96, 96), Bottleneck(96, 96)),
)
# For each join of the decoder: the bottleneck whose map is skipped over, and what both become.
JOINS = {"tiny": ((5, 64, 64), (2, 32, 32)), "large": tuple((k, 64, 64) for k in (9, 5, 2, 0))}
DEEPEST = {"tiny": 9, "large": 12}  # the bottleneck that the decoder starts from


def layers(size: Size) -> dict[str, Layer]:
    """Every convolution by name, in the order of the released files."""
    found = {"stem": Layer(3, STEM, 3, stride=2, activation="relu6")}
    for number, block in enumerate(BOTTLENECKS[: DEEPEST[size] + 1]):
        width = block.inputs * (6 if number else 1)
        name = f"block{number}"
        if number:
            found[f"{name}_expand"] = Layer(block.inputs, width, activation="relu6")
        found[f"{name}_depthwise"] = Layer(
            width, width, 3, stride=block.stride, depthwise=True, activation="relu6"
        )
        found[f"{name}_project"] = Layer(width, block.outputs, activation="none")
    width = BOTTLENECKS[DEEPEST[size]].outputs
    for number, (skipped, fine, coarse) in enumerate(JOINS[size]):
        name, both = f"join{number}", fine + coarse
        found[f"{name}_coarse"] = Layer(width, coarse)
        found[f"{name}_skip"] = Layer(BOTTLENECKS[skipped].outputs, fine)
        found[f"{name}_refine"] = Layer(both, both, 3)
        found[f"{name}_narrow"] = Layer(both, WIDTH, 3)
        width = WIDTH
    found["head_wide"] = Layer(WIDTH, WIDTH, 3, dilation=5)
    found["head_fine"] = Layer(WIDTH, WIDTH, 3)
    found["head_out"] = Layer(WIDTH, CHANNELS, activation="none", normalised=False)
    return found


class Operators(Protocol[X]):
    """What the formula is made of, on maps [B, C, H, W] of any kind."""

    def convolve(self, name: str, x: X) -> X:
        """The layer of that name, its activation included."""

    def convolve_resized(self, name: str, x: X, like: X) -> X:
        """The same on `x` brought to the side of `like`, bilinear between centres of cells."""

    def add(self, a: X, b: X) -> X: ...

    def join(self, a: X, b: X) -> X:
        """Along the channels."""

    def doubled(self, x: X) -> X:
        """Twice the side, bilinear between centres of cells."""


def forward(operators: Operators[X], size: Size, x: X) -> X:
    """Pixels [B, 3, S, S] in [-1, 1] -> logits [B, 16, S/2, S/2]."""
    x = operators.convolve("stem", x)
    seen: list[X] = []
    for number, block in enumerate(BOTTLENECKS[: DEEPEST[size] + 1]):
        before = x
        for part in ("expand", "depthwise", "project") if number else ("depthwise", "project"):
            x = operators.convolve(f"block{number}_{part}", x)
        if block.residual:
            x = operators.add(x, before)
        seen.append(x)
    for number, (skipped, _, _) in enumerate(JOINS[size]):
        name, skip = f"join{number}", seen[skipped]
        coarse = operators.convolve_resized(f"{name}_coarse", x, skip)
        x = operators.join(operators.convolve(f"{name}_skip", skip), coarse)
        x = operators.add(operators.convolve(f"{name}_refine", x), x)
        x = operators.convolve(f"{name}_narrow", x)
    for part in ("wide", "fine", "out"):
        x = operators.convolve(f"head_{part}", x)
    return operators.doubled(x) if size == "tiny" else x


def size_of(tensors: Mapping[str, object]) -> Size:
    """Which of the two has layers of these names."""
    return "large" if "join3_coarse" in {name.partition(".")[0] for name in tensors} else "tiny"
