"""Recurrent layers in numpy, at batch 1: one step of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from midirnn.arrays import Float32Array
from midirnn.models.cells import Cell, SummedCell

Weights = Mapping[str, Float32Array]

State = Sequence[Float32Array]
"""The arrays (H,) of a layer's state, h first."""

HALF = np.float32(0.5)


class NumpyOperations:
    """The functions of a step, in numpy."""

    tanh = staticmethod(np.tanh)

    @staticmethod
    def sigmoid(x: Float32Array) -> Float32Array:
        """Return the logistic function of each number; never overflows."""
        result: Float32Array = HALF + HALF * np.tanh(HALF * x)
        return result

    @staticmethod
    def split(x: Float32Array, parts: int) -> Float32Array:
        """Split a vector into equal parts."""
        return x.reshape(parts, -1)


NUMPY = NumpyOperations()

SummedStep = Callable[[Float32Array, State], tuple[Float32Array, State]]
"""``(gates, state) -> (h, state)``, the gates scaled as :data:`FAST_STEPS` says."""


def lstm_step(gates: Float32Array, state: State) -> tuple[Float32Array, State]:
    """Return h and the next state of an LSTM, given its gates with i, f and o halved.

    The gates are overwritten: those of a batch are large, and fresh memory is slow. All four go
    through one tanh: sigmoid(a) = (1 + tanh(a / 2)) / 2.
    """
    np.tanh(gates, out=gates)
    i, f, g, o = gates.reshape(4, -1)
    for gate in (i, f, o):
        gate *= HALF
        gate += HALF
    f *= state[1]
    i *= g
    c: Float32Array = f + i
    h: Float32Array = o * np.tanh(c)
    return h, (h, c)


FAST_STEPS: dict[str, tuple[SummedStep, Sequence[float]]] = {
    "lstm": (lstm_step, (0.5, 0.5, 1.0, 0.5)),
}
"""Faster steps that compute the same as the cell's own, and the factors of their gates."""


class SummedLayer:
    """A layer of a cell that needs only the sum of its products, so one matrix computes both."""

    def __init__(self, cell: SummedCell, weights: Weights, *, is_first: bool) -> None:
        hidden = weights["weight_hh"].shape[1]
        own: SummedStep = lambda gates, state: cell.step_summed(gates, tuple(state), NUMPY)  # noqa: E731
        self._step, scales = FAST_STEPS.get(cell.name, (own, [1.0] * len(cell.gates)))
        self.scale = np.repeat(np.array(scales, np.float32), hidden)
        """The factors of the weights' rows; shape ``(G * H,)``."""
        rows = len(self.scale)
        w_input = np.zeros((0, rows), np.float32) if is_first else weights["weight_ih"].T
        matrix = np.concatenate([w_input, weights["weight_hh"].T]) * self.scale
        self.matrix = np.ascontiguousarray(matrix.T, np.float32)
        """The weights of both products; shape ``(G * H, I + H)``."""
        self._bias = weights["bias"] * self.scale

    def step(self, x: Float32Array, state: State) -> tuple[Float32Array, State]:
        """Return h and the next state, given what the layer reads (I,)."""
        gates = self.matrix @ np.concatenate([x, state[0]])
        gates += self._bias
        return self._step(gates, state)

    def step_projected(
        self, x_gates: Iterable[Float32Array], state: State
    ) -> tuple[Float32Array, State]:
        """Do the same for the first layer, given the parts (G * H,) of its scaled projection."""
        gates = self.matrix @ state[0]
        for part in x_gates:
            gates += part
        return self._step(gates, state)

    def step_columns(self, x: Float32Array, state: State) -> tuple[Float32Array, State]:
        """Do the same for B pieces at once: ``x`` (I, B), the states (H, B)."""
        gates = self.matrix @ np.concatenate([x, state[0]])
        gates += self._bias[:, None]
        return _flat_step(self._step, gates, state)

    def step_projected_columns(
        self, x_gates: Float32Array, state: State
    ) -> tuple[Float32Array, State]:
        """Do the same for the first layer, given its scaled projection (G * H, B)."""
        gates = self.matrix @ state[0]
        gates += x_gates
        return _flat_step(self._step, gates, state)


def _flat_step(step: SummedStep, gates: Float32Array, state: State) -> tuple[Float32Array, State]:
    """Apply a step, which works element by element, to states (H, B)."""
    h, after = step(gates.ravel(), [part.ravel() for part in state])
    shape = state[0].shape
    return h.reshape(shape), [part.reshape(shape) for part in after]


class SplitLayer:
    """A layer of a cell that needs its input and recurrent products separately."""

    def __init__(self, cell: Cell, weights: Weights, *, is_first: bool) -> None:
        self._cell = cell
        self._w_ih, self._bias = weights["weight_ih"], weights["bias"]
        self.matrix = np.ascontiguousarray(weights["weight_hh"])
        """The weights of the recurrent product; shape ``(G * H, H)``."""
        self._recurrent_bias = weights["recurrent_bias"] if cell.has_recurrent_bias else None
        self.scale = np.ones(len(self.matrix), np.float32)
        """The factors of the weights' rows: all 1."""

    def step(self, x: Float32Array, state: State) -> tuple[Float32Array, State]:
        """Return h and the next state, given what the layer reads (I,)."""
        return self._from_gates(self._w_ih @ x + self._bias, state)

    def step_projected(
        self, x_gates: Iterable[Float32Array], state: State
    ) -> tuple[Float32Array, State]:
        """Do the same for the first layer, given the parts (G * H,) of its projected input."""
        first, *rest = x_gates
        return self._from_gates(sum(rest, first), state)

    def step_columns(self, x: Float32Array, state: State) -> tuple[Float32Array, State]:
        """Do the same for B pieces at once: ``x`` (I, B), the states (H, B)."""
        return self.step_projected_columns(self._w_ih @ x + self._bias[:, None], state)

    def step_projected_columns(
        self, x_gates: Float32Array, state: State
    ) -> tuple[Float32Array, State]:
        """Do the same for the first layer, given its projection (G * H, B)."""
        h_gates = self.matrix @ state[0]
        if self._recurrent_bias is not None:
            h_gates += self._recurrent_bias[:, None]

        def step(gates: Float32Array, flat: State) -> tuple[Float32Array, State]:
            return self._cell.step(x_gates.ravel(), gates, tuple(flat), NUMPY)

        return _flat_step(step, h_gates, state)

    def _from_gates(self, x_gates: Float32Array, state: State) -> tuple[Float32Array, State]:
        h_gates = self.matrix @ state[0]
        if self._recurrent_bias is not None:
            h_gates += self._recurrent_bias
        return self._cell.step(x_gates, h_gates, tuple(state), NUMPY)


def make_layer(cell: Cell, weights: Weights, *, is_first: bool) -> SummedLayer | SplitLayer:
    """Return a layer of a cell with the weights that :class:`Cell` names.

    The first layer takes its input projected: only its ``step_projected`` methods are called.
    """
    if isinstance(cell, SummedCell):
        return SummedLayer(cell, weights, is_first=is_first)
    return SplitLayer(cell, weights, is_first=is_first)


def layer_weights(weights: Weights, layer: int) -> dict[str, Float32Array]:
    """Return the weights of a layer of a model, by the names that :class:`Cell` gives them."""
    start = f"layers.{layer}."
    return {n.removeprefix(start): array for n, array in weights.items() if n.startswith(start)}
