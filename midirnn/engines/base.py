"""The base of all engines: they run a trained model one step at a time, without torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from copy import copy
from typing import NamedTuple, Protocol, Self, TypeAlias

import numpy as np

from midirnn.codecs import BoolArray
from midirnn.codecs.held import no_notes
from midirnn.codecs.style import NUM_STYLE_INPUTS
from midirnn.engines.state import (
    EngineState,
    FloatMatrix,
    FloatVector,
    Memories,
    RecurrentState,
    layout_of,
)
from midirnn.errors import OptionError
from midirnn.features import ControlInputs, Given, HeldNotes
from midirnn.models.config import ModelConfig

_NO_CONTROLS = np.zeros(NUM_STYLE_INPUTS, np.float32)
_NO_FEATURES = np.zeros(0, np.float32)
_SILENCE = no_notes()

CACHED_STEPS = 64
"""How many of the last steps an engine keeps, so as not to compute them twice."""


class Advance(NamedTuple):
    """What one step of an engine computes."""

    state: RecurrentState
    outputs: list[FloatVector]
    """The output of each of the model's heads: first the logits (V,), which may be changed."""


Stepper: TypeAlias = "Callable[[EngineState, int, FloatVector], Advance]"
"""Computes a step from a state, a token and the numbers (F,) of all features."""


class StepEngine(Protocol):
    """A model that is fed token by token. Owns its state; :meth:`snapshot` costs microseconds."""

    name: str
    """Its value of ``--engine``."""

    @property
    def config(self) -> ModelConfig:
        """The config of the model."""
        ...

    def reset(self) -> None:
        """Go to the start of a piece: feed the start token to the initial state."""
        ...

    def set_controls(self, controls: FloatVector | None) -> None:
        """Set the controls for the tokens fed from now on; shape ``(75,)``, None for none.

        They are not part of the state. A model without ``control_inputs`` ignores them.
        """
        ...

    def feed(self, token: int, held: BoolArray) -> None:
        """Feed a token; ``held`` (128,), not to be changed later, says what sounds after it."""
        ...

    def warm_up(self) -> None:
        """Compute a step and discard it, so that the next finds the weights in the CPU caches."""
        ...

    def precompute(self, before: EngineState, token: int, held: BoolArray) -> bool:
        """Compute a step that may be fed soon; return False if it is in the step cache already.

        Feeding that token to ``before`` then takes no time while the step is in the cache.
        """
        ...

    def logits(self) -> FloatVector:
        """Return the logits of the next token; shape ``(V,)``. Read-only."""
        ...

    def snapshot(self) -> EngineState:
        """Return the state, for :meth:`restore`."""
        ...

    def restore(self, state: EngineState) -> None:
        """Go back to a snapshot."""
        ...


class _Step(NamedTuple):
    """A step in the cache: what was fed to which state, and the state after it."""

    before: EngineState
    held: BoolArray
    controls: FloatVector
    after: EngineState


class RecurrentEngine(ABC):
    """What all engines share: the state, the features and the step cache. Owns all three.

    An engine adds :attr:`name` and :meth:`_advance`, and calls :meth:`reset` when it is ready.
    """

    name: str
    """Its value of ``--engine``."""

    def __init__(self, config: ModelConfig) -> None:
        self._config = config
        self._layout = layout_of(config)
        self._features = config.features
        self._with_heads = [feature for feature in self._features if feature.head]
        self._controls: FloatVector = _NO_CONTROLS
        self._initial = self._layout.zeros()
        self._state: EngineState
        self._cache: dict[tuple[int, int], _Step] = {}
        """The last steps, by the id of the state before (which they keep alive) and the token."""

    @property
    def config(self) -> ModelConfig:
        """The config of the model."""
        return self._config

    def twin(self) -> Self:
        """Return an engine in the same state that shares the weights but advances on its own."""
        twin = copy(self)
        twin._cache = {}
        return twin

    def reset(self) -> None:
        """Go to the start of a piece: feed the start token to the initial state."""
        no_logits = np.zeros(self._config.vocab_size, np.float32)
        memories = {feature.name: feature.start() for feature in self._features}
        self.restore(EngineState(self._layout, self._initial, no_logits, memories))
        self.feed(self._config.start_token, no_notes())

    @property
    def initial(self) -> RecurrentState:
        """The recurrent state in which pieces begin."""
        return self._initial

    def begin_from(self, initial: RecurrentState) -> None:
        """Use this recurrent state, instead of zeros, at the start of pieces; begin one now."""
        self._initial = initial
        self.reset()

    def set_controls(self, controls: FloatVector | None) -> None:
        """Set the controls for the tokens fed from now on; see :class:`StepEngine`."""
        self._controls = _NO_CONTROLS if controls is None else controls

    def feed(self, token: int, held: BoolArray) -> None:
        """Feed a token; see :class:`StepEngine`. The step is computed when its result is read."""
        self._state = self._after(self._state, token, held)

    def precompute(self, before: EngineState, token: int, held: BoolArray) -> bool:
        """Compute a step that may be fed soon; see :class:`StepEngine`."""
        after = self._after(before, token, held)
        if after.is_computed:
            return False
        after.compute()
        return True

    def _after(self, before: EngineState, token: int, held: BoolArray) -> EngineState:
        """Return the state after a token: from the cache, or a new one to be computed later."""
        before.compute()  # so that at most one step is pending
        controls, advance, key = self._controls, self._stepper(), (id(before), token)
        cached = self._cache.get(key)
        if cached and cached.controls is controls and np.array_equal(cached.held, held):
            return cached.after
        after = EngineState.later(
            self._layout, lambda: self._compute(before, token, held, controls, advance)
        )
        self._cache.pop(key, None)
        self._cache[key] = _Step(before, held, controls, after)
        if len(self._cache) > CACHED_STEPS:
            del self._cache[next(iter(self._cache))]
        return after

    def warm_up(self) -> None:
        """Compute a step and discard it; see :class:`StepEngine`."""
        self._state.compute()
        numbers = self._numbers(self._state.memories, given_numbers(_SILENCE, self._controls))
        self._advance(self._state, self._config.start_token, numbers)

    def _compute(
        self,
        before: EngineState,
        token: int,
        held: BoolArray,
        controls: FloatVector,
        advance: Stepper,
    ) -> EngineState:
        """Compute the state after a token."""
        told = before.memories
        memories = {f.name: f.follow(told[f.name], token) for f in self._features}
        numbers = self._numbers(memories, given_numbers(held, controls))
        state, (logits, *weights) = advance(before, token, numbers)
        for feature, added in zip(self._with_heads, weights, strict=True):
            feature.add(logits, added, memories[feature.name])
        return EngineState(self._layout, state, logits, memories)

    def _stepper(self) -> Stepper:
        """Return a function that computes a step with the present settings, whenever called."""
        return self._advance

    @abstractmethod
    def _advance(self, before: EngineState, token: int, features: FloatVector) -> Advance:
        """Compute a step from a state, a token and the numbers (F,) of all features."""

    def _numbers(self, memories: Memories, given: Given) -> FloatVector:
        """Return the numbers of all features, side by side; shape ``(F,)``."""
        parts = [feature.inputs(memories[feature.name], given) for feature in self._features]
        return np.concatenate(parts, dtype=np.float32) if parts else _NO_FEATURES

    def logits(self) -> FloatVector:
        """Return the logits of the next token; shape ``(V,)``. Read-only."""
        return self._state.logits

    def snapshot(self) -> EngineState:
        """Return the state, for :meth:`restore`. Costs nothing: each step makes new arrays."""
        return self._state

    def restore(self, state: EngineState) -> None:
        """Go back to a snapshot. Raises :class:`OptionError` for a state of another model."""
        if state.layout is not self._layout and state.layout != self._layout:
            raise OptionError(
                f"a state of a model {state.layout} cannot be loaded into one of {self._layout}: "
                "load it with the model that it was stored with"
            )
        self._state = state


def given_numbers(held: BoolArray, controls: FloatVector) -> Given:
    """Return what the caller gives in addition to the token, by the names of the features."""
    return {HeldNotes.name: held, ControlInputs.name: controls}


def feature_weights(config: ModelConfig, weights: Mapping[str, FloatMatrix]) -> FloatMatrix:
    """Return the weights (E, F) of all features, side by side."""
    parts = [np.zeros((config.embedding_size, 0), np.float32)]
    parts += [weights[f"{feature.layer}.weight"] for feature in config.inputs]
    return np.concatenate(parts, axis=1)


def head_weights(config: ModelConfig, weights: Mapping[str, FloatMatrix], head: str) -> FloatMatrix:
    """Return the weights (N, H) of a head; with a tied embedding, the output shares its weights."""
    tied = config.tied_embedding and head == "output"
    return weights["embedding.weight"][: config.vocab_size] if tied else weights[f"{head}.weight"]
