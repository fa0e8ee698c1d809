"""The engine in C++ (``step.cpp``): int8 weights, for playing live with the least delay.

A step, sampling included, takes three quarters of the time that it takes in ONNX Runtime. The
results do not depend on the processor.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from midirnn.engines.base import Advance, RecurrentEngine, feature_weights, head_weights
from midirnn.engines.lanes import LaneBatch, WaitingStep
from midirnn.engines.quantized import QuantizedMatrix, quantize
from midirnn.engines.state import EngineState, FloatMatrix, FloatVector
from midirnn.errors import OptionError
from midirnn.models.cells import LSTM
from midirnn.models.checkpoint import Weights
from midirnn.models.config import ModelConfig
from midirnn.native import INT, INT64, POINTER, Functions, compiled, compiled_before, declared

SOURCE = Path(__file__).with_name("step.cpp")

FLAGS = ("-ffp-contract=off", "-fno-math-errno", "-Wno-psabi")
"""Compiler flags. Multiplications and additions are not fused, so all processors round alike."""

PANEL = 16
"""The rows of a matrix that are multiplied together."""


class NativeEngine(RecurrentEngine):
    """One step of an LSTM, batch 1, on one thread: an implementation of ``StepEngine``.

    Owns the state, which is that of the numpy engine: a snapshot of one can be restored in the
    other. The weights are those of the onnxruntime engine, rounded to int8 block by block, as are
    the activations that the products read. ``path`` names the instruction set, by default the best
    that this processor has; all give the same logits, bit for bit.

    Raises :class:`OptionError` for a model with another cell, and if there is no compiler.
    """

    name = "native"

    def __init__(self, config: ModelConfig, weights: Weights, path: str | None = None) -> None:
        super().__init__(config)
        self._model = NativeModel(config, weights, path)
        self.reset()

    def _advance(self, before: EngineState, token: int, features: FloatVector) -> Advance:
        after, outputs = self._model.step(np.array([token], np.int32), features, *before.state)
        return Advance((after[0], after[1]), [outputs[rows] for rows in self._model.heads])


class NativeBatch(LaneBatch):
    """The lanes of a model: each computes what a :class:`NativeEngine` does, bit for bit."""

    name = "native"

    def __init__(self, config: ModelConfig, weights: Weights, path: str | None = None) -> None:
        super().__init__(config)
        self._model = NativeModel(config, weights, path)

    def _advance(self, steps: Sequence[WaitingStep]) -> None:
        tokens = np.array([step.token for step in steps], np.int32)
        numbers = _stacked([step.numbers for step in steps])
        states = zip(*(step.before.state for step in steps), strict=True)
        (h, c), outputs = self._model.step(tokens, numbers, *map(_stacked, states))
        for index, step in enumerate(steps):
            own = [outputs[index, rows] for rows in self._model.heads]
            step.lane.finish(step, [h[index], c[index]], own)


def _stacked(arrays: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """Stack arrays of one shape as rows: the same as np.stack, in half the time."""
    return np.concatenate(arrays).reshape(len(arrays), *arrays[0].shape)


class NativeModel:
    """The weights of a model in C++. Owns their memory there, which never changes.

    Raises as :class:`NativeEngine` does.
    """

    def __init__(self, config: ModelConfig, weights: Weights, path: str | None = None) -> None:
        if not can_step(config):
            raise OptionError(
                f"the engine 'native' knows LSTMs, and this model has the cell {config.cell!r}. "
                "Use the engine 'onnxruntime' or 'numpy' instead"
            )
        library = native_library()
        if library is None:
            raise OptionError(
                "the engine 'native' is compiled when it is first used, and here is no C++ "
                "compiler that can. Install g++, or use the engine 'onnxruntime' or 'numpy'"
            )
        names = paths(library)
        self._path = names[path or list(names)[-1]]
        self._compute, self._free = library.step_compute, library.step_free
        self._handle = _handle_of(library, config, weights)
        w_ih, bias = weights["layers.0.weight_ih"], weights["layers.0.bias"]
        table = weights["embedding.weight"] @ w_ih.T + bias
        room = np.zeros((len(table), _padded(table.shape[1]) - table.shape[1]), np.float32)
        self._table = np.concatenate([table, room], axis=1, dtype=np.float32)
        sizes = list(config.heads.values())
        self._outputs = _padded(sum(sizes))
        ends = np.cumsum(sizes)
        self.heads = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
        """Which of the outputs belong to each of the model's heads."""

    def step(
        self,
        tokens: npt.NDArray[np.int32],
        features: npt.NDArray[np.float32],
        h: npt.NDArray[np.float32],
        c: npt.NDArray[np.float32],
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return the states (2, ..., L, H) after a step, h then c, and the outputs (..., N).

        ``tokens`` are (B,), ``features`` (..., F), ``h`` and ``c`` (..., L, H), where ... is B, or
        nothing for a single piece.
        """
        features, h, c = map(np.ascontiguousarray, (features, h, c))
        after = np.empty((2, *h.shape), np.float32)
        outputs = np.empty((*h.shape[:-2], self._outputs), np.float32)
        failed = self._compute(
            *(self._handle, self._path, len(tokens), self._table.ctypes.data),
            *(tokens.ctypes.data, features.ctypes.data, h.ctypes.data, c.ctypes.data),
            *(after[0].ctypes.data, after[1].ctypes.data, outputs.ctypes.data),
        )
        if failed:
            raise MemoryError(f"there is not enough memory for a step of {len(tokens)} pieces")
        return after, outputs

    def __del__(self) -> None:
        if handle := getattr(self, "_handle", None):
            self._free(handle)


def _handle_of(library: ctypes.CDLL, config: ModelConfig, weights: Weights) -> int:
    """Return a new model in C++, with its weights."""
    matrices, norms = _matrices(config, weights), _norms(config, weights)
    handle: int | None = library.step_new(
        *(config.num_layers, config.hidden_size),
        *(sum(feature.width for feature in config.inputs), config.residual),
        norms.ctypes.data if norms is not None else None,
        sum(_padded(len(matrix.values)) * matrix.values[0].size for matrix, _ in matrices),
    )
    if handle is None:
        raise MemoryError("there is not enough memory for the model's weights")
    for matrix, bias in matrices:
        rows, blocks, _ = matrix.values.shape
        library.step_add(
            *(handle, rows, blocks),
            *(matrix.values.ctypes.data, matrix.scales.ctypes.data),
            bias.ctypes.data if bias is not None else None,
        )
    return handle


def _matrices(
    config: ModelConfig, weights: Weights
) -> list[tuple[QuantizedMatrix, FloatVector | None]]:
    """Return the matrix and the bias of each layer, and of all heads together.

    The first layer reads its state and the features (its bias is in the table of tokens), the
    others the output of the layer below and their state.
    """
    first = weights["layers.0.weight_ih"] @ feature_weights(config, weights)
    found: list[tuple[FloatMatrix, FloatVector | None]] = [
        (np.concatenate([weights["layers.0.weight_hh"], first], axis=1), None)
    ]
    for layer in range(1, config.num_layers):
        parts = [weights[f"layers.{layer}.{name}"] for name in ("weight_ih", "weight_hh")]
        found.append((np.concatenate(parts, axis=1), weights[f"layers.{layer}.bias"]))
    heads = [head_weights(config, weights, head) for head in config.heads]
    biases = [weights[f"{head}.bias"] for head in config.heads]
    found.append((np.concatenate(heads), np.concatenate(biases)))
    return [
        (quantize(matrix), None if bias is None else np.ascontiguousarray(bias, np.float32))
        for matrix, bias in found
    ]


def _norms(config: ModelConfig, weights: Weights) -> npt.NDArray[np.float32] | None:
    """Return scale and bias of each layer's output, (layers, 2, H); None if there are none."""
    if not config.layer_norm:
        return None
    parts = [
        weights[f"norms.{i}.{n}"] for i in range(config.num_layers) for n in ("weight", "bias")
    ]
    return np.ascontiguousarray(np.stack(parts), np.float32)


def _padded(rows: int) -> int:
    return -(-rows // PANEL) * PANEL


def can_step(config: ModelConfig) -> bool:
    """Return whether the engine can compute a model."""
    return config.cell == LSTM.name


def native_now(config: ModelConfig) -> bool:
    """Return whether the engine can be used at once and is the fastest here.

    If it only lacks compiling, that is started in another process.
    """
    if not can_step(config) or compiled_before(SOURCE, FLAGS) is None:
        return False
    library = native_library()
    return library is not None and len(paths(library)) > 1


def paths(library: ctypes.CDLL) -> dict[str, int]:
    """Return the number of each path that works here, by name; the fastest comes last."""
    return {
        library.step_path_name(number).decode(): number
        for number in range(library.step_path_count())
        if library.step_path_works(number)
    }


_FUNCTIONS: Functions = {
    "step_path_name": (ctypes.c_char_p, [INT]),
    "step_new": (POINTER, [*([INT] * 4), POINTER, INT64]),
    "step_free": (None, [POINTER]),
    "step_add": (None, [POINTER, INT, INT, *([POINTER] * 3)]),
    "step_compute": (INT, [POINTER, INT, INT, *([POINTER] * 8)]),
}


@functools.cache
def native_library() -> ctypes.CDLL | None:
    """Return the compiled ``step.cpp``; None where that is not possible."""
    library = compiled(SOURCE, FLAGS)
    return declared(library, _FUNCTIONS) if library else None
