"""The state of an engine: its parts, the models it belongs to, and how two states are blended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from midirnn.errors import OptionError
from midirnn.models.cells import find_cell
from midirnn.models.config import ModelConfig
from midirnn.models.windowed_config import WindowedConfig

FloatVector = npt.NDArray[np.float32]
FloatMatrix = npt.NDArray[np.float32]

Memories = Mapping[str, Any]
"""What features remember, by name; see :meth:`midirnn.features.Feature.start`."""

RecurrentState = tuple[FloatMatrix, ...]
"""An array (num_layers, H) for each of the cell's states, h first; see also WindowLayout."""


class StateLayout(NamedTuple):
    """The models that a recurrent state belongs to: those with the same cell and sizes."""

    cell: str
    num_layers: int
    hidden_size: int

    @classmethod
    def of(cls, config: ModelConfig) -> StateLayout:
        """Return the layout of the states of a model."""
        return cls(config.cell, config.num_layers, config.hidden_size)

    def zeros(self) -> RecurrentState:
        """Return the state before a piece."""
        shape = (self.num_layers, self.hidden_size)
        return tuple(np.zeros(shape, np.float32) for _ in find_cell(self.cell).states)

    def __str__(self) -> str:
        return f"{self.cell} {self.num_layers} x {self.hidden_size}"


class WindowLayout(NamedTuple):
    """The same for models that keep a window of tokens: those with arrays of the same shapes."""

    architecture: str
    shapes: tuple[tuple[int, int], ...]

    def zeros(self) -> RecurrentState:
        """Return the state before a piece."""
        return tuple(np.zeros(shape, np.float32) for shape in self.shapes)

    def __str__(self) -> str:
        return f"{self.architecture} {' and '.join(f'{a} x {b}' for a, b in self.shapes)}"


Layout = StateLayout | WindowLayout


def layout_of(config: ModelConfig) -> Layout:
    """Return the layout of the states of a model."""
    if isinstance(config, WindowedConfig):
        return WindowLayout(config.architecture, config.state_shapes)
    return StateLayout.of(config)


class EngineState:
    """All that the next logits depend on. Immutable.

    The result of a step may be computed :meth:`later`, when it is first read, so that a sampled
    note can sound before the model has processed it.
    """

    __slots__ = ("_later", "_parts", "layout")

    def __init__(
        self,
        layout: Layout,
        state: RecurrentState,
        logits: FloatVector,
        memories: Memories,
    ) -> None:
        self.layout = layout
        """The models that the state belongs to."""
        self._parts: _Parts | None = _Parts(state, logits, memories)
        self._later: Callable[[], EngineState] | None = None

    @classmethod
    def later(cls, layout: Layout, compute: Callable[[], EngineState]) -> EngineState:
        """Return the state that ``compute`` returns, which is called once, at the first read."""
        state = cls.__new__(cls)
        state.layout, state._parts, state._later = layout, None, compute
        return state

    @property
    def state(self) -> RecurrentState:
        """The recurrent state."""
        return self._known.state

    @property
    def logits(self) -> FloatVector:
        """The logits of the next token; shape ``(V,)``."""
        return self._known.logits

    @property
    def memories(self) -> Memories:
        """What features remember of the tokens so far, by name; not to be changed."""
        return self._known.memories

    @property
    def is_computed(self) -> bool:
        """Whether the state has been computed, so that reading it takes no time."""
        return self._parts is not None

    def compute(self) -> None:
        """Compute the state now, unless it has been computed."""
        _ = self._known

    def replace(self, **parts: Any) -> EngineState:
        """Return the state with other parts."""
        return EngineState(self.layout, **(self._known._asdict() | parts))

    @property
    def _known(self) -> _Parts:
        later = self._later
        if self._parts is None:
            assert later is not None
            self._parts = later()._known
            self._later = None  # only now, when all threads find the parts
        return self._parts

    def __reduce__(self) -> tuple[Any, ...]:
        return EngineState, (self.layout, *self._known)


class _Parts(NamedTuple):
    """The parts of a state that has been computed."""

    state: RecurrentState
    logits: FloatVector
    memories: Memories


def blend(a: EngineState, b: EngineState, share: float) -> EngineState:
    """Return the mean of two states, of which ``b`` has a ``share`` from 0 to 1.

    Recurrent states and logits are averaged. The memories of features cannot be, and are taken from
    the state with the larger share. Raises :class:`OptionError` for states of different models.
    """
    if a.layout != b.layout:
        raise OptionError(
            f"states of different models cannot be blended: {a.layout} and {b.layout}. "
            "Store both with the same model"
        )
    shares = np.array([1.0 - share, share], np.float32)
    shares /= shares.sum()
    base = b if shares[1] > shares[0] else a
    return base.replace(
        state=tuple(np.tensordot(shares, parts, 1) for parts in zip(a.state, b.state, strict=True)),
        logits=np.tensordot(shares, (a.logits, b.logits), 1),
    )
