"""One step of each recurrent cell as nodes of an ONNX graph, at batch 1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from midirnn.engines.onnx_format import GraphWriter
from midirnn.models.cells import Cell, SummedCell

State = Sequence[str]
"""The values (1, H) of a layer's state, h first."""

SummedStep = Callable[[GraphWriter, str, State, int], tuple[str, State]]
"""``(graph, gates, state, hidden_size) -> (h, state)``, the gates in the order of its entry."""


@dataclass(frozen=True)
class Value:
    """A value of a graph; adding, subtracting and multiplying values adds nodes."""

    graph: GraphWriter
    name: str

    def __add__(self, other: Value) -> Value:
        return self.of("Add", other)

    def __sub__(self, other: Value) -> Value:
        return self.of("Sub", other)

    def __mul__(self, other: Value) -> Value:
        return self.of("Mul", other)

    def of(self, operator: str, *others: Value) -> Value:
        """Return the value of an operator applied to this value and others."""
        names = [other.name for other in others]
        return Value(self.graph, self.graph.node(operator, self.name, *names))


class GraphOperations:
    """The functions of a step, as nodes."""

    @staticmethod
    def sigmoid(x: Value) -> Value:
        """Return the logistic function of each number."""
        return x.of("Sigmoid")

    @staticmethod
    def tanh(x: Value) -> Value:
        """Return the hyperbolic tangent of each number."""
        return x.of("Tanh")

    @staticmethod
    def split(x: Value, parts: int) -> list[Value]:
        """Split a row into equal parts."""
        return [Value(x.graph, name) for name in x.graph.split(x.name, parts, axis=1)]


NODES = GraphOperations()


def lstm_step(graph: GraphWriter, gates: str, state: State, hidden: int) -> tuple[str, State]:
    """Return h and the next state of an LSTM with its gates in the order i, f, o, g.

    In that order one node computes the three sigmoids.
    """
    sizes = graph.constant(f"{gates}.sizes", np.array([3 * hidden, hidden], np.int64))
    sigmoids, candidate = graph.split(gates, 2, axis=1, sizes=sizes)
    i, f, o = graph.split(graph.node("Sigmoid", sigmoids), 3, axis=1)
    kept = graph.node("Mul", f, state[1])
    c = graph.node("Add", kept, graph.node("Mul", i, graph.node("Tanh", candidate)))
    h = graph.node("Mul", o, graph.node("Tanh", c))
    return h, (h, c)


FAST_STEPS: dict[str, tuple[SummedStep, Sequence[int]]] = {"lstm": (lstm_step, (0, 1, 3, 2))}
"""Steps that compute the same as the cell's own in fewer nodes, and the order of their gates."""


def gate_rows(cell: Cell, hidden: int) -> npt.NDArray[np.int64]:
    """Return the order in which a cell's step expects the rows (G * H,) of the weights."""
    _, order = FAST_STEPS.get(cell.name, (None, range(len(cell.gates))))
    rows = np.arange(len(cell.gates) * hidden).reshape(-1, hidden)
    return np.concatenate([rows[gate] for gate in order])


def summed_step(
    graph: GraphWriter, cell: SummedCell, gates: str, state: State, hidden: int
) -> tuple[str, State]:
    """Return h and the next state (1, H), given the sum of the products (1, G * H)."""
    if cell.name in FAST_STEPS:
        return FAST_STEPS[cell.name][0](graph, gates, state, hidden)
    before = tuple(Value(graph, part) for part in state)
    return _named(*cell.step_summed(Value(graph, gates), before, NODES))


def split_step(
    graph: GraphWriter, cell: Cell, x_gates: str, h_gates: str, state: State
) -> tuple[str, State]:
    """Return h and the next state (1, H), given both products (1, G * H)."""
    before = tuple(Value(graph, part) for part in state)
    return _named(*cell.step(Value(graph, x_gates), Value(graph, h_gates), before, NODES))


def _named(h: Value, state: tuple[Value, ...]) -> tuple[str, State]:
    return h.name, [part.name for part in state]
