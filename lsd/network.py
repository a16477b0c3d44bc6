"""M-LSD in onnxruntime: float32 on the processor, without torch."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsd.architecture import Channel, Layer, Size, forward, layers, size_of
from vretr.onnx_graph import Graph

Weights = Mapping[str, NDArray[np.floating]]
Array = NDArray[np.float32]


class Map(NamedTuple):
    """A map's name in the graph, and how many pixels of the input lie along its cells."""

    name: str
    cell: int


class GraphOperators:
    """Adds the network's parts to a graph, with only these channels of the output."""

    def __init__(self, weights: Weights, size: Size, channels: slice) -> None:
        self.graph = Graph()
        self._layers, self._weights, self._channels = layers(size), weights, channels
        self._zero, self._six = (self.graph.constant(np.array(x, np.float32)) for x in (0, 6))
        self._twice = self.graph.constant(np.array([1, 1, 2, 2], np.float32))

    def convolve(self, name: str, x: Map) -> Map:
        return self._activated(self._layers[name], self._linear(name, x))

    def convolve_resized(self, name: str, x: Map, like: Map) -> Map:
        x = self._linear(name, x)  # at the smaller side: see `MLSD.convolve_resized`
        return self._activated(self._layers[name], self.doubled(x) if x.cell > like.cell else x)

    def add(self, a: Map, b: Map) -> Map:
        return Map(self.graph.node("Add", a.name, b.name), a.cell)

    def join(self, a: Map, b: Map) -> Map:
        return Map(self.graph.node("Concat", a.name, b.name, axis=1), a.cell)

    def doubled(self, x: Map) -> Map:
        name = self.graph.node(
            "Resize",
            x.name,
            "",
            self._twice,
            coordinate_transformation_mode="half_pixel",
            mode="linear",
        )
        return Map(name, x.cell // 2)

    def _linear(self, name: str, x: Map) -> Map:
        layer = self._layers[name]
        weight, bias = (
            self._weights[f"{name}.{part}"].astype(np.float32) for part in ("weight", "bias")
        )
        if name == "head_out":
            weight, bias = weight[self._channels], bias[self._channels]
        pad = layer.dilation * (layer.kernel // 2)
        first = pad if layer.stride == 1 else 0
        convolved = self.graph.node(
            "Conv",
            x.name,
            self.graph.constant(weight),
            self.graph.constant(bias),
            kernel_shape=(layer.kernel, layer.kernel),
            pads=(first, first, pad, pad),
            strides=(layer.stride, layer.stride),
            dilations=(layer.dilation, layer.dilation),
            group=layer.inputs if layer.depthwise else 1,
        )
        return Map(convolved, x.cell * layer.stride)

    def _activated(self, layer: Layer, x: Map) -> Map:
        if layer.activation == "none":
            return x
        if layer.activation == "relu":
            return Map(self.graph.node("Relu", x.name), x.cell)
        return Map(self.graph.node("Clip", x.name, self._zero, self._six), x.cell)


def graph(weights: Weights, channels: slice = Channel.DETECTION) -> bytes:
    """An ONNX model of uint8 `pixels` [B, S, S, 3] that gives `maps` [B, C, S/2, S/2] float32: the
    channels asked for, as they leave the network."""
    size = size_of(weights)
    operators = GraphOperators(weights, size, channels)
    nodes = operators.graph
    x = nodes.node("Transpose", nodes.node("Cast", "pixels", to=1), perm=(0, 3, 1, 2))
    x = nodes.node("Mul", x, nodes.constant(np.array(1 / 127.5, np.float32)))
    x = nodes.node("Add", x, nodes.constant(np.array(-1, np.float32)))
    last = forward(operators, size, Map(x, 1))
    nodes.node("Identity", last.name, output="maps")
    return nodes.model({"pixels": (np.uint8, ("B", "H", "W", 3))}, outputs=["maps"])


class OnnxNetwork:
    """uint8 [B, S, S, 3] -> float32 [B, C, S/2, S/2] on the processor.

    Args:
        weights: folded, see `MLSD.folded`.
        channels: of the output; by default the centre's logit and the four displacements.
        threads: of one convolution; 0: as many as there are cores.
    """

    def __init__(
        self, weights: Weights, *, channels: slice = Channel.DETECTION, threads: int = 0
    ) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            graph(weights, channels), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, pixels: NDArray[np.uint8]) -> Array:
        return self._session.run(["maps"], {"pixels": np.ascontiguousarray(pixels)})[0]
