"""The sampler: an engine, a constraint and a random generator that advance together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from midirnn.codecs import BoolArray, Codec, Recallable
from midirnn.codecs.controls import Controls
from midirnn.codecs.held import held_of
from midirnn.engines.base import StepEngine
from midirnn.engines.state import EngineState
from midirnn.errors import OptionError
from midirnn.features import Recall
from midirnn.features.recall import NOTHING_RECALLED
from midirnn.sampling.arguments import check_seed
from midirnn.sampling.constraints.masks import NO_BUDGET, Budget, Masks
from midirnn.sampling.filters import (
    SamplingConfig,
    draw,
    draw_among,
    filter_types,
    log_likelihood,
    probabilities,
)
from midirnn.sampling.repetition import Repetition
from midirnn.sampling.rests import AT_THE_START, Rest, Rests

C = TypeVar("C", bound=Codec[Any])

PENALISED_NOTES = 16
"""The repetition penalty applies to the pitches of this many last notes."""


@dataclass(frozen=True)
class SamplerState:
    """Everything that the next tokens depend on."""

    engine: EngineState
    grammar: Any
    """The state of the codec's constraint."""
    rng: dict[str, Any]
    repetition: Repetition
    rest: Rest
    budget: Budget


class Sampler(Generic[C]):
    """Draws tokens one at a time. Owns the random generator and the state of the constraint.

    It owns the engine's state too, as long as nobody else feeds the engine. The same seed gives the
    same tokens. With ``measures`` it sums the ``log_likelihood`` of the tokens it draws, in nats:
    at a temperature of 1, among the tokens that :meth:`mask` allows.
    """

    def __init__(
        self,
        engine: StepEngine,
        codec: C,
        config: SamplingConfig | None = None,
        *,
        seed: int | None = None,
        measures: bool = False,
    ) -> None:
        if engine.config.vocab_size != codec.vocab_size:
            raise OptionError(
                f"the model has {engine.config.vocab_size} tokens and the codec {codec.name!r} has "
                f"{codec.vocab_size}; take the codec that the model was trained with"
            )
        check_seed(seed)
        self.engine = engine
        self.codec = codec
        self._measures = measures
        self._mask: BoolArray | None = None
        self._note_ons = codec.note_ons if isinstance(codec, Recallable) else slice(0, 0)
        self.rng = np.random.default_rng(seed)
        self.controls: Controls | None = None
        """The controls that were set last."""
        self.favoured: np.ndarray[Any, np.dtype[np.float32]] | None = None
        """A bias added to the logits (V,) before all else, until :meth:`reset`."""
        self.longest_rest: int | None = None
        """The longest rest in steps, if shorter than in the settings; until :meth:`reset`."""
        self._constraint: Any = None
        self._masks: Masks | None = None
        self.configure(config or SamplingConfig())
        self.reset()

    def configure(self, config: SamplingConfig) -> None:
        """Sample with these settings from now on."""
        self.config = config
        self._constraint = self.codec.constraint(config.limits)
        self._types = config.types
        self._rests = Rests(self.codec, config.max_rest_seconds)
        self._mask = None

    def constrain(self, masks: Masks | None) -> None:
        """Apply constraints from now on, until :meth:`reset`; None removes them."""
        self._masks = masks
        self._budget = NO_BUDGET if masks is None else masks.start()
        self._mask = None

    def steer(self, controls: Controls | None) -> None:
        """Set the controls from the next token on; None leaves all to the model.

        Raises :class:`OptionError` for a model that was trained without controls.
        """
        if controls is not None and not self.engine.config.control_inputs:
            raise OptionError("this model has no controls: it was trained without --control-inputs")
        self.controls = controls
        self.engine.set_controls(None if controls is None else controls.vector())

    def reset(self) -> None:
        """Go to the start of a piece. The random generator is not reset."""
        self.engine.reset()
        self.grammar_state: Any = self._constraint.start()
        self._mask = None
        self._repetition = Repetition()
        self._rest = AT_THE_START
        self.constrain(None)
        self.favoured = None
        self.longest_rest = None
        self.log_likelihood = 0.0

    @property
    def sounding(self) -> list[int]:
        """The pitches that sound, in the order of their note-ons; empty for other pieces."""
        return list(getattr(self.grammar_state, "sounding", ()))

    def hear(self, tokens: Iterable[int]) -> None:
        """Feed tokens as if they had been drawn."""
        for token in tokens:
            self._rest = self._rests.after(self._rest, token)
            if self._masks is not None:
                step = self.grammar_state.step
                self._budget = self._masks.after(self._budget, token, step)
            self._constraint.advance(self.grammar_state, token)
            self.engine.feed(token, held_of(self.grammar_state))
        self._mask = None

    def mask(self) -> BoolArray:
        """Return which tokens may come next; shape ``(V,)``, never all false.

        Read-only: it is computed once for each token.
        """
        if self._mask is None:
            mask: BoolArray = self._constraint.mask(self.grammar_state)
            if self._masks is not None:
                due = self.due() is not None
                mask = self._masks.narrow(self.grammar_state, mask, self._budget, due)
            self._mask = mask
            self._mask.flags.writeable = False
        return self._mask

    def longest_shift(self) -> int:
        """Return the longest time shift in :meth:`mask`, in steps; 0 if none.

        Only with the performance codec, and twice as fast as looking at the mask.
        """
        return int(self._constraint.longest_shift(self.grammar_state))

    def due(self) -> int | None:
        """Return the pitch whose note must end now, so that :meth:`mask` allows nothing else.

        None if there is none. Only with the performance codec.
        """
        pitch: int | None = self._constraint.due(self.grammar_state)
        return pitch

    def distribution(
        self, allowed: BoolArray | None = None
    ) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Return the probabilities of the next token; shape ``(V,)``.

        ``allowed`` (V,) replaces :meth:`mask`, of which it is a non-empty subset.
        """
        mask = self.mask() if allowed is None else allowed
        logits = self._adjusted(self.engine.logits(), mask)
        p = probabilities(logits, mask, self.config)
        return self._rests.capped(self._rest, p, logits, mask, self.config)

    def _adjusted(
        self, logits: np.ndarray[Any, np.dtype[np.float32]], mask: BoolArray
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return the logits with the bias, the repetition penalty and the filters of types."""
        if self.favoured is not None:
            logits = logits + self.favoured
        if self.config.repetition_penalty != 1.0 and self._note_ons.stop:
            recent = sorted(set(self._repetition.pitches[-PENALISED_NOTES:]))
            logits = logits.copy()
            logits[self._note_ons][recent] -= np.float32(np.log(self.config.repetition_penalty))
        if self._types:
            logits = filter_types(logits, mask, self.codec.groups(), self._types)
        return logits

    def next(self, allowed: BoolArray | None = None) -> int:
        """Draw the next token, from those ``allowed`` if they are given, and feed it."""
        mask = self._open(allowed)
        if self._rests.caps(self.config):
            token = draw(self.distribution(mask), self.rng)
        else:
            logits = self._adjusted(self.engine.logits(), mask)
            token = draw_among(logits, mask, self.config, self.rng)
        self.take(token)
        return token

    def choices(
        self, allowed: BoolArray | None = None
    ) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Return the probabilities with which :meth:`next` draws each token; shape ``(V,)``."""
        return self.distribution(self._open(allowed))

    def _open(self, allowed: BoolArray | None) -> BoolArray:
        """Return which tokens may be drawn.

        A trill, a scale or a rest that has gone on for too long is not continued if there is a
        choice.
        """
        mask = self._without_worn_out(self.mask() if allowed is None else allowed)
        return self._rests.within(self._rest, mask, self.longest_rest)

    def take(self, token: int) -> None:
        """Feed a token that was drawn from :meth:`choices`."""
        if self._measures:
            self.log_likelihood += log_likelihood(self.engine.logits(), self.mask(), token)
        if self._note_ons.start <= token < self._note_ons.stop:
            self._follow_repetition(token - self._note_ons.start)
        self.hear([token])

    def _without_worn_out(self, mask: BoolArray) -> BoolArray:
        worn_out = self._repetition.worn_out
        if not worn_out:
            return mask
        kept = mask.copy()
        kept[self._note_ons][worn_out] = False
        return kept if kept.any() else mask

    def _follow_repetition(self, pitch: int) -> None:
        """Clear the match memory once enough of the past has been repeated note for note."""
        state = self.engine.snapshot()
        memory = state.memories.get(Recall.name, NOTHING_RECALLED)
        recalled, length = memory.matches[0].tolist()
        self._repetition = self._repetition.after(pitch, recalled if length else None)
        if self._repetition.forgets and Recall.name in state.memories:
            memories = {**state.memories, Recall.name: NOTHING_RECALLED}
            self.engine.restore(state.replace(memories=memories))

    def snapshot(self) -> SamplerState:
        """Return the state, for :meth:`restore`."""
        return SamplerState(
            self.engine.snapshot(),
            self.grammar_state.copy(),
            dict(self.rng.bit_generator.state),
            self._repetition,
            self._rest,
            self._budget,
        )

    def restore(self, state: SamplerState, *, restore_rng: bool = True) -> None:
        """Go back to a snapshot, from which the same tokens are drawn again.

        If ``restore_rng`` is false, the random generator is left as it is.
        """
        self.engine.restore(state.engine)
        self.grammar_state = state.grammar.copy()
        self._mask = None
        if restore_rng:
            self.rng.bit_generator.state = state.rng
        self._repetition = state.repetition
        self._rest = state.rest
        self._budget = state.budget
