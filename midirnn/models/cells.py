"""The recurrent cells: what one step of each computes, and the table of them.

Each step is written once, in terms of :class:`Operations`, which exist for numpy (an engine), torch
(training) and ONNX graphs (export). There are also faster implementations of the same steps:
:mod:`midirnn.models.lstm` and :mod:`midirnn.models.layers` for training,
:mod:`midirnn.engines.numpy_cells` and :mod:`midirnn.engines.onnx_cells` for playing.

To add a cell, write a class here and add it to :data:`CELLS`: models, checkpoints, engines and
export take everything else from it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

from midirnn.errors import CheckpointError

Array = Any
"""A numpy array, a torch tensor or a value of an ONNX graph: all support +, - and *."""

CellState = tuple[Array, ...]
"""What a cell carries from step to step. The first array is h, which is also its output."""


class Operations(Protocol):
    """The functions that a step needs besides +, - and *."""

    def sigmoid(self, x: Array) -> Array:
        """Return the logistic function of each number."""
        ...

    def tanh(self, x: Array) -> Array:
        """Return the hyperbolic tangent of each number."""
        ...

    def split(self, x: Array, parts: int) -> Array:
        """Split the last dimension into equal parts."""
        ...


class Cell(ABC):
    """A kind of recurrent cell. Stateless.

    The weights of a layer of size H that reads I numbers are ``weight_ih`` (G * H, I), ``bias``
    (G * H), ``weight_hh`` (G * H, H) and, if :attr:`has_recurrent_bias`, ``recurrent_bias``
    (G * H), where G is the number of :attr:`gates`. Their rows are in the order of torch.nn.
    """

    name: ClassVar[str]
    """Its key in :data:`CELLS`, and the value of ``--cell``."""
    states: ClassVar[tuple[str, ...]]
    """The names of the arrays in its state, h first."""
    gates: ClassVar[tuple[str, ...]]
    """The names of its gates and candidate values, in the order of the weights' rows."""
    has_recurrent_bias: ClassVar[bool] = False
    """Whether the recurrent product has a bias of its own."""
    initial_bias: ClassVar[Mapping[str, float]] = {}
    """The initial bias of each gate that does not start at 0."""

    @abstractmethod
    def step(
        self, x_gates: Array, h_gates: Array, state: CellState, ops: Operations
    ) -> tuple[Array, CellState]:
        """Return the output h and the next state.

        ``x_gates`` is ``weight_ih @ x + bias``, ``h_gates`` is ``weight_hh @ h + recurrent_bias``;
        both have G * H numbers in the last dimension.
        """

    def weight_shapes(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """Return the shape of each weight of a layer, in the order in which it is initialized."""
        rows = len(self.gates) * hidden_size
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (rows, input_size),
            "weight_hh": (rows, hidden_size),
            "bias": (rows,),
        }
        return shapes | ({"recurrent_bias": (rows,)} if self.has_recurrent_bias else {})


class SummedCell(Cell):
    """A cell that needs only the sum of both products, so that one product can compute it."""

    def step(
        self, x_gates: Array, h_gates: Array, state: CellState, ops: Operations
    ) -> tuple[Array, CellState]:
        """Return the output h and the next state; see :meth:`Cell.step`."""
        return self.step_summed(x_gates + h_gates, state, ops)

    @abstractmethod
    def step_summed(
        self, gates: Array, state: CellState, ops: Operations
    ) -> tuple[Array, CellState]:
        """Return the output h and the next state, given ``x_gates + h_gates``."""


class RNN(SummedCell):
    """The plain recurrent cell, torch.nn.RNN's: J. Elman, "Finding structure in time" (1990).

    ``h' = tanh(U x + V h + b)``, where U is ``weight_ih`` and V is ``weight_hh``.
    """

    name = "rnn"
    states = ("h",)
    gates = ("new",)

    def step_summed(
        self, gates: Array, state: CellState, ops: Operations
    ) -> tuple[Array, CellState]:
        """Return the output h and the next state, given ``x_gates + h_gates``."""
        h = ops.tanh(gates)
        return h, (h,)


class LSTM(SummedCell):
    """The long short-term memory, torch.nn.LSTM's: S. Hochreiter and J. Schmidhuber (1997).

    With the forget gate of F. Gers et al. (2000), which starts open, after R. Jozefowicz et al.
    (2015). Its one bias is the sum of the two that torch.nn.LSTM has.
    """

    name = "lstm"
    states = ("h", "c")
    gates = ("input", "forget", "cell", "output")
    initial_bias: ClassVar[Mapping[str, float]] = {"forget": 1.0}

    def step_summed(
        self, gates: Array, state: CellState, ops: Operations
    ) -> tuple[Array, CellState]:
        """Return the output h and the next state, given ``x_gates + h_gates``."""
        _, c = state
        i, f, g, o = ops.split(gates, 4)
        c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
        h = ops.sigmoid(o) * ops.tanh(c)
        return h, (h, c)


class GRU(Cell):
    """The gated recurrent unit, torch.nn.GRU's: K. Cho et al. (2014).

    As in cuDNN the reset gate is applied after the recurrent product: ``r * (V h + b)``. That bias
    cannot be merged with the input's, so the recurrent product has a bias of its own.
    """

    name = "gru"
    states = ("h",)
    gates = ("reset", "update", "new")
    has_recurrent_bias = True

    def step(
        self, x_gates: Array, h_gates: Array, state: CellState, ops: Operations
    ) -> tuple[Array, CellState]:
        """Return the output h and the next state; see :meth:`Cell.step`."""
        (h,) = state
        x_r, x_z, x_n = ops.split(x_gates, 3)
        h_r, h_z, h_n = ops.split(h_gates, 3)
        reset = ops.sigmoid(x_r + h_r)
        update = ops.sigmoid(x_z + h_z)
        new = ops.tanh(x_n + reset * h_n)
        h = new + update * (h - new)
        return h, (h,)


CELLS: dict[str, Cell] = {cell.name: cell for cell in (RNN(), GRU(), LSTM())}
"""All cells by their names."""


def find_cell(name: str) -> Cell:
    """Return the cell of that name. Raises :class:`CheckpointError` for a name not in the table."""
    if name not in CELLS:
        raise CheckpointError(
            f"there is no cell {name!r}; known are {', '.join(CELLS)}. A model with another cell "
            "needs a newer midirnn"
        )
    return CELLS[name]
