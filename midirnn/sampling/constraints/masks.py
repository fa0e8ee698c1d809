"""Which tokens may come next under constraints, such that another can always follow.

The grammar of the performance encoding sets the rules: a time shift shorter than the longest must
be followed by an event, and within a step note-offs come before note-ons, in the order in which the
notes began. Therefore a shift never goes beyond the step in which a sounding note must end, and
while nothing sounds it only goes to a step in which a note may begin.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from midirnn.codecs import BoolArray, PerformanceCodec
from midirnn.codecs.performance.grammar import GrammarState
from midirnn.codecs.performance.vocabulary import TokenType
from midirnn.errors import OptionError
from midirnn.performance import NUM_PITCHES
from midirnn.sampling.constraints.chart import pitch_classes_of
from midirnn.sampling.constraints.rules import LOUDNESS_TOLERANCE, PASSING_SECONDS, Constraints

NEVER = 2**62
"""A step that is never reached."""

LEAST_BURST = 4.0
"""The budget saved up for a burst of notes may reach at least this, where any may begin."""


class Segment(NamedTuple):
    """A stretch of time in which the same pitches may be used."""

    begin: int
    """The step at which it begins."""
    what: str
    """The names of the constraints, for an error."""
    begins: BoolArray
    """Which pitches may begin; shape ``(128,)``."""
    lasts: BoolArray
    """Which of them may last longer than passing notes."""


class Budget(NamedTuple):
    """How many notes may begin, as of a step: part of the sampler's state."""

    notes: float = math.inf
    step: int = 0
    ahead: float = 0.0
    """How many more notes had begun by that step than were required."""


NO_BUDGET = Budget()


class Masks:
    """The constraints on a piece, as masks. Has no state of its own: see :class:`Budget`.

    ``origin`` is the step in which the new music begins; ``seconds`` is how long it is.
    """

    def __init__(
        self, constraints: Constraints, codec: PerformanceCodec, origin: int, seconds: float
    ) -> None:
        self._constraints = constraints
        self._origin = origin
        self._second = codec.steps_per_second
        self._longest = codec.max_shift_steps
        groups = codec.vocabulary
        self._on, self._off, self._shift, self._velocity = (
            groups.slice_of(kind)
            for kind in (
                TokenType.NOTE_ON,
                TokenType.NOTE_OFF,
                TokenType.TIME_SHIFT,
                TokenType.VELOCITY,
            )
        )
        self._on_type = groups.index_of(TokenType.NOTE_ON)
        self._velocity_type = groups.index_of(TokenType.VELOCITY)
        self._passing = max(1, round(PASSING_SECONDS * self._second))
        horizon = math.ceil(seconds) + 60
        self._segments = _segments(constraints, origin, self._second, float(horizon))
        self._begin_steps = [segment.begin for segment in self._segments]
        self._ends = _ends(self._segments)
        self._steps = np.arange(origin, origin + horizon * self._second + self._longest + 1)
        times = (self._steps - origin) / self._second
        curve = constraints.notes_per_second
        self._density = None if curve is None else curve.at(times)
        if self._density is not None:
            self._grown = np.cumsum(self._density) / self._second
        self._check_any_may_begin(seconds)
        self._least = self._required(times)
        self._due = None if self._least is None else np.cumsum(self._least) / self._second
        self._bins = None
        if constraints.loudness is not None and codec.velocity_bins:
            velocities = codec.bin_velocity(np.arange(codec.velocity_bins) + 1)
            self._velocities = velocities.astype(np.float64)
            self._bins = constraints.loudness

    def _check_any_may_begin(self, seconds: float) -> None:
        """Raise :class:`OptionError` if no note may begin in all of the new music."""
        may = np.zeros(max(1, round(seconds * self._second)), dtype=bool)
        for segment in self._segments:
            may[segment.begin - self._origin :] = segment.begins.any()
        has_time = may.any()
        if self._density is not None:
            may &= self._density[: len(may)] > 0.0
        if may.any():
            return
        names = self._constraints.names_of_rests()
        if has_time:
            names.append("the curve of notes per second")
        leave = "leaves" if len(names) == 1 else "leave"
        raise OptionError(f"{' and '.join(names)} {leave} nothing to play from 0 to {seconds:g} s")

    def _required(self, times: npt.NDArray[np.float64]) -> npt.NDArray[np.float64] | None:
        """Return how many notes per second must begin at each time; 0 where none may."""
        curve = self._constraints.least_notes_per_second
        if curve is None:
            return None
        least = curve.at(times)
        for number, segment in enumerate(self._segments):
            if not segment.begins.any():
                begin = segment.begin - self._origin
                after = self._begin_steps[number + 1 : number + 2]
                end = after[0] - self._origin if after else len(least)
                least[max(begin, 0) : max(end, 0)] = 0.0
        return least

    def start(self) -> Budget:
        """Return the budget where the new music begins."""
        return Budget(math.inf, self._origin)

    def after(self, budget: Budget, token: int, step: int) -> Budget:
        """Return the budget after a token was drawn at a step."""
        if not self._on.start <= token < self._on.stop:
            return budget
        left = float(self._left(budget, np.array([step]))[0]) - 1.0
        ahead = 0.0
        if self._due is not None and self._least is not None:
            now = self._place(step)
            ahead = budget.ahead - float(self._due[now] - self._due[self._place(budget.step)]) + 1.0
            ahead = min(ahead, max(1.0, float(self._least[now])))
        return Budget(left, step, ahead)

    def _place(self, step: int) -> int:
        """Return the index of a step in the curves."""
        return min(max(step - self._origin, 0), len(self._steps) - 1)

    def _latest(self, budget: Budget) -> int:
        """Return the step by which the next note must begin."""
        if self._due is None:
            return NEVER
        reached = self._due[self._place(budget.step)] + budget.ahead + 1.0
        place = int(np.searchsorted(self._due, reached - 1e-9))
        return self._origin + place if place < len(self._due) else NEVER

    def narrow(self, state: GrammarState, mask: BoolArray, budget: Budget, due: bool) -> BoolArray:
        """Return a mask (V,) of the grammar, narrowed to what the constraints allow.

        With ``due`` the grammar allows only the end of a note, and the mask is returned as it is.
        Raises :class:`OptionError` if nothing is left.
        """
        if due:
            return mask
        kept = mask.copy()
        step, held = state.step, state.held
        segment = self._segment(step)
        ends = self._deadlines(state, held)
        offs_may_come = state.last_type not in (self._on_type, self._velocity_type)
        late = held & (ends <= step)
        if offs_may_come and late.any():
            ranks = np.where(late, state.onset_rank, NEVER)
            kept[:] = False
            kept[self._off.start + int(ranks.argmin())] = True
            return kept
        may_begin = segment.begins & ~held & (self._left(budget, np.array([step])) >= 1.0)
        kept[self._on] &= may_begin
        self._limit_velocity(state, step, kept)
        if not kept[self._on].any() and not self._can_follow_velocity(may_begin, kept):
            kept[self._velocity] = False
        shifts = kept[self._shift] & self._landings(step, held, ends, budget)
        kept[self._shift] = shifts & self._in_time(step, budget)
        if not kept.any():  # the note that is due cannot begin until a step later
            kept[self._shift.start] = shifts[0]
        if not kept.any():
            self._fail(segment, step)
        return kept

    def _limit_velocity(self, state: GrammarState, step: int, kept: BoolArray) -> None:
        """Remove the velocities that are too far from the curve of loudness."""
        if self._bins is None:
            return
        wanted = float(self._bins.at(max(0, step - self._origin) / self._second))
        apart = np.abs(self._velocities - wanted)
        fits = apart <= max(LOUDNESS_TOLERANCE, float(apart.min()))
        kept[self._velocity] &= fits
        if state.last_type != self._velocity_type:
            in_force = state.velocity_bin
            if not in_force or not fits[in_force - 1]:
                kept[self._on] = False

    def _can_follow_velocity(self, may_begin: BoolArray, kept: BoolArray) -> bool:
        return bool(may_begin.any() and kept[self._velocity].any())

    def _landings(
        self, step: int, held: BoolArray, ends: npt.NDArray[np.int64], budget: Budget
    ) -> BoolArray:
        """Return which time shifts (from 1 step on) end where the music can go on."""
        landed = step + np.arange(1, self._longest + 1)
        if held.any():
            # A primer's note may begin too late to end in time: then it ends a step later.
            fits: BoolArray = landed <= max(int(ends[held].min()), step + 1)
            return fits
        first = self._number(step)
        can = np.zeros(self._longest, dtype=bool)
        for number in range(first, len(self._segments)):
            begin = self._segments[number].begin
            if begin > landed[-1]:
                break
            after = landed >= begin if number > first else landed > 0
            can[after] = self._segments[number].begins.any()
        can &= self._left(budget, landed) >= 1.0
        can[-1] = True  # after the longest another may follow
        return can

    def _in_time(self, step: int, budget: Budget) -> BoolArray:
        """Return which time shifts end no later than the next note must begin."""
        fits: BoolArray = step + np.arange(1, self._longest + 1) <= self._latest(budget)
        return fits

    def _left(self, budget: Budget, steps: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return how many notes may begin at each of the steps, if none begins before."""
        if self._density is None:
            return np.full(len(steps), np.inf)
        at = np.clip(steps - self._origin, 0, len(self._grown) - 1)
        since = min(max(budget.step - self._origin, 0), len(self._grown) - 1)
        density = self._density[at]
        burst = np.where(density > 0.0, np.maximum(LEAST_BURST, density), 0.0)
        grown = budget.notes + self._grown[at] - self._grown[since]
        left: npt.NDArray[np.float64] = np.minimum(burst, grown)
        return left

    def _segment(self, step: int) -> Segment:
        return self._segments[self._number(step)]

    def _number(self, step: int) -> int:
        """Return the number of the stretch that a step is in."""
        return max(0, bisect_right(self._begin_steps, step) - 1)

    def _deadlines(self, state: GrammarState, held: BoolArray) -> npt.NDArray[np.int64]:
        """Return the step by which each pitch must have ended; shape ``(128,)``."""
        ends = np.full(NUM_PITCHES, NEVER, np.int64)
        for pitch in np.flatnonzero(held).tolist():
            onset = max(int(state.onset_step[pitch]), self._origin)
            number = self._number(onset)
            segment = self._segments[number]
            if segment.begins[pitch] and not segment.lasts[pitch]:
                passing = int(state.onset_step[pitch]) + self._passing
                ends[pitch] = min(passing, int(self._ends[number][1][pitch]))
            else:
                ends[pitch] = self._ends[number][0][pitch]
        return ends

    def _fail(self, segment: Segment, step: int) -> None:
        seconds = (step - self._origin) / self._second
        raise OptionError(
            f"nothing can be played {seconds:.2f} s into the new music because of {segment.what}"
        )


def _segments(constraints: Constraints, origin: int, second: int, horizon: float) -> list[Segment]:
    """Return the stretches of a piece, in order; the last one never ends."""
    chart, silences = constraints.chords, constraints.rests()
    chords = [(0.0, "")] if chart is None else chart.until(horizon)
    times = {start for start, _ in chords} | {0.0}
    times |= {time for silence in silences for time in silence if time < math.inf}
    times |= {max(0.0, time) for note in constraints.taken for time in note[1:]}
    found: list[Segment] = []
    for time in sorted(times):
        name = next(n for start, n in reversed(chords) if start <= time)
        is_silent = any(start <= time < end for start, end in silences)
        segment = _stretch(constraints, name, origin + round(time * second), is_silent)
        if not is_silent and not segment.begins.any():
            raise OptionError(f"{segment.what} leave no pitch at {time:.2f} s")
        _take(segment, constraints, time)
        if found and found[-1].begin == segment.begin:
            found.pop()
        found.append(segment)
    return found


def _take(segment: Segment, constraints: Constraints, time: float) -> None:
    """Remove from a stretch the pitches of notes that are there already."""
    for note in constraints.taken:
        if note.start <= time < note.end:
            segment.begins[note.pitch] = False
            segment.lasts[note.pitch] = note.start < 0.0  # that note itself goes on


def _stretch(constraints: Constraints, chord: str, begin: int, is_silent: bool) -> Segment:
    """Return the stretch from step ``begin`` on, with the pitches that may be used there."""
    pitches = np.arange(NUM_PITCHES)
    in_range = (pitches >= constraints.lowest) & (pitches <= constraints.highest)
    limits = f"the range {constraints.lowest} to {constraints.highest}"
    if is_silent:
        nothing = np.zeros(NUM_PITCHES, dtype=bool)
        return Segment(begin, "a silence", nothing, nothing.copy())
    tones = pitch_classes_of(chord) if chord else None
    key = constraints.key
    if tones is None:
        usable = in_range if key is None else in_range & np.isin(pitches % 12, sorted(key))
        what = limits if key is None else f"the key and {limits}"
        return Segment(begin, what, usable, usable.copy())
    lasts = in_range & np.isin(pitches % 12, sorted(tones))
    begins = lasts.copy() if key is None else in_range & np.isin(pitches % 12, sorted(tones | key))
    return Segment(begin, f"the chord {chord} and {limits}", begins, lasts)


def _ends(
    segments: list[Segment],
) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Return for each stretch the steps at which its lasting and its passing notes must end.

    Lasting notes end where they may no longer last, passing notes where they may no longer begin.
    Shape ``(128,)`` each.
    """
    lasting = passing = np.full(NUM_PITCHES, NEVER, np.int64)
    found = []
    for number in range(len(segments) - 1, -1, -1):
        segment = segments[number]
        if number + 1 < len(segments):
            after = segments[number + 1]
            lasting = np.where(after.lasts, lasting, after.begin)
            passing = np.where(after.begins, passing, after.begin)
        found.append((np.where(segment.lasts, lasting, segment.begin), passing))
    return found[::-1]


def masks_of(constraints: Constraints | None, codec: Any, origin: int, seconds: float) -> Any:
    """Return the masks of constraints; None where there are none."""
    if constraints is None or constraints == Constraints():
        return None
    constraints.check(codec)
    assert isinstance(codec, PerformanceCodec)
    return Masks(constraints, codec, origin, seconds)
