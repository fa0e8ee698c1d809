"""Which tokens the model may sample next, among those that the grammar allows."""

from __future__ import annotations

from collections.abc import Set

import numpy as np

from midirnn.codecs import BoolArray, PerformanceCodec
from midirnn.codecs.performance import TokenType
from midirnn.performance import NUM_PITCHES

SHORTEST_SHIFT_SECONDS = (0.0, 0.0, 0.1, 0.25, 0.5)
"""Shortest time between two onsets of the model, by level of thinning. From level 1 on it also
samples no velocity tokens: they are a fifth of all tokens and add no notes."""

MOST_THINNING = len(SHORTEST_SHIFT_SECONDS) - 1


class Choice:
    """Narrows down which tokens may be sampled. Owns the model's register and level of thinning.

    Masks have shape ``(V,)`` and are not modified in place.
    """

    def __init__(self, codec: PerformanceCodec) -> None:
        self.pitches = range(NUM_PITCHES)
        """The pitches that the model may begin."""
        self.waits_for_key = False
        """True if the model begins no other pitches even while all of these sound."""
        self.thinning = 0
        """How much to thin out the music to save computation: 0 to ``MOST_THINNING``."""
        self._steps_per_second = codec.steps_per_second
        slice_of = codec.vocabulary.slice_of
        self._ons, self._offs = slice_of(TokenType.NOTE_ON), slice_of(TokenType.NOTE_OFF)
        self._shifts = slice_of(TokenType.TIME_SHIFT)
        self._velocities = slice_of(TokenType.VELOCITY)

    def allowed(
        self, mask: BoolArray, performers: Set[int], *, gap: int, onset_in: int, after_onset: bool
    ) -> BoolArray:
        """Return the tokens of the mask that the model may sample; all False if it can only wait.

        The ``performers`` notes are not ended. If ``gap`` steps have passed since the last token,
        only time shifts at least that long are left. The next note begins within ``onset_in``
        steps, or else right after the gap. ``after_onset`` is True if the step has a note-on.
        """
        kept = mask.copy()
        kept[self._offs][list(performers)] = False
        if self.waits_for_key:
            kept = self._in_register(kept)
            if mask[self._ons].any() and not kept[self._ons].any():
                onset_in = self._shifts.stop
        left = max(onset_in, gap)
        kept[self._shifts.start + left : self._shifts.stop] = False
        if gap:
            kept[: self._shifts.start + gap - 1] = False
            kept[self._shifts.stop :] = False
        elif left <= 0:
            kept[self._offs] = False
        kept = self._in_register(kept)
        return self._thin(kept, after_onset) if kept.any() else self._otherwise(mask, performers)

    def _otherwise(self, mask: BoolArray, performers: Set[int]) -> BoolArray:
        """Return the fallback: the mask without note-offs of the performer's notes.

        A note that must end now is alone in the mask and ends, even if the performer holds it.
        """
        if np.count_nonzero(mask) == 1:
            return mask
        kept = mask.copy()
        kept[self._offs][list(performers)] = False
        return self._in_register(kept) if self.waits_for_key else kept

    def _in_register(self, mask: BoolArray) -> BoolArray:
        """Remove note-ons outside the register, if other tokens remain or the model may wait."""
        if len(self.pitches) == NUM_PITCHES:
            return mask
        kept = mask.copy()
        kept[self._ons.start : self._ons.start + self.pitches.start] = False
        kept[self._ons.start + self.pitches.stop : self._ons.stop] = False
        kept[self._velocities] &= kept[self._ons].any() or not mask[self._ons].any()
        return kept if self.waits_for_key or kept.any() else mask

    def _thin(self, mask: BoolArray, after_onset: bool) -> BoolArray:
        """Remove tokens that make the music costly to compute, if others remain."""
        if not self.thinning:
            return mask
        kept = mask.copy()
        kept[self._velocities] = False
        shortest = round(SHORTEST_SHIFT_SECONDS[self.thinning] * self._steps_per_second)
        if shortest and kept[self._shifts].any():
            begin, longest = self._shifts.start, longest_shift(kept[self._shifts])
            kept[begin : begin + min(max(shortest, 1), longest) - 1] = False
            if after_onset:
                kept[self._ons] = False
        return kept if kept.any() else mask


def longest_shift(shifts: BoolArray) -> int:
    """Return the longest time shift, in steps, that a mask over time shifts allows; 0 if none."""
    allowed = np.flatnonzero(shifts)
    return int(allowed[-1]) + 1 if len(allowed) else 0
