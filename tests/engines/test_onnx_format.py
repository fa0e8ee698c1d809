"""The ONNX files written by hand are read by ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from midirnn.engines.export import PRECISIONS, export_onnx
from midirnn.engines.onnx_engine import make_session
from midirnn.engines.onnx_format import DATA_TYPES, GraphWriter
from midirnn.models.config import ModelConfig
from tests.engines.stepping import CONFIGS, trained_weights

pytest.importorskip("onnxruntime", reason="reads the files that are written here")


def added_to(array: npt.NDArray[np.float32], metadata: dict[str, str] | None = None) -> Any:
    """A session that adds an array to its input x."""
    graph = GraphWriter("adding")
    x = graph.input("x", array.dtype, array.shape)
    graph.node("Add", x, graph.constant("array", array), name="y")
    graph.output("y", array.dtype, array.shape)
    return make_session(graph.to_bytes(metadata or {}))


# Lengths of messages on both sides of where they take another byte: 2**7, 2**14, 2**21.
@pytest.mark.parametrize("size", [1, 30, 31, 32, 33, 127, 128, 4000, 4096, 524_280, 524_300])
def test_constants_of_any_length_come_through(size: int) -> None:
    array = np.arange(size, dtype=np.float32)
    (y,) = added_to(array).run(None, {"x": np.ones(size, np.float32)})
    assert np.array_equal(y, array + 1)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3, 4), (300, 1)])
def test_shapes_come_through(shape: tuple[int, ...]) -> None:
    session = added_to(np.ones(shape, np.float32))
    assert session.get_inputs()[0].shape == session.get_outputs()[0].shape == list(shape)
    (y,) = session.run(None, {"x": np.ones(shape, np.float32)})
    assert y.shape == shape


@pytest.mark.parametrize("dtype", DATA_TYPES)
def test_every_type_of_array_comes_through(dtype: np.dtype[Any]) -> None:
    array = np.array([0, 1, 1], dtype)
    graph = GraphWriter("constant")
    graph.node("Identity", graph.constant("array", array), name="y")
    graph.output("y", dtype, (3,))
    (y,) = make_session(graph.to_bytes({})).run(None, {})
    assert y.dtype == dtype
    assert np.array_equal(y, array)


def test_an_array_of_the_other_byte_order_is_turned_round() -> None:
    array = np.array([1.0, 2.0], np.float32)
    (y,) = added_to(array.astype(">f4")).run(None, {"x": np.zeros(2, np.float32)})
    assert np.array_equal(y, array)


def test_an_array_that_does_not_lie_in_a_row_comes_through() -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4).T
    (y,) = added_to(array).run(None, {"x": np.zeros((4, 3), np.float32)})
    assert np.array_equal(y, array)


def test_a_value_is_split_evenly_or_by_sizes() -> None:
    graph = GraphWriter("parts")
    x = graph.input("x", np.float32, (6,))
    sizes = graph.constant("sizes", np.array([1, 5], np.int64))
    one, five = graph.split(x, 2, axis=0, sizes=sizes)
    for name, value in zip("abc", [*graph.split(x, 2, axis=0), one], strict=True):
        graph.node("Identity", value, name=graph.output(name, np.float32, (len(name),)))
    assert five
    outputs = make_session(graph.to_bytes({})).run(list("abc"), {"x": np.arange(6, dtype="f4")})
    assert [part.tolist() for part in outputs] == [[0, 1, 2], [3, 4, 5], [0]]


def test_metadata_come_through_in_any_script() -> None:
    metadata = {"name": "Klavier ♪", "empty": ""}
    session = added_to(np.ones(2, np.float32), metadata)
    assert session.get_modelmeta().custom_metadata_map == metadata
    assert session.get_modelmeta().producer_name == "midirnn"


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_package_onnx_finds_nothing_wrong(config: ModelConfig, precision: str) -> None:
    onnx = pytest.importorskip("onnx", reason="checks the files that are written here")
    content = export_onnx(config, trained_weights(config), precision=precision)
    model = onnx.load_from_string(content)
    # With float32 all operators are ONNX's own, so that shapes and types are checked too.
    onnx.checker.check_model(model, full_check=precision == "float32")
    assert {node.op_type for node in model.graph.node} >= {"Gather", "Concat", "Tanh"}


def test_the_package_onnx_reads_the_same_arrays() -> None:
    onnx = pytest.importorskip("onnx", reason="reads the files that are written here")
    config = CONFIGS[1]
    weights = trained_weights(config)
    model = onnx.load_from_string(export_onnx(config, weights, precision="float32"))
    found = {c.name: onnx.numpy_helper.to_array(c) for c in model.graph.initializer}
    assert np.array_equal(found["output.weight"], weights["output.weight"])
    assert np.array_equal(found["output.bias"], weights["output.bias"])
