"""What an engine is: one step of a trained model, without torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from midirnn.codecs.controls import NUM_CONTROL_INPUTS
from midirnn.codecs.recall import LENGTHS, NO_MATCHES, NUM_MATCHES, Matches, recall, remember
from midirnn.errors import OptionError
from midirnn.models.cells import find_cell
from midirnn.models.config import ModelConfig
from midirnn.performance import NUM_PITCHES

FloatVector = npt.NDArray[np.float32]
FloatMatrix = npt.NDArray[np.float32]

RecurrentState = tuple[FloatMatrix, ...]
"""An array (num_layers, H) for each of the cell's states, h first."""

_NOTHING_ASKED = np.zeros(NUM_CONTROL_INPUTS, np.float32)
_NO_FEATURES = np.zeros(0, np.float32)
_SILENCE = np.zeros(NUM_PITCHES, dtype=bool)

RECENT_STEPS = 64
"""So many steps are known by heart."""


class StateLayout(NamedTuple):
    """Which models a recurrent state belongs to: those of the same cell and sizes."""

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


class EngineState:
    """All that the next logits depend on. Immutable.

    What a step computes may be computed :meth:`later`, when it is first read: a note that was drawn
    can sound before the model has taken it in.
    """

    __slots__ = ("_later", "_parts", "layout")

    def __init__(
        self,
        layout: StateLayout,
        state: RecurrentState,
        logits: FloatVector,
        history: bytes = b"",
        matches: Matches = NO_MATCHES,
    ) -> None:
        self.layout = layout
        """The models that the state belongs to."""
        self._parts: _Parts | None = _Parts(state, logits, history, matches)
        self._later: Callable[[], EngineState] | None = None

    @classmethod
    def later(cls, layout: StateLayout, compute: Callable[[], EngineState]) -> EngineState:
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
    def history(self) -> bytes:
        """The last pitches, for a model with recall."""
        return self._known.history

    @property
    def matches(self) -> Matches:
        """The matches that recall has found for them."""
        return self._known.matches

    @property
    def is_computed(self) -> bool:
        """Whether reading the state takes no time any more."""
        return self._parts is not None

    def compute(self) -> None:
        """Compute the state now, unless that has been done."""
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
            self._later = None  # now that all threads find the parts
        return self._parts

    def __iter__(self) -> Iterator[Any]:
        return iter(self._known)

    def __reduce__(self) -> tuple[Any, ...]:
        return EngineState, (self.layout, *self._known)


class _Parts(NamedTuple):
    """The parts of a state that has been computed."""

    state: RecurrentState
    logits: FloatVector
    history: bytes
    matches: Matches


def blend(a: EngineState, b: EngineState, share: float) -> EngineState:
    """Return the mean of two states, of which ``b`` has a ``share`` from 0 to 1.

    Recurrent states and logits are averaged; what cannot be, the pitches heard, is taken from the
    state with the larger share. Raises :class:`OptionError` for states of different models.
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


class Advance(NamedTuple):
    """What one step of an engine gives."""

    state: RecurrentState
    logits: FloatVector
    trust: FloatVector | None
    """(39,): how far each kind of match is trusted; of a model that recalls"""


class StepEngine(Protocol):
    """A model fed token by token. Owns its state; :meth:`snapshot` costs microseconds."""

    @property
    def config(self) -> ModelConfig:
        """What the model is made of."""
        ...

    def reset(self) -> None:
        """Go to the start of a piece: zero state, the start token fed."""
        ...

    def steer(self, controls: FloatVector | None) -> None:
        """Ask for something from the next token fed on: a vector (28,) of ``Controls``.

        None asks for nothing. No part of the state. A model without ``control_inputs`` ignores it.
        """
        ...

    def feed(self, token: int, held: npt.NDArray[np.bool_]) -> None:
        """Take a token in; ``held`` (128,), which stays as it is, says what sounds after it."""
        ...

    def rehearse(self) -> None:
        """Make a step that nothing comes of: the next finds the weights in the caches."""
        ...

    def foresee(self, before: EngineState, token: int, held: npt.NDArray[np.bool_]) -> bool:
        """Make a step that may come, unless it is known: whether it was made.

        Feeding that token behind ``before`` costs nothing then, for a while.
        """
        ...

    def logits(self) -> FloatVector:
        """The logits of the next token; shape ``(V,)``. Not to be changed."""
        ...

    def snapshot(self) -> EngineState:
        """The state, to come back to."""
        ...

    def restore(self, state: EngineState) -> None:
        """Go back to a snapshot."""
        ...


class _Step(NamedTuple):
    """What a token was fed to and beside, and the state behind it."""

    before: EngineState
    held: npt.NDArray[np.bool_]
    controls: FloatVector
    behind: EngineState


class RecurrentEngine(ABC):
    """What all engines share: the state, what is recalled, and what is asked for.

    Owns the state, and knows the last steps by heart. An engine adds :meth:`_advance`, and calls
    :meth:`reset` when it is ready.
    """

    def __init__(self, config: ModelConfig) -> None:
        self._config = config
        self._layout = StateLayout.of(config)
        self._controls: FloatVector = _NOTHING_ASKED
        self._state: EngineState
        self._recent: dict[tuple[int, int], _Step] = {}
        """The last steps, by the id of the state before (which they keep) and the token."""

    @property
    def config(self) -> ModelConfig:
        """What the model is made of."""
        return self._config

    def reset(self) -> None:
        """Go to the start of a piece: zero state, the start token fed."""
        no_logits = np.zeros(self._config.vocab_size, np.float32)
        self.restore(EngineState(self._layout, self._layout.zeros(), no_logits))
        self.feed(self._config.start_token, np.zeros(NUM_PITCHES, dtype=bool))

    def steer(self, controls: FloatVector | None) -> None:
        """Ask for something from the next token fed on; see :class:`StepEngine`."""
        self._controls = _NOTHING_ASKED if controls is None else controls

    def feed(self, token: int, held: npt.NDArray[np.bool_]) -> None:
        """Take a token in; ``held`` (128,), which stays as it is, says what sounds after it.

        The step itself waits until somebody asks what follows.
        """
        self._state = self._follow(self._state, token, held)

    def foresee(self, before: EngineState, token: int, held: npt.NDArray[np.bool_]) -> bool:
        """Make a step that may come, unless it is known; see :class:`StepEngine`."""
        behind = self._follow(before, token, held)
        if behind.is_computed:
            return False
        behind.compute()
        return True

    def _follow(self, before: EngineState, token: int, held: npt.NDArray[np.bool_]) -> EngineState:
        """The state behind a token: one of the last, if that step was among them, or a new one."""
        before.compute()  # so that at most one step waits
        controls, key = self._controls, (id(before), token)
        known = self._recent.get(key)
        if known and known.controls is controls and np.array_equal(known.held, held):
            return known.behind
        behind = EngineState.later(
            self._layout, lambda: self._behind(before, token, held, controls)
        )
        self._recent.pop(key, None)
        self._recent[key] = _Step(before, held, controls, behind)
        if len(self._recent) > RECENT_STEPS:
            del self._recent[next(iter(self._recent))]
        return behind

    def rehearse(self) -> None:
        """Make a step that nothing comes of; see :class:`StepEngine`."""
        self._state.compute()
        features = self._features(_SILENCE, self._state.matches, self._controls)
        self._advance(self._state, self._config.start_token, features)

    def _behind(
        self, before: EngineState, token: int, held: npt.NDArray[np.bool_], controls: FloatVector
    ) -> EngineState:
        """The state behind a token."""
        history, matches = before.history, before.matches
        if self._config.recall_notes and token < NUM_PITCHES:  # note-ons are the first ids
            history = remember(history, token, self._config.recall_notes)
            matches = recall(history)
        features = self._features(held, matches, controls)
        state, logits, trust = self._advance(before, token, features)
        if trust is not None:
            logits = boosted(logits, trust, matches)
        return EngineState(self._layout, state, logits, history, matches)

    @abstractmethod
    def _advance(self, before: EngineState, token: int, features: FloatVector) -> Advance:
        """What a step makes of a state, a token and the features (F,) beside it."""

    def _features(
        self, held: npt.NDArray[np.bool_], matches: Matches, controls: FloatVector
    ) -> FloatVector:
        """All that is read beside the token, side by side; shape ``(F,)``."""
        parts: list[npt.NDArray[Any]] = []
        if self._config.held_input:
            parts.append(held)
        if self._config.recall_notes:
            parts.append(recall_features(matches))
        if self._config.control_inputs:
            parts.append(controls)
        return np.concatenate(parts, dtype=np.float32) if parts else _NO_FEATURES

    def logits(self) -> FloatVector:
        """The logits of the next token; shape ``(V,)``. Not to be changed."""
        return self._state.logits

    def snapshot(self) -> EngineState:
        """The state, to come back to. Costs nothing: each step makes new arrays."""
        return self._state

    def restore(self, state: EngineState) -> None:
        """Go back to a snapshot. Raises :class:`OptionError` for a state of another model."""
        if state.layout is not self._layout and state.layout != self._layout:
            raise OptionError(
                f"a state of a model {state.layout} cannot be loaded into one of {self._layout}: "
                "load it with the model that it was stored with"
            )
        self._state = state


def feature_weights(config: ModelConfig, weights: Mapping[str, FloatMatrix]) -> FloatMatrix:
    """The weights (E, F) of what is read beside the token, in the order of the features."""
    parts = [np.zeros((config.embedding_size, 0), np.float32)]
    parts += [weights["held.weight"]] if config.held_input else []
    parts += [weights["recalled.weight"]] if config.recall_notes else []
    parts += [weights["controls.weight"]] if config.control_inputs else []
    return np.concatenate(parts, axis=1)


def head_weights(config: ModelConfig, weights: Mapping[str, FloatMatrix], head: str) -> FloatMatrix:
    """The weights (N, H) of ``output`` or ``trust``; a tied embedding is the output's."""
    tied = config.tied_embedding and head == "output"
    return weights["embedding.weight"][: config.vocab_size] if tied else weights[f"{head}.weight"]


def recall_features(matches: Matches) -> FloatVector:
    """Which pitches are recalled, and by which match; shape ``(128 + 39,)``."""
    features = np.zeros(NUM_PITCHES + NUM_MATCHES, np.float32)
    for viewpoint, (pitch, length) in enumerate(matches.tolist()):
        if length:
            features[pitch] += 1.0
            features[NUM_PITCHES + viewpoint * LENGTHS + length] = 1.0
    return features


def boosted(logits: FloatVector, trust: FloatVector, matches: Matches) -> FloatVector:
    """The logits with what is recalled made likelier as far as ``trust`` (39,) goes."""
    result = logits.copy()
    for viewpoint, (pitch, length) in enumerate(matches.tolist()):
        if length:
            result[pitch] += trust[viewpoint * LENGTHS + length]
    return result
