"""The sampler: an engine, a grammar and a random generator that move together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from midirnn.codecs.controls import Controls
from midirnn.codecs.grammar import BoolArray, GrammarState
from midirnn.codecs.performance import PerformanceCodec
from midirnn.codecs.recall import NO_MATCHES
from midirnn.codecs.vocabulary import TokenType
from midirnn.engines.base import EngineState, StepEngine
from midirnn.errors import OptionError
from midirnn.sampling.filters import SamplingConfig, draw, probabilities
from midirnn.sampling.repetition import Repetition


@dataclass(frozen=True)
class SamplerState:
    """All that the following tokens depend on."""

    engine: EngineState
    grammar: GrammarState
    rng: dict[str, Any]
    repetition: Repetition


class Sampler:
    """Draws tokens one at a time. Owns the random generator, the engine's and grammar's states.

    The same seed gives the same tokens.
    """

    def __init__(
        self,
        engine: StepEngine,
        codec: PerformanceCodec,
        config: SamplingConfig | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        if engine.config.vocab_size != codec.vocab_size:
            raise OptionError(
                f"the model has {engine.config.vocab_size} tokens and the codec "
                f"{codec.vocab_size}: they do not belong together"
            )
        if seed is not None and seed < 0:
            raise OptionError(f"seed is {seed}; it must be 0 or more")
        self.engine = engine
        self.codec = codec
        self._mask: BoolArray | None = None
        self._note_ons = codec.vocabulary.slice_of(TokenType.NOTE_ON)
        self.rng = np.random.default_rng(seed)
        self.configure(config or SamplingConfig())
        self.reset()

    def configure(self, config: SamplingConfig) -> None:
        """Draw with other knobs from now on."""
        self.config = config
        self._grammar = self.codec.grammar(config.max_note_seconds, config.max_sounding)
        self._mask = None

    def steer(self, controls: Controls | None) -> None:
        """Ask the model for something from the next token on; None asks for nothing.

        Raises :class:`OptionError` for a model that was not trained to be steered.
        """
        if controls is not None and not self.engine.config.control_inputs:
            raise OptionError(
                "this model cannot be steered: it was trained without --control-inputs"
            )
        self.engine.steer(None if controls is None else controls.vector())

    def reset(self) -> None:
        """Go to the start of a piece; the random generator goes on."""
        self.engine.reset()
        self.grammar_state = self._grammar.start()
        self._mask = None
        self._repetition = Repetition()

    @property
    def sounding(self) -> list[int]:
        """The pitches that sound now, in the order in which they were struck."""
        rank = self.grammar_state.onset_rank
        pitches = np.flatnonzero(rank >= 0)
        in_order: list[int] = pitches[np.argsort(rank[pitches])].tolist()
        return in_order

    def hear(self, tokens: Iterable[int]) -> None:
        """Take tokens in as if they had been drawn."""
        for token in tokens:
            self._grammar.advance(self.grammar_state, token)
            self.engine.feed(token, self.grammar_state.held)
        self._mask = None

    def mask(self) -> BoolArray:
        """True for each token that the grammar lets come next; shape ``(V,)``. Never all false.

        Not to be changed: it is worked out once for each token.
        """
        if self._mask is None:
            self._mask = self._grammar.mask(self.grammar_state)
            self._mask.flags.writeable = False
        return self._mask

    def longest_shift(self) -> int:
        """The longest time shift in :meth:`mask`, in steps; 0 if none. In half the time."""
        return self._grammar.longest_shift(self.grammar_state)

    def due(self) -> int | None:
        """The pitch whose note-off is all that :meth:`mask` allows, if its note must end now."""
        return self._grammar.due(self.grammar_state)

    def distribution(
        self, allowed: BoolArray | None = None
    ) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """The probabilities of the next token; shape ``(V,)``.

        ``allowed`` (V,) takes the place of :meth:`mask`: a part of it, not empty.
        """
        mask = self.mask() if allowed is None else allowed
        return probabilities(self.engine.logits(), mask, self.config)

    def next(self, allowed: BoolArray | None = None) -> int:
        """The next token, drawn (from those ``allowed``) and taken in.

        A trill or a scale that has gone on for long enough stops while there is a choice.
        """
        mask = self._without_worn_out(self.mask() if allowed is None else allowed)
        token = draw(self.distribution(mask), self.rng)
        if self._note_ons.start <= token < self._note_ons.stop:
            self._follow_repetition(token - self._note_ons.start)
        self.hear([token])
        return token

    def _without_worn_out(self, mask: BoolArray) -> BoolArray:
        worn_out = self._repetition.worn_out
        if not worn_out:
            return mask
        kept = mask.copy()
        kept[self._note_ons][worn_out] = False
        return kept if kept.any() else mask

    def _follow_repetition(self, pitch: int) -> None:
        """Recall nothing more once enough of the past has come back note for note."""
        state = self.engine.snapshot()
        recalled, length = state.matches[0].tolist()
        self._repetition = self._repetition.after(pitch, recalled if length else None)
        if self._repetition.forgets:
            self.engine.restore(state.replace(history=b"", matches=NO_MATCHES))

    def snapshot(self) -> SamplerState:
        """The state, to come back to."""
        return SamplerState(
            self.engine.snapshot(),
            self.grammar_state.copy(),
            dict(self.rng.bit_generator.state),
            self._repetition,
        )

    def restore(self, state: SamplerState, *, same_chances: bool = True) -> None:
        """Go back to a snapshot; the same tokens will be drawn again.

        Unless ``same_chances`` is false: then the random numbers go on.
        """
        self.engine.restore(state.engine)
        self.grammar_state = state.grammar.copy()
        self._mask = None
        if same_chances:
            self.rng.bit_generator.state = state.rng
        self._repetition = state.repetition
