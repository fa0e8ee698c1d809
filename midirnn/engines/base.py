"""What an engine is: one step of a trained model, without torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from midirnn.codecs.controls import NUM_CONTROL_INPUTS
from midirnn.codecs.recall import LENGTHS, NO_MATCHES, NUM_MATCHES, Matches, recall, remember
from midirnn.models.config import ModelConfig
from midirnn.performance import NUM_PITCHES

FloatVector = npt.NDArray[np.float32]
FloatMatrix = npt.NDArray[np.float32]

_NOTHING_ASKED = np.zeros(NUM_CONTROL_INPUTS, np.float32)
_NO_FEATURES = np.zeros(0, np.float32)
_SILENCE = np.zeros(NUM_PITCHES, dtype=bool)

RECENT_STEPS = 64
"""So many steps are known by heart."""


class EngineState:
    """All that the next logits depend on. Never changed.

    What a step gives may be worked out :meth:`later`, when it is first looked at: whoever plays a
    note that was drawn need not wait for what the model makes of it.
    """

    __slots__ = ("_later", "_parts")

    def __init__(
        self,
        h: npt.NDArray[np.float32],
        c: npt.NDArray[np.float32],
        logits: FloatVector,
        history: bytes = b"",
        matches: Matches = NO_MATCHES,
    ) -> None:
        self._parts: _Parts | None = _Parts(h, c, logits, history, matches)
        self._later: Callable[[], EngineState] | None = None

    @classmethod
    def later(cls, work_out: Callable[[], EngineState]) -> EngineState:
        """The state that ``work_out`` gives, which is called once, when somebody looks."""
        state = cls.__new__(cls)
        state._parts, state._later = None, work_out
        return state

    @property
    def h(self) -> npt.NDArray[np.float32]:
        """(num_layers, H)"""
        return self._known.h

    @property
    def c(self) -> npt.NDArray[np.float32]:
        """(num_layers, H)"""
        return self._known.c

    @property
    def logits(self) -> FloatVector:
        """(V,): those that follow"""
        return self._known.logits

    @property
    def history(self) -> bytes:
        """The last pitches, for a model that recalls."""
        return self._known.history

    @property
    def matches(self) -> Matches:
        """What they recall."""
        return self._known.matches

    @property
    def is_worked_out(self) -> bool:
        """Whether nobody has to wait for it any more."""
        return self._parts is not None

    def work_out(self) -> None:
        """Nothing; the state is worked out."""
        _ = self._known

    def replace(self, **parts: Any) -> EngineState:
        """The state with other parts."""
        return EngineState(**(self._known._asdict() | parts))

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
        return EngineState, tuple(self._known)


class _Parts(NamedTuple):
    """What a state is made of, worked out."""

    h: npt.NDArray[np.float32]
    c: npt.NDArray[np.float32]
    logits: FloatVector
    history: bytes
    matches: Matches


class Advance(NamedTuple):
    """What one step of an engine gives."""

    h: npt.NDArray[np.float32]
    c: npt.NDArray[np.float32]
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
        zeros = np.zeros((self._config.num_layers, self._config.hidden_size), np.float32)
        no_logits = np.zeros(self._config.vocab_size, np.float32)
        self.restore(EngineState(zeros, zeros, no_logits))
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
        if behind.is_worked_out:
            return False
        behind.work_out()
        return True

    def _follow(self, before: EngineState, token: int, held: npt.NDArray[np.bool_]) -> EngineState:
        """The state behind a token: one of the last, if that step was among them, or a new one."""
        before.work_out()  # so that at most one step waits
        controls, key = self._controls, (id(before), token)
        known = self._recent.get(key)
        if known and known.controls is controls and np.array_equal(known.held, held):
            return known.behind
        behind = EngineState.later(lambda: self._behind(before, token, held, controls))
        self._recent.pop(key, None)
        self._recent[key] = _Step(before, held, controls, behind)
        if len(self._recent) > RECENT_STEPS:
            del self._recent[next(iter(self._recent))]
        return behind

    def rehearse(self) -> None:
        """Make a step that nothing comes of; see :class:`StepEngine`."""
        self._state.work_out()
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
        h, c, logits, trust = self._advance(before, token, features)
        if trust is not None:
            logits = boosted(logits, trust, matches)
        return EngineState(h, c, logits, history, matches)

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
        """Go back to a snapshot."""
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
