"""Reads the weights out of M-LSD's released TFLite files. No TensorFlow.

Flatbuffers are tables of offsets (https://flatbuffers.dev/internals); the numbers below are the
fields of TFLite's schema, version 3. The convolutions of a file stand in the order of
`architecture.layers`; names of tensors are misleading and are not used.
"""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsd.architecture import Layer, layers
from vretr.errors import MismatchError

CONV, DEPTHWISE, DEQUANTIZE = 3, 4, 6  # BuiltinOperator
_TYPES: dict[int, str] = {0: "<f4", 1: "<f2"}  # TensorType
OPERATOR_CODES, SUBGRAPHS, BUFFERS = 1, 2, 4  # of Model
TENSORS, OPERATORS = 0, 3  # of SubGraph
SHAPE, TYPE, BUFFER = 0, 1, 2  # of Tensor
OPCODE, INPUTS, OUTPUTS = 0, 1, 2  # of Operator


class Table:
    """A table of a flatbuffer, at `place`; its fields are found by a vtable before it."""

    def __init__(self, content: bytes, place: int) -> None:
        self._content, self._place = content, place
        self._fields = place - _int32(content, place)
        self._size = struct.unpack_from("<H", content, self._fields)[0]

    def _at(self, field: int) -> int | None:
        entry = 4 + 2 * field
        if entry >= self._size:
            return None
        offset = struct.unpack_from("<H", self._content, self._fields + entry)[0]
        return self._place + offset if offset else None

    def number(self, field: int, kind: str) -> int:
        """A number of struct's `kind`; 0 where it is not given."""
        at = self._at(field)
        return 0 if at is None else struct.unpack_from(f"<{kind}", self._content, at)[0]

    def vector(self, field: int, dtype: str) -> NDArray[np.generic]:
        """Numbers in a row."""
        at = self._at(field)
        if at is None:
            return np.empty(0, dtype)
        start = at + _int32(self._content, at)
        count = _int32(self._content, start)
        return np.frombuffer(self._content, dtype, count, start + 4)

    def tables(self, field: int) -> list["Table"]:
        """Tables in a row."""
        at = self._at(field)
        if at is None:
            return []
        start = at + _int32(self._content, at)
        places = [start + 4 + 4 * number for number in range(_int32(self._content, start))]
        return [Table(self._content, place + _int32(self._content, place)) for place in places]


def _int32(content: bytes, place: int) -> int:
    return struct.unpack_from("<i", content, place)[0]


def read(file: Path) -> dict[str, NDArray[np.float32]]:
    """Weights and biases by the names of `architecture.layers`, as `MLSD.folded` gives them.

    Raises:
        MismatchError: not a TFLite file, or not one of M-LSD's networks.
    """
    content = file.read_bytes()
    if content[4:8] != b"TFL3":
        raise MismatchError(f"{file} is not a TFLite file.")
    try:
        found = _convolutions(Table(content, _int32(content, 0)))
    except (struct.error, ValueError, IndexError, KeyError) as error:
        raise MismatchError(f"{file} is damaged: {error}.") from error
    for size in ("tiny", "large"):
        named = layers(size)
        if len(named) == len(found):
            weights: dict[str, NDArray[np.float32]] = {}
            for (name, layer), (weight, bias) in zip(named.items(), found, strict=True):
                weights[f"{name}.weight"] = _arranged(weight, layer, file)
                weights[f"{name}.bias"] = bias
            return weights
    raise MismatchError(f"{file} has {len(found)} convolutions; M-LSD's networks have 41 or 58.")


def _convolutions(model: Table) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    codes = [max(code.number(0, "b"), code.number(3, "i")) for code in model.tables(OPERATOR_CODES)]
    buffers = model.tables(BUFFERS)
    graph = model.tables(SUBGRAPHS)[0]
    tensors = graph.tables(TENSORS)
    stored: dict[int, int] = {}  # what a DEQUANTIZE gives -> what it takes
    found = []

    def value(number: int) -> NDArray[np.float32]:
        tensor = tensors[stored.get(number, number)]
        content = buffers[tensor.number(BUFFER, "I")].vector(0, "u1").tobytes()
        shape = tuple(int(length) for length in tensor.vector(SHAPE, "<i4"))
        values = np.frombuffer(content, _TYPES[tensor.number(TYPE, "b")])
        return values.reshape(shape).astype(np.float32)

    for operator in graph.tables(OPERATORS):
        code = codes[operator.number(OPCODE, "I")]
        inputs = [int(number) for number in operator.vector(INPUTS, "<i4")]
        if code == DEQUANTIZE:
            stored[int(operator.vector(OUTPUTS, "<i4")[0])] = inputs[0]
        elif code in (CONV, DEPTHWISE):
            found.append((value(inputs[1]), value(inputs[2])))
    return found


def _arranged(weight: NDArray[np.float32], layer: Layer, file: Path) -> NDArray[np.float32]:
    """TFLite's [out, k, k, in], or [1, k, k, channels] of a depthwise one, as [out, in, k, k]."""
    weight = weight.transpose((3, 0, 1, 2) if layer.depthwise else (0, 3, 1, 2))
    if weight.shape[1] == layer.inputs + 1 and not weight[:, layer.inputs :].any():
        weight = weight[:, : layer.inputs]  # the fourth channel of the picture, for phones' GPUs
    wanted = (layer.outputs, 1 if layer.depthwise else layer.inputs, layer.kernel, layer.kernel)
    if weight.shape != wanted:
        raise MismatchError(f"{file} has a layer of {weight.shape}, where M-LSD has {wanted}.")
    return np.ascontiguousarray(weight)
