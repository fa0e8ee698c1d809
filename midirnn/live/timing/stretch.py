"""Musical time, stretched by the tempo of a clock."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass

from midirnn.errors import OptionError
from midirnn.live.timing.tempo import Beats


@dataclass(frozen=True)
class _Segment:
    """From these times on, musical time runs at ``rate`` musical seconds per second."""

    seconds: float
    musical: float
    rate: float


class TimeMap:
    """Maps the clock's seconds to the model's own (musical) seconds, which stretch with the tempo.

    At ``rate`` 2 (twice the reference tempo) two musical seconds pass in one. Owns the rates up to
    now. A new one applies from the time it is set, so that what has sounded stays where it was.
    """

    def __init__(self, seconds: float = 0.0, rate: float = 1.0) -> None:
        self._segments = [_Segment(seconds, seconds, rate)]

    @property
    def rate(self) -> float:
        """The latest rate, in musical seconds per second."""
        return self._segments[-1].rate

    @property
    def _is_plain(self) -> bool:
        return len(self._segments) == 1 and self.rate == 1.0

    def set_rate(self, seconds: float, rate: float) -> None:
        """Set the rate from that time on. Times must not decrease."""
        if not (math.isfinite(rate) and rate > 0.0):
            raise OptionError(f"the rate of musical time is {rate:g}; it must be over 0")
        last = self._segments[-1]
        if rate == last.rate:
            return
        at = max(seconds, last.seconds)
        segment = _Segment(at, self.musical(at), rate)
        if at == last.seconds:
            self._segments[-1] = segment
        else:
            self._segments.append(segment)

    def musical(self, seconds: float) -> float:
        """Return the model's time at a clock time."""
        if self._is_plain:
            return seconds
        at = bisect.bisect_right(self._segments, seconds, key=lambda segment: segment.seconds)
        segment = self._segments[max(at - 1, 0)]
        return segment.musical + (seconds - segment.seconds) * segment.rate

    def seconds(self, musical: float) -> float:
        """Return the clock time at a time of the model."""
        if self._is_plain:
            return musical
        at = bisect.bisect_right(self._segments, musical, key=lambda segment: segment.musical)
        segment = self._segments[max(at - 1, 0)]
        return segment.seconds + (musical - segment.musical) / segment.rate


STEADY_SHARE = 0.005
"""Tempo changes by no more than this share are ignored."""


class Stretch:
    """Makes musical time follow a clock's tempo. Owns the time map."""

    def __init__(self, beats: Beats, reference_bpm: float, seconds: float = 0.0) -> None:
        self.map = TimeMap(seconds)
        self._beats = beats
        self._reference = reference_bpm

    def follow(self, now: float) -> bool:
        """Adopt the clock's tempo; return True if it has changed."""
        bpm = self._beats.bpm
        if bpm is None:
            return False
        rate = bpm / self._reference
        if abs(rate - self.map.rate) <= STEADY_SHARE * self.map.rate:
            return False
        self.map.set_rate(now, rate)
        return True
