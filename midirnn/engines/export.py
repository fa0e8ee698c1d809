"""Write a model as an ONNX graph of one step, with its weights in int8.

The graph is written each time an engine starts, in a fifth of a second, from the weights that the
numpy engine uses, so there is no second file to keep in step. The cell is written as nodes, so
that input and state go through one product per layer. The possible products, for 3 x 512 on one
thread of an AMD Zen 4 (ms: a step without sampling; error: of random weights' logits, relative to
their spread; nats: the loss in likelihood of a trained 3 x 384 on 9,600 tokens against fp32):

==============================================  =====  =====  =======
product                                         ms     error  nats
==============================================  =====  =====  =======
DynamicQuantizeMatMul, a scale for each row     0.139  2.0 %  -0.0003
MatMulNBits, a scale for each block of 32       0.141  1.1 %   0.0000
MatMulNBits, blocks of 64                       0.133  1.3 %  +0.0001
MatMulNBits, blocks of 128                      0.119  1.4 %  -0.0001
MatMulNBits, blocks of 256                      0.119  1.5 %   0.0000
==============================================  =====  =====  =======
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from midirnn.engines.base import feature_weights, head_weights
from midirnn.engines.onnx_cells import State, gate_rows, split_step, summed_step
from midirnn.engines.onnx_format import GraphWriter
from midirnn.engines.quantized import BLOCK_SIZE, quantize
from midirnn.engines.state import FloatMatrix
from midirnn.errors import OptionError
from midirnn.models.cells import SummedCell, find_cell
from midirnn.models.checkpoint import Weights
from midirnn.models.config import ModelConfig

INT8_PRODUCTS = 4
"""``accuracy_level``: the inputs are converted to int8 too, block by block, and summed in int32."""


def output_name(head: str) -> str:
    """Return the name in the file of the output of a head."""
    return "logits" if head == "output" else head


PRECISIONS = ("int8", "float32")
"""How the matrices of a file can be stored and multiplied."""


def export_onnx(
    config: ModelConfig,
    weights: Weights,
    *,
    codec_settings: Mapping[str, Any] | None = None,
    precision: str = "int8",
) -> bytes:
    """Return the model as an ONNX file: one step at batch 1, with the state as input and output.

    Inputs are ``token`` (), one array (num_layers, H) for each of the cell's states (``h`` and, for
    an LSTM, ``c``), and ``features`` (1, F), if the model has any: held notes (128), recall (128
    pitches and 39 kinds of matches), controls (28) and style (47), in this order. Outputs are
    ``logits`` (1, V), the next states (``h_next``, ``c_next``) and the weights that features have
    yet to add to the logits (:meth:`midirnn.features.Feature.add`): ``trust`` (1, 39) of recall,
    ``terms`` (1, rows) of the terms.

    In ``int8`` the matrices are quantized symmetrically, with an fp32 scale for every
    :data:`BLOCK_SIZE` weights of a row (operator MatMulNBits of ONNX Runtime, which converts the
    vectors to int8 as well). The table of the first layer's input projections stays fp32, since a
    step reads only one row of it. The model's config, and the codec's settings if given, are in the
    file's metadata as JSON.
    """
    if precision not in PRECISIONS:
        raise OptionError(f"precision is {precision!r}; allowed are {', '.join(PRECISIONS)}")
    if config.architecture not in EXPORTS:
        raise OptionError(
            f"a model of the architecture {config.architecture!r} cannot be exported; known are "
            f"{', '.join(EXPORTS)}"
        )
    return EXPORTS[config.architecture](config, weights, precision).to_bytes(codec_settings)


class _Export:
    """The graph of a model. Owns the writer."""

    def __init__(self, config: ModelConfig, weights: Weights, precision: str) -> None:
        self.config = config
        self.weights = weights
        self.precision = precision
        self.graph = GraphWriter("midirnn_step")
        self.cell = find_cell(config.cell)
        self.rows = gate_rows(self.cell, config.hidden_size)

    def to_bytes(self, codec_settings: Mapping[str, Any] | None) -> bytes:
        """Add all nodes, and return the file."""
        graph, config = self.graph, self.config
        shape = (config.num_layers, config.hidden_size)
        before = [
            graph.split(graph.input(name, np.float32, shape), config.num_layers, axis=0)
            for name in self.cell.states
        ]
        after, x = [], ""
        for layer, state in enumerate(zip(*before, strict=True)):
            h, behind = self._step(layer, self._read(layer, x) if layer else x, state)
            x = graph.node("Add", x, h) if config.residual and layer else h
            after.append(behind)
        self._add_heads(self._read(config.num_layers, x))
        for name, parts in zip(self.cell.states, zip(*after, strict=True), strict=True):
            graph.node(
                "Concat", *parts, name=graph.output(f"{name}_next", np.float32, shape), axis=0
            )
        return graph.to_bytes(_metadata(config, codec_settings))

    def _step(self, layer: int, x: str, state: State) -> tuple[str, State]:
        """Add a layer's step; the first layer reads the token and the features, not x."""
        graph, hidden = self.graph, self.config.hidden_size
        if isinstance(self.cell, SummedCell):
            gates = self._summed_gates(layer, x, state[0]) if layer else self._first_gates(state[0])
            return summed_step(graph, self.cell, gates, state, hidden)
        x_gates = self._product(layer, "weight_ih", x, "bias") if layer else self._first_x_gates()
        h_gates = self._product(layer, "weight_hh", state[0], "recurrent_bias")
        return split_step(graph, self.cell, x_gates, h_gates, state)

    def _first_gates(self, h: str) -> str:
        """Add the first layer's gates (1, G * H), both products in one."""
        row, matrix = self._token_row(), self.weights["layers.0.weight_hh"]
        if (features := self._features()) is not None:
            h = self.graph.node("Concat", h, features[0], axis=1)
            matrix = np.concatenate([matrix, features[1]], axis=1)
        return self.product("layers.0", h, matrix[self.rows], row)

    def _first_x_gates(self) -> str:
        """Add the first layer's input product (1, G * H)."""
        row = self._token_row()
        if (features := self._features()) is not None:
            return self.product("layers.0.features", features[0], features[1][self.rows], row)
        shape = self.graph.constant("layers.0.row_shape", np.array([1, -1], np.int64))
        return self.graph.node("Reshape", row, shape)

    def _token_row(self) -> str:
        """Add what a token contributes to the first layer's gates: a row of a table."""
        w_ih, bias = self.weights["layers.0.weight_ih"], self.weights["layers.0.bias"]
        table = self.weights["embedding.weight"] @ w_ih.T + bias
        rows = self.graph.constant("layers.0.table", np.ascontiguousarray(table[:, self.rows]))
        return self.graph.node("Gather", rows, self.graph.input("token", np.int64, ()), axis=0)

    def _features(self) -> tuple[str, FloatMatrix] | None:
        """Add the features (1, F), if there are any; with their weights (G * H, F)."""
        beside = feature_weights(self.config, self.weights)
        if not beside.shape[1]:
            return None
        features = self.graph.input("features", np.float32, (1, beside.shape[1]))
        return features, self.weights["layers.0.weight_ih"] @ beside

    def _summed_gates(self, layer: int, x: str, h: str) -> str:
        """Add the gates (1, G * H) of a layer after the first, both products in one."""
        name = f"layers.{layer}"
        parts = [self.weights[f"{name}.{part}"] for part in ("weight_ih", "weight_hh")]
        matrix = np.concatenate(parts, axis=1)[self.rows]
        bias = self.graph.constant(f"{name}.bias", self.weights[f"{name}.bias"][self.rows])
        return self.product(name, self.graph.node("Concat", x, h, axis=1), matrix, bias)

    def _product(self, layer: int, weight: str, x: str, bias: str) -> str:
        """Add one of a layer's products (1, G * H)."""
        name, matrix = f"layers.{layer}.{weight}", self.weights[f"layers.{layer}.{weight}"]
        added = self.weights.get(f"layers.{layer}.{bias}", np.zeros(len(matrix), np.float32))
        constant = self.graph.constant(f"layers.{layer}.{bias}", added[self.rows])
        return self.product(name, x, matrix[self.rows], constant)

    def _read(self, layer: int, x: str) -> str:
        """Add what a layer after the first, or the heads, read (1, H) of the layers below."""
        if not self.config.layer_norm:
            return x
        names = (f"norms.{layer - 1}.weight", f"norms.{layer - 1}.bias")
        scale, bias = (self.graph.constant(name, self.weights[name]) for name in names)
        return self.graph.node("LayerNormalization", x, scale, bias, axis=1)

    def _add_heads(self, x: str) -> None:
        """Add the heads: the logits, and the weights of what is added to them."""
        for head, size in self.config.heads.items():
            name = output_name(head)
            bias = self.graph.constant(f"{head}.bias", self.weights[f"{head}.bias"])
            self.product(head, x, head_weights(self.config, self.weights, head), bias, value=name)
            self.graph.output(name, np.float32, (1, size))

    def product(self, name: str, x: str, matrix: FloatMatrix, bias: str, *, value: str = "") -> str:
        """Add ``matrix @ x + bias`` (1, N) for x (1, K)."""
        if self.precision == "int8":
            return product(self.graph, name, x, matrix, bias, value=value)
        weight = self.graph.constant(f"{name}.weight", np.ascontiguousarray(matrix))
        return self.graph.node("Gemm", x, weight, bias, name=value, transB=1)


EXPORTS: dict[str, Callable[[Any, Weights, str], _Export]] = {ModelConfig.architecture: _Export}
"""The classes that build a model's graph, by the name of its architecture."""


def product(
    graph: GraphWriter, name: str, x: str, matrix: FloatMatrix, bias: str, *, value: str = ""
) -> str:
    """Add ``matrix @ x + bias`` (1, N) for x (1, K), in int8."""
    quantized = quantize(matrix)
    rows, columns = matrix.shape
    return graph.node(
        "MatMulNBits",
        x,
        graph.constant(f"{name}.weight", quantized.values),
        graph.constant(f"{name}.scale", quantized.scales),
        "",  # zero points: all 128
        "",  # order of the columns: unchanged
        bias,
        name=value,
        domain="com.microsoft",
        N=rows,
        K=columns,
        bits=8,
        block_size=BLOCK_SIZE,
        accuracy_level=INT8_PRODUCTS,
    )


def _metadata(config: ModelConfig, codec_settings: Mapping[str, Any] | None) -> dict[str, str]:
    metadata = {"midirnn.model": json.dumps(config.to_dict())}
    if codec_settings is not None:
        metadata["midirnn.codec"] = json.dumps(dict(codec_settings))
    return metadata
