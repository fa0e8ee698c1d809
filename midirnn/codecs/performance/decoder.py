"""The performance encoding as a stream: tokens in, timed MIDI messages out."""

from __future__ import annotations

from collections.abc import Iterable

from midirnn.codecs.base import Message
from midirnn.codecs.performance.layout import PerformanceLayout
from midirnn.codecs.performance.vocabulary import TokenType
from midirnn.midievents import NOTE_OFF, NOTE_ON


class StreamDecoder:
    """Timed MIDI messages from tokens. Owns the time reached and the sounding notes.

    Times are seconds from the first token (or from ``start_seconds``). ``sounding`` and
    ``velocity_bin`` (0: the default) are the state before the first token. Any token can be
    decoded: a note-off of a silent pitch is ignored, a note-on of a sounding pitch ends the note
    before.
    """

    def __init__(
        self,
        layout: PerformanceLayout,
        *,
        start_seconds: float = 0.0,
        channel: int = 0,
        sounding: Iterable[int] = (),
        velocity_bin: int = 0,
    ) -> None:
        self.layout = layout
        self.start_seconds = start_seconds
        self.channel = channel
        self.step = 0
        self._velocity_bin = velocity_bin or layout.default_bin
        self._sounding: set[int] = set(sounding)

    @property
    def seconds(self) -> float:
        """The time reached."""
        return self.start_seconds + self.step / self.layout.steps_per_second

    def restart_at(self, seconds: float) -> None:
        """Count time from ``seconds`` on; keep the sounding notes and the current velocity."""
        self.start_seconds, self.step = seconds, 0

    def feed(self, token: int) -> list[tuple[float, Message]]:
        """Return the (seconds, message) pairs of a token; none for time shifts and velocities."""
        kind, value = self.layout.vocabulary.describe(token)
        if kind is TokenType.TIME_SHIFT:
            self.step += value
        elif kind is TokenType.VELOCITY:
            self._velocity_bin = value
        elif kind is TokenType.NOTE_OFF:
            return self._off(value) if value in self._sounding else []
        else:
            ended = self._off(value) if value in self._sounding else []
            self._sounding.add(value)
            velocity = int(self.layout.bin_velocity(self._velocity_bin))
            return [*ended, (self.seconds, (NOTE_ON | self.channel, value, velocity))]
        return []

    def _off(self, pitch: int) -> list[tuple[float, Message]]:
        self._sounding.discard(pitch)
        return [(self.seconds, (NOTE_OFF | self.channel, pitch, 0))]

    def finish(self) -> list[tuple[float, Message]]:
        """Return note-offs, at the current time, for all notes that still sound."""
        return [off for pitch in sorted(self._sounding) for off in self._off(pitch)]
