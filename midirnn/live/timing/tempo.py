"""Tempo and beats: receiving and sending MIDI clock."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from midirnn.errors import OptionError
from midirnn.ports.base import Message
from midirnn.ports.midi_clock import (
    CLOCK,
    CLOCKS_PER_BEAT,
    CLOCKS_PER_SIXTEENTH,
    CONTINUE,
    SONG_POSITION,
    START,
    STOP,
    sixteenth_of,
    song_position,
)

SLOWEST_BPM, FASTEST_BPM = 20.0, 400.0
TEMPO_SLACK = 0.01
"""A clock may exceed these limits by this share, because of rounding and jitter."""

LOST_CLOCKS = 12.0
"""If none comes for the time of this many clocks, the clock counts as gone."""

ASLEEP_SECONDS = 0.5
"""Clocks that are overdue by more than this are skipped."""

SETTLING_CLOCKS = 32
"""The tempo is averaged over this many clocks, or as many as have come so far."""

NEW_TEMPO_SHARE = 0.25
"""A clock that is off its time by this share of the interval is not jitter..."""

NEW_TEMPO_CLOCKS = 4
"""... if this many in a row are. Then the tempo has changed, and the average starts again."""


class Beats(Protocol):
    """A source of beats: a received clock, Ableton Link, or our own."""

    @property
    def bpm(self) -> float | None:
        """Quarter notes per minute; None while unknown."""
        ...

    @property
    def running(self) -> bool:
        """True while the clock runs."""
        ...

    def beat_at(self, seconds: float) -> float | None:
        """Return the position at that time, in quarter notes; None while there is none."""
        ...


def next_beat(beats: Beats, seconds: float, every: float = 1.0) -> float:
    """Return the time of the next beat that ``every`` divides, at or after ``seconds``.

    Without a running clock return ``seconds``, so that nothing waits for a beat that never comes.
    """
    position, bpm = beats.beat_at(seconds), beats.bpm
    if position is None or not bpm or not beats.running:
        return seconds
    # A position that is past a beat only by rounding counts as on it.
    on = math.ceil(position / every - 1e-6) * every
    return seconds + max(on - position, 0.0) * 60.0 / bpm


class ClockFollower:
    """Follows MIDI clock. Owns the tempo, the position, and the expected time of the next clock.

    Each clock is compared with its expected time; part of the difference corrects the expected
    time, and a smaller part the interval. These gains fit a straight line to all clocks so far by
    least squares, and stay constant once it has settled (the growing-memory g-h filter; E.
    Brookner, "Tracking and Kalman Filtering Made Easy", 1998). A jump in tempo is taken up within a
    few clocks.
    """

    def __init__(self) -> None:
        self.running = False
        self._interval: float | None = None
        self._expected = -math.inf
        self._last = -math.inf
        self._averaged = 0
        self._off = 0.0
        self._times: deque[float] = deque(maxlen=NEW_TEMPO_CLOCKS + 1)
        self._clocks = 0.0
        self._restart: float | None = None

    @property
    def bpm(self) -> float | None:
        """Quarter notes per minute; None before the second clock."""
        return None if self._interval is None else 60.0 / (self._interval * CLOCKS_PER_BEAT)

    def feed(self, message: Sequence[int], seconds: float) -> bool:
        """Take a message that arrived at that time; return True if it belongs to the clock."""
        status = message[0] if message else 0
        if status == CLOCK:
            self._tick(seconds)
        elif status == START:
            self.running, self._restart = True, 0.0
        elif status == CONTINUE:
            self.running, self._restart = True, self._position()
        elif status == STOP:
            self.running = False
        elif status == SONG_POSITION and len(message) == 3:
            self._clocks = sixteenth_of(message) * CLOCKS_PER_SIXTEENTH
            if self._restart is not None:
                self._restart = self._clocks
        else:
            return False
        return True

    def beat_at(self, seconds: float) -> float | None:
        """Return the position at that time, in quarter notes; None before there is a tempo.

        While the clock is stopped, so is the position.
        """
        if self._interval is None:
            return None
        if not self.running or self._restart is not None:
            return self._position() / CLOCKS_PER_BEAT
        # The expected time is that of the next clock; the present one was an interval before.
        since = (seconds - self._expected) / self._interval + 1.0
        return (self._clocks + max(since, 0.0)) / CLOCKS_PER_BEAT

    def expire(self, now: float) -> None:
        """Mark the clock as stopped if it no longer comes."""
        if self.running and self._is_lost(now):
            self.running = False

    def _is_lost(self, seconds: float) -> bool:
        if self._interval is None:
            return False
        return seconds - self._last > LOST_CLOCKS * self._interval

    def _position(self) -> float:
        return self._clocks if self._restart is None else self._restart

    def _tick(self, seconds: float) -> None:
        self._follow(seconds)
        self._last = seconds
        if not self.running:
            return
        if self._restart is not None:
            self._clocks, self._restart = self._restart, None
        else:
            self._clocks += 1.0

    def _follow(self, seconds: float) -> None:
        """Update the interval and the expected time with a clock."""
        gap = seconds - self._last
        self._times.append(seconds)
        if self._interval is None or self._is_lost(seconds):
            self._begin(seconds, gap)
            return
        if self._restart is not None:  # there may have been no clocks for a while
            self._begin(seconds, self._interval)
            return
        error = seconds - self._expected
        if self._is_new_tempo(error, self._interval):
            self._begin(seconds, (seconds - self._times[0]) / (len(self._times) - 1))
            return
        self._averaged = min(self._averaged + 1, SETTLING_CLOCKS)
        both = (self._averaged + 1.0) * (self._averaged + 2.0)
        self._interval = _within_limits(self._interval + 6.0 / both * error)
        self._expected += (4.0 * self._averaged + 2.0) / both * error + self._interval

    def _is_new_tempo(self, error: float, interval: float) -> bool:
        """Return True if this clock is one of several in a row that were all early, or all late."""
        late = math.copysign(1.0, error) if abs(error) > NEW_TEMPO_SHARE * interval else 0.0
        self._off = self._off + late if late * self._off > 0 else late
        return abs(self._off) >= NEW_TEMPO_CLOCKS

    def _begin(self, seconds: float, gap: float) -> None:
        """Restart the average, from this interval if it is within the limits."""
        self._averaged, self._off = 0, 0.0
        limited = _within_limits(gap)
        if math.isclose(limited, gap, rel_tol=TEMPO_SLACK):
            self._interval = limited
        self._expected = seconds + (self._interval or math.inf)


def _within_limits(interval: float) -> float:
    shortest, longest = (60.0 / (bpm * CLOCKS_PER_BEAT) for bpm in (FASTEST_BPM, SLOWEST_BPM))
    return min(max(interval, shortest), longest)


class ClockSender:
    """Decides which MIDI clock message to send when. Owns the tempo and the position.

    It is our own metronome, and implements :class:`Beats`. It sends nothing itself.
    """

    def __init__(self, bpm: float = 120.0) -> None:
        self.running = False
        self._bpm = _check_bpm(bpm)
        self._clocks = 0
        self._next = math.inf
        self._pending: list[Message] = []

    @property
    def bpm(self) -> float:
        """Quarter notes per minute."""
        return self._bpm

    def set_bpm(self, bpm: float) -> None:
        """Set the tempo from the next clock on; beyond the limits, the nearest within them."""
        self._bpm = min(max(bpm, SLOWEST_BPM), FASTEST_BPM)

    @property
    def next_seconds(self) -> float:
        """The time of the next message; infinite while it is stopped."""
        return -math.inf if self._pending else self._next

    def start(self, seconds: float) -> None:
        """Start from the beginning at that time."""
        self._clocks = 0
        self._run(seconds, START)

    def resume(self, seconds: float) -> None:
        """Continue at that time from the present sixteenth."""
        self._set_position(self._clocks // CLOCKS_PER_SIXTEENTH)
        self._run(seconds, CONTINUE)

    def join(self, seconds: float) -> None:
        """Send the position again, and go on at the next sixteenth after that time.

        Clocks that were due meanwhile are skipped.
        """
        if not self.running:
            return
        clocks = self._clocks + (seconds - self._next) / self._interval
        sixteenth = max(math.ceil(clocks / CLOCKS_PER_SIXTEENTH), 0)
        begin = self._next + (sixteenth * CLOCKS_PER_SIXTEENTH - self._clocks) * self._interval
        self._pending.clear()
        self._set_position(sixteenth)
        self._run(begin, CONTINUE)

    def _set_position(self, sixteenth: int) -> None:
        self._clocks = sixteenth * CLOCKS_PER_SIXTEENTH
        self._pending.append(song_position(sixteenth))

    def _run(self, seconds: float, status: int) -> None:
        self._pending.append((status,))
        self._next, self.running = seconds, True

    def stop(self) -> None:
        """Stop the clock."""
        if self.running:
            self._pending.append((STOP,))
        self._next, self.running = math.inf, False

    def take(self, now: float) -> tuple[Message, float] | None:
        """Return the next message that is due by now, and when it was due; None if there is none.

        Slightly overdue clocks are returned at once, one per call. After a longer sleep they are
        skipped, and the devices are sent the position instead.
        """
        if self.running and now > self._next + ASLEEP_SECONDS:
            self.join(now)
        if self._pending:
            return self._pending.pop(0), now
        if self._next > now:
            return None
        due = self._next
        self._clocks += 1
        self._next += self._interval
        return (CLOCK,), due

    def beat_at(self, seconds: float) -> float | None:
        """Return the position at that time, in quarter notes."""
        if not self.running:
            return self._clocks / CLOCKS_PER_BEAT
        ahead = (seconds - self._next) / self._interval
        return (self._clocks + ahead) / CLOCKS_PER_BEAT

    @property
    def _interval(self) -> float:
        return 60.0 / (self._bpm * CLOCKS_PER_BEAT)


def _check_bpm(bpm: float) -> float:
    if not SLOWEST_BPM <= bpm <= FASTEST_BPM:
        raise OptionError(f"bpm is {bpm:g}; allowed are {SLOWEST_BPM:g} to {FASTEST_BPM:g}")
    return bpm
