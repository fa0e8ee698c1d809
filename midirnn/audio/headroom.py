"""Headroom: how loud a synthesizer may be without distortion, given the notes it plays."""

from __future__ import annotations

import math

LOUDEST = 10.0
"""The largest product of FluidSynth's gain and the level of the notes without distortion, measured
with piano chords of up to 12 notes and with 5 loud recorded performances."""

DECAY_SECONDS = 0.5
"""Time in which the level of notes falls to 1/e."""


class Headroom:
    """Lowers the gain while many loud notes sound. Owns the level of the notes so far.

    A note counts with the square of its velocity, like its amplitude in General MIDI. Times are in
    seconds.
    """

    def __init__(self, gain: float) -> None:
        self._full = gain
        self._level = 0.0
        self._at = 0.0

    def note_on(self, velocity: int, now: float) -> float:
        """Add a note-on; return the gain from now on."""
        fallen = math.exp(min(self._at - now, 0.0) / DECAY_SECONDS)
        self._level = self._level * fallen + (velocity / 127) ** 2
        self._at = now
        return min(self._full, LOUDEST / self._level)
