"""Writes an ONNX model, as much of the format as a frozen network needs.

ONNX files are protocol buffers; the numbers below are the field numbers of
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto. The `onnx` package would do the same, but
importing it takes longer than everything else that a query does.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

IR_VERSION, OPSET = 8, 17
_TYPES = {np.dtype(np.float32): 1, np.dtype(np.uint8): 2}  # TensorProto.DataType
FLOAT32 = 1
_INT, _STRING, _INTS = 2, 3, 7  # AttributeProto.AttributeType

Attribute = int | str | Sequence[int]


class Graph:
    """Nodes and constants, added in the order of computation; each gives its output's name."""

    def __init__(self) -> None:
        self._nodes: list[bytes] = []
        self._constants: list[list[bytes]] = []

    def constant(self, value: NDArray[np.float32]) -> str:
        """A tensor that the graph carries."""
        name = f"constant{len(self._constants)}"
        dims = b"".join(_number(1, length) for length in value.shape)
        content = np.ascontiguousarray(value).tobytes()
        about = dims + _number(2, _TYPES[value.dtype]) + _text(8, name)
        self._constants.append([about, *_parts(9, [content])])
        return name

    def node(
        self, operator: str, *inputs: str, output: str | None = None, **attributes: Attribute
    ) -> str:
        """An operator of the standard's opset 17 with one output."""
        output = output or f"{operator}{len(self._nodes)}"
        fields = [_text(1, name) for name in inputs]
        fields += [_text(2, output), _text(4, operator)]
        fields += [_bytes(5, _attribute(name, value)) for name, value in attributes.items()]
        self._nodes.append(b"".join(fields))
        return output

    def model(
        self,
        inputs: Mapping[str, tuple[type[np.generic], Sequence[str | int]]],
        *,
        outputs: Sequence[str],
    ) -> bytes:
        """The file's content.

        Args:
            inputs: name -> dtype and shape; a length that is a word may be any.
            outputs: names of float32 outputs, in the order in which they will be given.
        """
        graph = [_bytes(1, node) for node in self._nodes]
        graph += [_text(2, "vretr")]
        for constant in self._constants:
            graph += _parts(5, constant)
        for name, (dtype, shape) in inputs.items():
            kind = _number(1, _TYPES[np.dtype(dtype)]) + _bytes(2, _shape(shape))
            graph += [_bytes(11, _text(1, name) + _bytes(2, _bytes(1, kind)))]
        for name in outputs:
            graph += [_bytes(12, _text(1, name) + _bytes(2, _bytes(1, _number(1, FLOAT32))))]
        opset = _text(1, "") + _number(2, OPSET)
        return b"".join([_number(1, IR_VERSION), *_parts(7, graph), _bytes(8, opset)])


def _attribute(name: str, value: Attribute) -> bytes:
    if isinstance(value, int):
        return _text(1, name) + _number(3, value) + _number(20, _INT)
    if isinstance(value, str):
        return _text(1, name) + _text(4, value) + _number(20, _STRING)
    return _text(1, name) + b"".join(_number(8, item) for item in value) + _number(20, _INTS)


def _shape(lengths: Sequence[str | int]) -> bytes:
    return b"".join(
        _bytes(1, _number(1, length) if isinstance(length, int) else _text(2, length))
        for length in lengths
    )


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return b"".join(_parts(field, [value]))


def _parts(field: int, parts: list[bytes]) -> list[bytes]:
    """A field of the parts' bytes in a row; megabytes are copied once, at the end."""
    return [_varint(field << 3 | 2), _varint(sum(map(len, parts))), *parts]


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth bit says that more follow."""
    content = bytearray()
    while value > 127:
        content.append(value & 127 | 128)
        value >>= 7
    content.append(value)
    return bytes(content)
