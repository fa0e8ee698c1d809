"""The guard: notices when the model falls silent, loops or babbles, and leads it back."""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

SILENCE_SECONDS = 12.0
SILENCE_NOTES = 6
"""At most this many notes in this many seconds count as silence: hardly one in a thousand such
stretches of piano performances has so few."""

SILENCE_SHARE = 0.25
"""If sparse music was asked for, at most this share of its notes counts as silence."""

LOOP_SECONDS = 8.0
LOOP_NOTES = 24
LOOP_ROUNDS = 4
LOOP_SHARE = 0.9
LONGEST_LOOP_NOTES = 32
"""A loop is a figure of at most LONGEST_LOOP_NOTES notes that has been repeated LOOP_ROUNDS times
and for LOOP_SECONDS, with LOOP_SHARE of its pitches, or of its intervals, the same each time."""

BABBLE_SECONDS = 6.0
BABBLE_NOTES_PER_SECOND = 45.0
BABBLE_TOKENS = 128
BABBLE_NATS = 2.6
"""More notes per second than this, or a higher mean entropy of the tokens that begin or end notes,
is babble. The entropy of a token that could be any of 388 is 5.96 nats; under `piano`, stretches of
that length from ten pieces of the test split are at 1.0 to 2.2."""

CHORD_SECONDS = 0.03
"""Notes that begin this close together are a chord, and have no order."""

REMEDY_SECONDS = 6.0
"""How long a changed temperature lasts."""

RELAPSE_SECONDS = 30.0
"""A fault this soon after the last is a relapse: the model goes back to the state that the
performer's playing left it in."""

MOST_DEGREES = 3
"""A relapse into the same fault is treated with one degree more, up to this many, since the last
degree did not help."""

LOOKED_NOTES = 8
"""Loops are searched for each time this many notes have come."""

WATCHED_NOTES = LONGEST_LOOP_NOTES * LOOP_ROUNDS * 2


class Fault(StrEnum):
    """What can go wrong when a model plays for a long time."""

    SILENCE = "silence"
    LOOP = "loop"
    BABBLE = "babble"


TEMPERATURE_FACTORS = {Fault.SILENCE: 1.25, Fault.LOOP: 1.4, Fault.BABBLE: 0.7}
"""The factors on the temperature, applied once for each degree, that lead the model out."""


@dataclass(frozen=True)
class Remedy:
    """What to do about a fault: change the temperature and, on a relapse, go back.

    With ``go_back`` the model should return to the state it had when the performer stopped.
    """

    fault: Fault
    seconds: float
    temperature_factor: float
    until: float
    go_back: bool


class CollapseGuard:
    """Watches what the model plays. Owns the last notes, the present remedy, and counts of faults.

    It depends only on its inputs: the same notes at the same times give the same remedies.
    """

    def __init__(self) -> None:
        self.acted: Counter[Fault] = Counter()
        """How often it acted on each fault."""
        self.went_back = 0
        """How often the model went back to an earlier state."""
        self._remedy: Remedy | None = None
        self._degree = 0
        self.end()

    def begin(self, seconds: float) -> None:
        """Take note that the model begins to play."""
        self.end()
        self._since = seconds

    def end(self) -> None:
        """Take note that the model stops playing: nothing is noticed until it begins again."""
        self._since = math.inf
        self._chord = -math.inf
        self._notes: deque[tuple[float, int]] = deque(maxlen=WATCHED_NOTES)
        self._onsets: deque[float] = deque()
        self._entropies: deque[float] = deque(maxlen=BABBLE_TOKENS)
        self._unseen = 0

    def wait(self, seconds: float) -> None:
        """Take note that the model cannot begin a note until then: that is no silence."""
        if self._since < seconds:
            self._since = seconds

    def hear_note(self, seconds: float, pitch: int) -> None:
        """Take note that the model began a note. Times must not decrease."""
        if seconds - self._chord > CHORD_SECONDS:
            self._chord = seconds
        self._notes.append((self._chord, pitch))
        self._onsets.append(seconds)
        self._forget_before(seconds)
        self._unseen += 1

    def hear_entropy(self, nats: float) -> None:
        """Take note of the entropy of a token that begins or ends a note."""
        self._entropies.append(nats)

    def look(self, now: float, notes_per_second: float | None = None) -> Remedy | None:
        """Return what to do from now on, if anything. While a remedy lasts there is no other.

        ``notes_per_second`` is the density that was asked for, if any, so that sparse music does
        not count as silence.
        """
        before = self._remedy
        if before is not None and now < before.until:
            return None
        fault = self._fault(now, notes_per_second)
        if fault is None:
            return None
        relapse = before is not None and now - before.until < RELAPSE_SECONDS
        again = before is not None and relapse and before.fault is fault
        self._degree = min(self._degree + 1, MOST_DEGREES) if again else 1
        factor = TEMPERATURE_FACTORS[fault] ** self._degree
        self._remedy = Remedy(fault, now, factor, now + REMEDY_SECONDS, go_back=relapse)
        self.acted[fault] += 1
        self.went_back += relapse
        self.begin(now)
        return self._remedy

    def temperature_factor(self, now: float) -> float:
        """Return the factor on the temperature now; 1 when all is well."""
        remedy = self._remedy
        return remedy.temperature_factor if remedy is not None and now < remedy.until else 1.0

    def looks_at(self, now: float) -> float:
        """Return when to look again if nothing more is heard."""
        ends = [self._since + SILENCE_SECONDS]
        if self._remedy is not None:
            ends.append(self._remedy.until)
        return min((end for end in ends if end > now), default=now + 1.0)

    def report(self) -> str:
        """Return a text about how often it acted."""
        if not self.acted:
            return "guard: never needed"
        faults = ", ".join(f"{fault} {count}" for fault, count in sorted(self.acted.items()))
        return f"guard: {faults} (went back to your music {_times(self.went_back)})"

    def _fault(self, now: float, notes_per_second: float | None) -> Fault | None:
        self._forget_before(now)
        if self._is_silent(now, notes_per_second):
            return Fault.SILENCE
        if self._babbles(now):
            return Fault.BABBLE
        return Fault.LOOP if self._loops(now) else None

    def _forget_before(self, now: float) -> None:
        """Forget the onsets that no fault is found in any more."""
        while self._onsets and self._onsets[0] <= now - SILENCE_SECONDS:
            self._onsets.popleft()

    def _is_silent(self, now: float, notes_per_second: float | None) -> bool:
        few: float = SILENCE_NOTES
        if notes_per_second is not None:
            few = min(few, SILENCE_SHARE * notes_per_second * SILENCE_SECONDS)
        return now - self._since >= SILENCE_SECONDS and len(self._onsets) <= few

    def _babbles(self, now: float) -> bool:
        is_full = len(self._entropies) == BABBLE_TOKENS
        if is_full and sum(self._entropies) > BABBLE_NATS * BABBLE_TOKENS:
            return True
        if now - self._since < BABBLE_SECONDS:
            return False
        late = sum(onset > now - BABBLE_SECONDS for onset in self._onsets)
        return late > BABBLE_NOTES_PER_SECOND * BABBLE_SECONDS

    def _loops(self, now: float) -> bool:
        if self._unseen < LOOKED_NOTES or len(self._notes) < LOOP_NOTES:
            return False
        self._unseen = 0
        notes = sorted(self._notes)
        seconds = np.array([note[0] for note in notes])
        pitches = np.array([note[1] for note in notes])
        if now - seconds[0] < LOOP_SECONDS:
            return False
        lasting = len(seconds) - int(np.searchsorted(seconds, now - LOOP_SECONDS, side="right")) + 1
        return loop_period(pitches, lasting) > 0


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def loop_period(pitches: np.ndarray[tuple[int], np.dtype[np.int64]], lasting: int) -> int:
    """Return the length in notes of the figure that is repeated at the end; 0 without one.

    At least the last ``lasting`` notes must belong to it.
    """
    intervals = np.diff(pitches)
    for period in range(1, LONGEST_LOOP_NOTES + 1):
        count = max(period * LOOP_ROUNDS, LOOP_NOTES, lasting)
        if count > len(pitches):
            continue
        if _repeats(pitches[-count:], period) or _repeats(intervals[1 - count :], period):
            return period
    return 0


def _repeats(values: np.ndarray[tuple[int], np.dtype[np.int64]], period: int) -> bool:
    """Return True if nearly all values equal those one period before."""
    return float(np.mean(values[period:] == values[:-period])) >= LOOP_SHARE
