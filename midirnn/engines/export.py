"""A model as an ONNX graph of one step, its weights in int8.

The graph is written at each start, in a fifth of a second, from the weights that numpy steps too:
no second file has to come with a model and fit it. The cell is written out, so that input and state
go through one product a layer. Products that it could be, 3 x 512, one thread of an AMD Zen 4 (ms:
a step without sampling; error: of random weights' logits, relative to their spread; nats: how much
less likely a trained 3 x 384 finds 9,600 tokens than in fp32):

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
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from midirnn.codecs.recall import NUM_MATCHES
from midirnn.engines.base import FloatMatrix, feature_weights, head_weights
from midirnn.engines.onnx_format import GraphWriter
from midirnn.models.checkpoint import Weights
from midirnn.models.config import ModelConfig

BLOCK_SIZE = 128
"""How many weights of a row share a scale."""

INT8_PRODUCTS = 4
"""``accuracy_level``: the inputs are made int8 too, block by block, and summed in int32."""

_ZERO_POINT = 128
_LARGEST = 127


@dataclass(frozen=True, eq=False)
class QuantizedMatrix:
    """An int8 matrix (N, K), ``values * scales`` block by block along K."""

    values: npt.NDArray[np.uint8]
    """(N, blocks, block size), 128 for zero; what is behind K in the last block is zero."""
    scales: FloatMatrix
    """(N, blocks)"""


def export_onnx(
    config: ModelConfig, weights: Weights, *, codec_settings: Mapping[str, Any] | None = None
) -> bytes:
    """The model as an ONNX file's bytes: one step at batch 1, the state passed in and out.

    Inputs are ``token`` (), ``h`` and ``c``, each (num_layers, H), and ``features`` (1, F): what
    the config has of held notes (128), of what is recalled (128 pitches and 39 kinds of matches)
    and of controls (28), in this order. Outputs are ``logits`` (1, V), ``h_next``, ``c_next`` and,
    of a model that recalls, ``trust`` (1, 39), which is still to be added to the logits of the
    pitches recalled (:func:`~midirnn.engines.base.boosted`). Matrices are in int8, symmetric, with
    an fp32 scale for every :data:`BLOCK_SIZE` weights of a row (operator MatMulNBits of ONNX
    Runtime, which makes the vectors int8 as well); the table with the first layer's input
    projection of each token stays fp32, since a step reads one row of it. The model's config, and
    the codec's settings if given, are in the file's metadata as JSON.
    """
    graph = GraphWriter("midirnn_step")
    state = (config.num_layers, config.hidden_size)
    h, c = (
        graph.split(graph.input(name, np.float32, state), config.num_layers, axis=0)
        for name in ("h", "c")
    )
    gates = _first_gates(graph, config, weights, h[0])
    x, c_next = _cell(graph, config, gates, c[0])
    h_all, c_all = [x], [c_next]
    for layer in range(1, config.num_layers):
        read = _read(graph, config, weights, layer, x)
        gates = _gates(graph, config, weights, layer, graph.node("Concat", read, h[layer], axis=1))
        y, c_next = _cell(graph, config, gates, c[layer])
        h_all.append(y)
        c_all.append(c_next)
        x = graph.node("Add", x, y) if config.residual else y
    x = _read(graph, config, weights, config.num_layers, x)
    for head, name, size in _heads(config):
        bias = graph.constant(f"{head}.bias", weights[f"{head}.bias"])
        product(graph, head, x, head_weights(config, weights, head), bias, value=name)
        graph.output(name, np.float32, (1, size))
    for name, parts in (("h_next", h_all), ("c_next", c_all)):
        graph.node("Concat", *parts, name=graph.output(name, np.float32, state), axis=0)
    return graph.to_bytes(_metadata(config, codec_settings))


def _heads(config: ModelConfig) -> list[tuple[str, str, int]]:
    """What is made of the last layer: the weights, the output, its size."""
    heads = [("output", "logits", config.vocab_size)]
    return [*heads, ("trust", "trust", NUM_MATCHES)] if config.recall_notes else heads


def product(
    graph: GraphWriter, name: str, x: str, matrix: FloatMatrix, bias: str, *, value: str = ""
) -> str:
    """The value (1, N) of ``matrix @ x + bias`` for x (1, K), in int8."""
    quantized = quantize(matrix)
    rows, columns = matrix.shape
    return graph.node(
        "MatMulNBits",
        x,
        graph.constant(f"{name}.weight", quantized.values),
        graph.constant(f"{name}.scale", quantized.scales),
        "",  # zero points: all 128
        "",  # an order of the columns: as they are
        bias,
        name=value,
        domain="com.microsoft",
        N=rows,
        K=columns,
        bits=8,
        block_size=BLOCK_SIZE,
        accuracy_level=INT8_PRODUCTS,
    )


def quantize(matrix: FloatMatrix, block_size: int = BLOCK_SIZE) -> QuantizedMatrix:
    """The matrix (N, K) in int8, the largest weight of each block at the end of the range."""
    rows, columns = matrix.shape
    blocks = -(-columns // block_size)
    padded = np.zeros((rows, blocks * block_size), np.float32)
    padded[:, :columns] = matrix
    split = padded.reshape(rows, blocks, block_size)
    largest = np.maximum(split.max(axis=2), -split.min(axis=2))
    scales = np.where(largest > 0, largest / np.float32(_LARGEST), np.float32(1)).astype(np.float32)
    values = np.rint(split / scales[:, :, None]) + np.float32(_ZERO_POINT)
    return QuantizedMatrix(values.astype(np.uint8), scales)


def _first_gates(graph: GraphWriter, config: ModelConfig, weights: Weights, h: str) -> str:
    """The first layer's gates (1, 4H): what a token adds is a row of a table."""
    w_ih, matrix = weights["layers.0.weight_ih"], weights["layers.0.weight_hh"]
    table = weights["embedding.weight"] @ w_ih.T + weights["layers.0.bias"]
    order = _gate_order(config)
    rows = graph.constant("layers.0.table", np.ascontiguousarray(table[:, order]))
    row = graph.node("Gather", rows, graph.input("token", np.int64, ()), axis=0)
    beside = feature_weights(config, weights)
    if beside.shape[1]:
        features = graph.input("features", np.float32, (1, beside.shape[1]))
        h = graph.node("Concat", h, features, axis=1)
        matrix = np.concatenate([matrix, w_ih @ beside], axis=1)
    return product(graph, "layers.0", h, matrix[order], row)


def _gates(graph: GraphWriter, config: ModelConfig, weights: Weights, layer: int, x_h: str) -> str:
    """The gates (1, 4H) of a layer after the first, from its input and its h, side by side."""
    name, order = f"layers.{layer}", _gate_order(config)
    matrix = np.concatenate([weights[f"{name}.weight_ih"], weights[f"{name}.weight_hh"]], axis=1)
    bias = graph.constant(f"{name}.bias", weights[f"{name}.bias"][order])
    return product(graph, name, x_h, matrix[order], bias)


def _read(graph: GraphWriter, config: ModelConfig, weights: Weights, layer: int, x: str) -> str:
    """What a layer after the first reads (1, H) of those below it; the output is the last."""
    if not config.layer_norm:
        return x
    name = f"norms.{layer - 1}"
    scale, bias = (
        graph.constant(part, weights[part]) for part in (f"{name}.weight", f"{name}.bias")
    )
    return graph.node("LayerNormalization", x, scale, bias, axis=1)


def _cell(graph: GraphWriter, config: ModelConfig, gates: str, c: str) -> tuple[str, str]:
    """h and c (1, H) behind a step, from its gates (1, 4H)."""
    hidden = config.hidden_size
    sizes = graph.constant(f"{gates}.sizes", np.array([3 * hidden, hidden], np.int64))
    sigmoids, candidate = graph.split(gates, 2, axis=1, sizes=sizes)
    i, f, o = graph.split(graph.node("Sigmoid", sigmoids), 3, axis=1)
    kept = graph.node("Mul", f, c)
    c_next = graph.node("Add", kept, graph.node("Mul", i, graph.node("Tanh", candidate)))
    return graph.node("Mul", o, graph.node("Tanh", c_next)), c_next


def _gate_order(config: ModelConfig) -> npt.NDArray[np.int64]:
    """Rows of the weights, which are in the order i, f, g, o, in the order i, f, o, g."""
    i, f, g, o = np.arange(4 * config.hidden_size).reshape(4, -1)
    return np.concatenate([i, f, o, g])


def _metadata(config: ModelConfig, codec_settings: Mapping[str, Any] | None) -> dict[str, str]:
    metadata = {"midirnn.model": json.dumps(config.to_dict())}
    if codec_settings is not None:
        metadata["midirnn.codec"] = json.dumps(dict(codec_settings))
    return metadata
