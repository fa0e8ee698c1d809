"""Write ONNX files: the few protobuf messages that a graph of tensors needs.

A graph is written each time an engine starts, so it has to be quick. The package ``onnx`` could
write it too, but importing that takes 0.09 s of processor time, a fifth of the start of a model,
and 12 MB of memory (``piano``, the best of 12 pairs, Intel Xeon). The tests use ``onnx`` to check
and read what is written here.

Field numbers are those of ``onnx.proto3``
(https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3); messages are written as the Protocol
Buffers encoding prescribes: a key, then a varint or a length and as many bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

IR_VERSION = 8
OPSETS = {"": 17, "com.microsoft": 1}

DATA_TYPES = {
    np.dtype(np.float32): 1,
    np.dtype(np.uint8): 2,
    np.dtype(np.int64): 7,
    np.dtype(np.bool_): 9,
}
"""The ``TensorProto.DataType`` of each type of array that can be written."""

_ATTRIBUTE_INT = 2

Shape = Sequence[int]


class GraphWriter:
    """An ONNX graph under construction. Values are referred to by their names, which it owns."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[bytes] = []
        self._constants: list[bytes] = []
        self._inputs: list[bytes] = []
        self._outputs: list[bytes] = []
        self._values = 0

    def input(self, name: str, dtype: npt.DTypeLike, shape: Shape) -> str:
        """Add an input: a value that is passed to each run."""
        self._inputs.append(_value_info(name, data_type(dtype), shape))
        return name

    def output(self, name: str, dtype: npt.DTypeLike, shape: Shape) -> str:
        """Add an output: a value that a run returns. A node must compute it."""
        self._outputs.append(_value_info(name, data_type(dtype), shape))
        return name

    def constant(self, name: str, array: npt.NDArray[Any]) -> str:
        """Add an array that is part of the model."""
        self._constants.append(_tensor(name, array))
        return name

    def node(
        self, operator: str, *inputs: str, name: str = "", domain: str = "", **attributes: int
    ) -> str:
        """Add a node and return its output; ``""`` stands for an input that is omitted."""
        (value,) = self._add(operator, inputs, [name or self._name_value()], domain, attributes)
        return value

    def split(self, value: str, parts: int, *, axis: int, sizes: str = "") -> list[str]:
        """Split a value along an axis, into equal parts or by a constant of sizes."""
        inputs = [value, sizes] if sizes else [value]
        return self._add(
            "Split", inputs, [self._name_value() for _ in range(parts)], "", {"axis": axis}
        )

    def to_bytes(self, metadata: Mapping[str, str]) -> bytes:
        """Return the ONNX file (``ModelProto``) with this graph."""
        graph = b"".join(
            [
                *(_field(1, node) for node in self._nodes),
                _field(2, self._name),
                *(_field(5, constant) for constant in self._constants),
                *(_field(11, value) for value in self._inputs),
                *(_field(12, value) for value in self._outputs),
            ]
        )
        model = [_integer(1, IR_VERSION), _field(2, "midirnn"), _field(7, graph)]
        model += [
            _field(8, _field(1, domain) + _integer(2, version))
            for domain, version in OPSETS.items()
        ]
        model += [_field(14, _field(1, key) + _field(2, text)) for key, text in metadata.items()]
        return b"".join(model)

    def _add(
        self,
        operator: str,
        inputs: Iterable[str],
        outputs: list[str],
        domain: str,
        attributes: Mapping[str, int],
    ) -> list[str]:
        """Add a node (``NodeProto``) and return its outputs."""
        message = [_field(1, name) for name in inputs]
        message += [_field(2, name) for name in outputs]
        message += [_field(3, f"{operator}_{len(self._nodes)}"), _field(4, operator)]
        message += [_field(5, _attribute(name, value)) for name, value in attributes.items()]
        message += [_field(7, domain)] if domain else []
        self._nodes.append(b"".join(message))
        return outputs

    def _name_value(self) -> str:
        self._values += 1
        return f"value_{self._values}"


def data_type(dtype: npt.DTypeLike) -> int:
    """Return ONNX's number for an array's type."""
    return DATA_TYPES[np.dtype(dtype).newbyteorder("=")]


def _attribute(name: str, value: int) -> bytes:
    """Return an ``AttributeProto`` with an integer."""
    return _field(1, name) + _integer(3, value) + _integer(20, _ATTRIBUTE_INT)


def _tensor(name: str, array: npt.NDArray[Any]) -> bytes:
    """Return a ``TensorProto``; its bytes are little-endian."""
    dims = [_integer(1, length) for length in array.shape]
    raw = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return b"".join([*dims, _integer(2, data_type(array.dtype)), _field(8, name), _field(9, raw)])


def _value_info(name: str, element_type: int, shape: Shape) -> bytes:
    """Return the ``ValueInfoProto`` of a tensor of fixed shape."""
    dims = b"".join(_field(1, _integer(1, length)) for length in shape)
    return _field(1, name) + _field(2, _field(1, _integer(1, element_type) + _field(2, dims)))


def _integer(field: int, value: int) -> bytes:
    """Return a field with an integer, which must not be negative."""
    return _varint(field << 3) + _varint(value)


def _field(field: int, content: bytes | str) -> bytes:
    """Return a field with text, bytes or another message."""
    encoded = content.encode() if isinstance(content, str) else content
    return b"".join([_varint(field << 3 | 2), _varint(len(encoded)), encoded])


def _varint(value: int) -> bytes:
    """Encode an integer: seven bits to a byte, lowest first, with bit 7 set in all but the last."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
