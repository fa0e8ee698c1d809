"""The step in ONNX Runtime: int8 weights, several times as fast as numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from midirnn.engines.base import EngineState, FloatVector
from midirnn.errors import MissingExtraError, OptionError
from midirnn.models.config import ModelConfig
from midirnn.performance import NUM_PITCHES

OLDEST_ONNXRUNTIME = (1, 23)
"""The first release that multiplies by 8 bit blocks on ARM as well as on x86."""

_OUTPUTS = ("logits", "h_next", "c_next")


class OnnxEngine:
    """One step of the language model, batch 1, in int8: an implementation of ``StepEngine``.

    Runs an ONNX file's bytes as :func:`~midirnn.engines.export.export_onnx` makes them, on one
    thread. Owns the state, which has the form of the numpy engine's: a snapshot of one can be
    restored in the other. The same inputs give the same logits on one machine; they are near
    numpy's but not equal, and processors with other instructions may round otherwise.

    Raises :class:`MissingExtraError` where onnxruntime is not installed, and :class:`OptionError`
    where it is too old or cannot run the model.
    """

    def __init__(self, config: ModelConfig, model: bytes) -> None:
        self._config = config
        self._session = make_session(model)
        try:
            self.reset()
        except Exception as error:  # of a type that onnxruntime does not show
            raise _cannot_run(error) from error

    @property
    def config(self) -> ModelConfig:
        """What the model is made of."""
        return self._config

    def reset(self) -> None:
        """Go to the start of a piece: zero state, the start token fed."""
        shape = (self._config.num_layers, self._config.hidden_size)
        self._h = np.zeros(shape, np.float32)
        self._c = np.zeros(shape, np.float32)
        self.feed(self._config.start_token, np.zeros(NUM_PITCHES, dtype=bool))

    def feed(self, token: int, held: npt.NDArray[np.bool_]) -> None:
        """Take a token in; ``held`` (128,) says what sounds after it."""
        inputs = {"token": np.array(token, np.int64), "h": self._h, "c": self._c}
        if self._config.held_input:
            inputs["held"] = held.reshape(1, NUM_PITCHES)
        logits, self._h, self._c = self._session.run(_OUTPUTS, inputs)
        self._logits: FloatVector = logits[0]

    def logits(self) -> FloatVector:
        """The logits of the next token; shape ``(V,)``. Not to be changed."""
        return self._logits

    def snapshot(self) -> EngineState:
        """The state, to come back to. Costs nothing: each step makes new arrays."""
        return self._h, self._c, self._logits

    def restore(self, state: EngineState) -> None:
        """Go back to a snapshot."""
        self._h, self._c, self._logits = state


def make_session(model: bytes) -> Any:
    """An onnxruntime session that runs a model on one thread, which never spins."""
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
    except Exception as error:  # of a type that onnxruntime does not show
        raise _cannot_run(error) from error


def find_onnxruntime() -> Any:
    """The library onnxruntime. Raises where it is missing or too old; see :class:`OnnxEngine`."""
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
    reason = " ".join(str(error).split()) or type(error).__name__
    return OptionError(
        f"onnxruntime cannot run this model here ({reason}). Use the engine 'numpy' instead"
    )
