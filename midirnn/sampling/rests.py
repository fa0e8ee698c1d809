"""Limits on rests in sampled music, so that it does not stop at low temperatures.

A rest of a second or more begins with the longest time shift, and goes on with another one. Each is
a single token, while the music that could come instead is spread over hundreds of tokens. Below a
temperature of 1 the single token would win nearly every time, however unlikely the rest as a whole
is. Therefore such a token is drawn no more often than at a temperature of 1. Even so, a model that
has played a chord and a rest expects the same again, and only chance would lead it out. So while it
has played less than the controls ask for, its rests are kept short
(:meth:`midirnn.sampling.keeping.Keeping.longest_rest`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from midirnn.arrays import Float32Array, Float64Array
from midirnn.codecs import BoolArray, Codec, NoteStream
from midirnn.sampling.filters import SamplingConfig, probabilities

FIRST_NOTE_SECONDS = 2.0
"""The first note of a piece without a primer begins by then."""


class Rest(NamedTuple):
    """The time since the last note-on: part of the sampler's state."""

    steps: int = 0
    """Steps of the codec's grid since the last note-on, or the start."""
    is_opening: bool = True
    """Whether no note has begun at all."""
    goes_on: bool = False
    """Whether the last token was a time shift, so that another one lengthens it."""


AT_THE_START = Rest()


class Rests:
    """Tracks rests, and limits what may lengthen them. Has no state of its own."""

    def __init__(self, codec: Codec[Any], max_seconds: float) -> None:
        self._has_time = isinstance(codec, NoteStream)
        if isinstance(codec, NoteStream):
            self._steps = codec.token_steps
            self._note_ons = codec.note_ons
            self._shifts = codec.token_steps > 0
            self._full_shift = codec.token_steps == codec.token_steps.max()
            self._longest_shift = int(codec.token_steps.max())
            second = codec.steps_per_second
            self._longest = max(1, round(max_seconds * second))
            self._longest_opening = min(self._longest, round(FIRST_NOTE_SECONDS * second))

    def after(self, rest: Rest, token: int) -> Rest:
        """Return the rest after a token."""
        if not self._has_time:
            return rest
        if self._note_ons.start <= token < self._note_ons.stop:
            return _NO_REST
        steps = int(self._steps[token])
        return Rest(rest.steps + steps, rest.is_opening, steps > 0)

    def within(self, rest: Rest, mask: BoolArray, longest: int | None = None) -> BoolArray:
        """Return a mask (V,) without the time shifts that would make a rest too long.

        ``longest`` is the limit in steps, if lower than that of the settings. If nothing would be
        left, the mask is returned as it is.
        """
        if not self._has_time:
            return mask
        most = self._longest_opening if rest.is_opening else self._longest
        left = (most if longest is None else min(most, longest)) - rest.steps
        if left >= self._longest_shift:
            return mask
        kept = mask & (self._steps <= max(left, 0))
        return kept if kept.any() else mask

    def caps(self, config: SamplingConfig) -> bool:
        """Return whether :meth:`capped` may change anything."""
        return self._has_time and config.temperature < 1.0

    def capped(
        self,
        rest: Rest,
        p: Float64Array,
        logits: Float32Array,
        mask: BoolArray,
        config: SamplingConfig,
    ) -> Float64Array:
        """Return ``p`` (V,) with rests no more likely than at a temperature of 1.

        Rests are the longest time shift and, after a time shift, all of them. At a temperature of 0
        they are chosen if together they are more likely than all else.
        """
        if not self.caps(config):
            return p
        resting = mask & (self._shifts if rest.goes_on else self._full_shift)
        others = mask & ~resting
        if not resting.any() or not others.any():
            return p
        share = float(_softmax(logits, mask)[resting].sum())
        if not config.temperature:
            share = float(share > 0.5)
        if p[resting].sum() <= share:
            return p
        rests, music = (probabilities(logits, tokens, config) for tokens in (resting, others))
        return share * rests + (1.0 - share) * music


_NO_REST = Rest(0, False, False)


def _softmax(logits: Float32Array, mask: BoolArray) -> Float64Array:
    """Return the probabilities of the tokens that a mask allows, at a temperature of 1."""
    values = np.where(mask, logits.astype(np.float64), -np.inf)
    p: Float64Array = np.exp(values - values.max())
    p /= p.sum()
    return p
