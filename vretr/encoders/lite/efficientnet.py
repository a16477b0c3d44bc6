"""EfficientNet-Lite0 (Tan & Le 2019, arXiv:1905.11946, without squeeze-and-excitation and with
ReLU6) as an ONNX graph, each normalisation folded into the convolution before it.

The names of the weights are those of timm's `tf_efficientnet_lite0`.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vretr.images import Preprocessing
from vretr.onnx_graph import Graph

Array = NDArray[np.float32]


class Stage(NamedTuple):
    """Blocks of one width; the first may halve the side."""

    blocks: int
    stride: int
    expanded: bool = True


STAGES = (
    Stage(1, 1, expanded=False),
    Stage(2, 2),
    Stage(2, 2),
    Stage(3, 2),
    Stage(3, 1),
    Stage(4, 2),
    Stage(1, 1),
)
EPSILON = 1e-3  # of the normalisations, as TensorFlow trained them
POOLED_STAGES = (2, 3, 4, 5)  # of 40, 80, 112 and 192 channels
OUTPUTS = ("features", "probabilities", "map", "stages")


def weight_names() -> Iterator[str]:
    """The names of all tensors, in the order of the published file."""
    yield from _names("conv_stem", "bn1")
    for number, stage in enumerate(STAGES):
        for block in range(stage.blocks):
            for convolution, norm in _layers(stage):
                prefix = f"blocks.{number}.{block}."
                yield from _names(prefix + convolution, prefix + norm)
    yield from _names("conv_head", "bn2")
    yield from ("classifier.weight", "classifier.bias")


def _names(convolution: str, norm: str) -> Iterator[str]:
    yield f"{convolution}.weight"
    for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
        yield f"{norm}.{part}"


def _layers(stage: Stage) -> list[tuple[str, str]]:
    if stage.expanded:
        return [("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3")]
    return [("conv_dw", "bn1"), ("conv_pw", "bn2")]


def image_graph(weights: Mapping[str, NDArray[np.floating]], preprocessing: Preprocessing) -> bytes:
    """An ONNX model of uint8 `pixels` [B, 3, S, S], any S, that gives `OUTPUTS`, float32.

    features [B, 1280] are the means of the last convolution; probabilities [B, 1000] are of the
    ImageNet classes; map [B, 320, S/32, S/32] is what the last convolution takes; stages [B, 424]
    are the means of the maps of `POOLED_STAGES`.
    """
    network = _Network(weights)
    graph = network.graph
    mean, std = (
        np.array(values, np.float32).reshape(1, 3, 1, 1)
        for values in (preprocessing.mean, preprocessing.std)
    )
    x = graph.node("Cast", "pixels", to=1)
    x = graph.node("Mul", x, graph.constant(np.float32(1 / 255) / std))
    x = graph.node("Add", x, graph.constant(-mean / std))
    x = network.convolution(x, "conv_stem", "bn1", stride=2)
    pooled = []
    for number, stage in enumerate(STAGES):
        for block in range(stage.blocks):
            stride = stage.stride if block == 0 else 1
            x = network.block(x, f"blocks.{number}.{block}.", stage, stride=stride)
        if number in POOLED_STAGES:
            pooled.append(network.mean(x))
    graph.node("Identity", x, output="map")
    graph.node("Concat", *pooled, output="stages", axis=1)
    x = network.convolution(x, "conv_head", "bn2")
    features = network.mean(x, output="features")
    classifier = [
        graph.constant(weights[f"classifier.{part}"].astype(np.float32))
        for part in ("weight", "bias")
    ]
    x = graph.node("Gemm", features, *classifier, transB=1)
    graph.node("Softmax", x, output="probabilities", axis=1)
    return graph.model({"pixels": (np.uint8, ("B", 3, "H", "W"))}, outputs=OUTPUTS)


class _Network:
    """Adds the network's parts to a graph."""

    def __init__(self, weights: Mapping[str, NDArray[np.floating]]) -> None:
        self.graph = Graph()
        self._weights = weights
        self._zero, self._six = (self.graph.constant(np.array(x, np.float32)) for x in (0, 6))

    def block(self, x: str, prefix: str, stage: Stage, *, stride: int) -> str:
        """Expand, filter each channel, project; the input is added where the shapes agree."""
        before, layers = x, _layers(stage)
        for convolution, norm in layers:
            x = self.convolution(
                x,
                prefix + convolution,
                prefix + norm,
                stride=stride if convolution == "conv_dw" else 1,
                relu6=(convolution, norm) != layers[-1],
            )
        if stride == 1 and self._same_width(prefix, layers):
            return self.graph.node("Add", x, before)
        return x

    def _same_width(self, prefix: str, layers: list[tuple[str, str]]) -> bool:
        first, last = (self._weights[f"{prefix}{layers[end][0]}.weight"] for end in (0, -1))
        depthwise = first.shape[1] == 1
        return last.shape[0] == (first.shape[0] if depthwise else first.shape[1])

    def convolution(
        self, x: str, name: str, norm: str, *, stride: int = 1, relu6: bool = True
    ) -> str:
        """A convolution with its normalisation folded in, padded as TensorFlow pads."""
        weight, bias = folded(self._weights, name, norm)
        x = self.graph.node(
            "Conv",
            x,
            self.graph.constant(weight),
            self.graph.constant(bias),
            auto_pad="SAME_UPPER",
            strides=(stride, stride),
            group=len(weight) if weight.shape[1] == 1 else 1,
        )
        return self.graph.node("Clip", x, self._zero, self._six) if relu6 else x

    def mean(self, x: str, *, output: str | None = None) -> str:
        """Maps [B, C, H, W] -> [B, C]."""
        x = self.graph.node("GlobalAveragePool", x)
        return self.graph.node("Flatten", x, output=output, axis=1)


def folded(
    weights: Mapping[str, NDArray[np.floating]], convolution: str, norm: str
) -> tuple[Array, Array]:
    """Weight and bias of the convolution that does its normalisation's work as well."""
    mean, variance, factor, bias = (
        weights[f"{norm}.{part}"].astype(np.float64)
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    factor /= np.sqrt(variance + EPSILON)
    weight = weights[f"{convolution}.weight"] * factor.reshape(-1, 1, 1, 1).astype(np.float32)
    return weight.astype(np.float32, copy=False), (bias - mean * factor).astype(np.float32)
