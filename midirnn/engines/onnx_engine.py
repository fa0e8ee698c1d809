"""The engine in ONNX Runtime: int8 weights, several times as fast as numpy."""

from __future__ import annotations

from typing import Any

import numpy as np

from midirnn.engines.base import Advance, RecurrentEngine
from midirnn.engines.export import output_name
from midirnn.engines.state import EngineState, FloatVector
from midirnn.errors import MissingExtraError, OptionError
from midirnn.files import reason_of
from midirnn.models.cells import find_cell
from midirnn.models.config import ModelConfig

OLDEST_ONNXRUNTIME = (1, 23)
"""The first release that multiplies 8-bit blocks on ARM as well as on x86."""


class OnnxEngine(RecurrentEngine):
    """One step of the language model, batch 1, on one thread: an implementation of ``StepEngine``.

    ``model`` is an ONNX file as :func:`~midirnn.engines.export.export_onnx` returns it. Owns the
    state, which is that of the numpy engine: a snapshot of one can be restored in the other. On one
    machine the same inputs give the same logits. In int8 they are close to numpy's but not equal,
    and processors with other instruction sets may round differently.

    Raises :class:`MissingExtraError` where onnxruntime is not installed, and :class:`OptionError`
    where it is too old or cannot run the model.
    """

    name = "onnxruntime"

    def __init__(self, config: ModelConfig, model: bytes) -> None:
        super().__init__(config)
        self._states = find_cell(config.cell).states
        self._outputs = [
            *(f"{name}_next" for name in self._states),
            *(output_name(head) for head in config.heads),
        ]
        self._session = make_session(model)
        try:
            self.reset()
            self.logits()
        except Exception as error:  # of a type that onnxruntime does not export
            raise _cannot_run(error) from error

    def _advance(self, before: EngineState, token: int, features: FloatVector) -> Advance:
        inputs: dict[str, Any] = dict(zip(self._states, before.state, strict=True))
        inputs["token"] = np.array(token, np.int64)
        if len(features):
            inputs["features"] = features.reshape(1, -1)
        found = self._session.run(self._outputs, inputs)
        count = len(self._states)
        return Advance(tuple(found[:count]), [output[0] for output in found[count:]])


def make_session(model: bytes) -> Any:
    """Return an onnxruntime session that runs a model on one thread, without spinning."""
    onnxruntime = find_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3  # errors, no warnings
    for pool in ("intra_op", "inter_op"):
        options.add_session_config_entry(f"session.{pool}.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of a type that onnxruntime does not export
        raise _cannot_run(error) from error


def find_onnxruntime() -> Any:
    """Import onnxruntime. Raises where it is missing or too old; see :class:`OnnxEngine`."""
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("onnxruntime", "fast", "the engine 'onnxruntime'") from error
    version = str(onnxruntime.__version__)
    if tuple(map(int, version.split(".")[:2])) < OLDEST_ONNXRUNTIME:
        oldest = ".".join(map(str, OLDEST_ONNXRUNTIME))
        raise OptionError(
            f"onnxruntime is {version}; the engine 'onnxruntime' needs {oldest} or newer. "
            "Update it with: pip install --upgrade 'midirnn[fast]'"
        )
    return onnxruntime


def _cannot_run(error: Exception) -> OptionError:
    return OptionError(
        f"onnxruntime cannot run this model here ({reason_of(error)}). "
        "Use the engine 'numpy' instead"
    )
