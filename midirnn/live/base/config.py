"""What can be set about playing live."""

from __future__ import annotations

import math
from dataclasses import dataclass

from midirnn.errors import OptionError

FOLLOWED = ("nothing", "midi", "link")
"""Whose tempo the model may keep."""

PHRASE_ENDS = ("silence", "pedal_up", "pedal_down", "switch")
"""What may end the performer's phrase."""


@dataclass(frozen=True)
class LiveConfig:
    """How the model plays along.

    ``phrase_end`` is what ends the performer's phrase: ``silence_seconds`` without a new event,
    the sustain pedal going up or down, or the foot switch alone. ``answer_seconds`` is how long an
    answer lasts (None: as long as the phrase). ``on_beat`` lets answers begin only where so many
    beats divide the clock's (None: at once; 1: on a beat, 4: on a bar of four).

    ``channel`` (1 to 16) is what the model plays on, ``program`` (1 to 128) the sound that is
    chosen there at the start (None: as it is). ``input_channels`` are the channels that are
    listened to (none: all). With ``thru`` the performer's own notes go to the output, too. With
    ``pedal_out`` long notes are sent as short ones under the sustain pedal.

    ``shadow_notes`` are what shadow adds to each onset, ``echo_threshold`` how likely (0 to 1,
    among tokens of its kind) a token of the phrase must be for echo to keep it.
    ``follow`` is the clock that the model keeps time with: nothing, MIDI clock or Ableton Link.
    With ``clock_out_bpm`` it keeps time of its own instead, and sends MIDI clock.
    ``reference_bpm`` is the tempo at which the model plays as it learned: at a clock's other tempo
    its time stretches. ``guard`` leads the model out of silence, loops and babble.
    ``lookahead_seconds`` is how far ahead it plans.
    """

    silence_seconds: float = 1.0
    answer_seconds: float | None = None
    channel: int = 1
    lookahead_seconds: float = 1.0
    phrase_end: str = "silence"
    on_beat: float | None = None
    program: int | None = None
    input_channels: tuple[int, ...] = ()
    thru: bool = False
    pedal_out: bool = False
    shadow_notes: int = 2
    echo_threshold: float = 0.03
    follow: str = "nothing"
    clock_out_bpm: float | None = None
    reference_bpm: float = 120.0
    guard: bool = True

    def __post_init__(self) -> None:
        _check("silence_seconds", self.silence_seconds, 0.05, 60.0)
        _check("channel", self.channel, 1, 16)
        _check("lookahead_seconds", self.lookahead_seconds, 0.05, 10.0)
        _check("shadow_notes", self.shadow_notes, 1, 8)
        _check("echo_threshold", self.echo_threshold, 0.0, 1.0)
        _check("reference_bpm", self.reference_bpm, 20.0, 400.0)
        if self.answer_seconds is not None:
            _check("answer_seconds", self.answer_seconds, 0.1, 24 * 3600.0)
        if self.on_beat is not None:
            _check("on_beat", self.on_beat, 0.0625, 64.0)
        if self.program is not None:
            _check("program", self.program, 1, 128)
        for channel in self.input_channels:
            _check("input_channels", channel, 1, 16)
        if self.clock_out_bpm is not None:
            _check("clock_out_bpm", self.clock_out_bpm, 20.0, 400.0)
        for name, allowed in (("phrase_end", PHRASE_ENDS), ("follow", FOLLOWED)):
            value = getattr(self, name)
            if value not in allowed:
                raise OptionError(f"{name} is {value!r}; allowed are {', '.join(allowed)}")
        if self.follow == "midi" and self.clock_out_bpm is not None:
            raise OptionError(
                "clock_out_bpm is for a clock of one's own, and follow is 'midi': only one can be"
            )


def _check(name: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise OptionError(f"{name} is {value:g}; allowed are {low:g} to {high:g}")
