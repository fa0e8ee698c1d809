"""What an engine is: one step of a trained model, without torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
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


class EngineState(NamedTuple):
    """All that the next logits depend on. Never changed in place."""

    h: npt.NDArray[np.float32]
    """(num_layers, H)"""
    c: npt.NDArray[np.float32]
    """(num_layers, H)"""
    logits: FloatVector
    """(V,): those that follow"""
    history: bytes = b""
    """the last pitches, for a model that recalls"""
    matches: Matches = NO_MATCHES
    """what they recall"""


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
        """Take a token in; ``held`` (128,) says what sounds after it."""
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


class RecurrentEngine(ABC):
    """What all engines share: the state, what is recalled, and what is asked for.

    Owns the state. An engine adds :meth:`_advance`, and calls :meth:`reset` when it is ready.
    """

    def __init__(self, config: ModelConfig) -> None:
        self._config = config
        self._controls: FloatVector = _NOTHING_ASKED
        self._state: EngineState

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
        """Take a token in; ``held`` (128,) says what sounds after it."""
        _, _, _, history, matches = self._state
        if self._config.recall_notes and token < NUM_PITCHES:  # note-ons are the first ids
            history = remember(history, token, self._config.recall_notes)
            matches = recall(history)
        h, c, logits, trust = self._advance(token, self._features(held, matches))
        if trust is not None:
            logits = boosted(logits, trust, matches)
        self._state = EngineState(h, c, logits, history, matches)

    @abstractmethod
    def _advance(self, token: int, features: FloatVector) -> Advance:
        """What a step makes of the state, a token and the features (F,) beside it."""

    def _features(self, held: npt.NDArray[np.bool_], matches: Matches) -> FloatVector:
        """All that is read beside the token, side by side; shape ``(F,)``."""
        parts: list[npt.NDArray[Any]] = []
        if self._config.held_input:
            parts.append(held)
        if self._config.recall_notes:
            parts.append(recall_features(matches))
        if self._config.control_inputs:
            parts.append(self._controls)
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
