"""The grammar of the performance encoding: which tokens may follow, given what sounds now.

A stream that :class:`~midirnn.codecs.performance.PerformanceCodec` writes (with ``overlaps="cut"``)
follows these rules, and a model that is trained and sampled under them cannot break them:

====================  =====================================================================
after                 may come
====================  =====================================================================
anything              a note-on of a silent pitch
velocity              only that note-on
note-on               no note-off before the next time shift: offs come first in a step
note-off              of the note-offs, only those of notes that began after the one just ended
shift, not longest    no further shift: a long gap is longest shifts, then one for the rest
any but velocity      a velocity other than the one in force, if a pitch is silent
====================  =====================================================================
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from midirnn.arrays import BoolArray
from midirnn.codecs.base import Limits, Tokens
from midirnn.codecs.native_scan import GrammarScan, is_for
from midirnn.codecs.performance.layout import PerformanceLayout
from midirnn.codecs.performance.vocabulary import TokenType
from midirnn.errors import CodecError
from midirnn.performance import NUM_PITCHES

_TYPES = (TokenType.NOTE_ON, TokenType.NOTE_OFF, TokenType.TIME_SHIFT, TokenType.VELOCITY)
_SILENT = -1
_START = -1  # the type of "no token yet"

_Kinds = npt.NDArray[np.int8]
_Values = npt.NDArray[np.int64]


@dataclass
class GrammarState:
    """The state of a token stream: what sounds, since when, and the last token. Changed in place.

    ``onset_rank`` (shape ``(128,)``) numbers the sounding notes in the order of their note-ons,
    ``onset_step`` is the step in which they began; both are -1 for silent pitches.
    """

    onset_rank: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.full(NUM_PITCHES, _SILENT, np.int64)
    )
    onset_step: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.full(NUM_PITCHES, _SILENT, np.int64)
    )
    next_rank: int = 0
    step: int = 0
    velocity_bin: int = 0
    last_type: int = _START
    last_shift_full: bool = False
    last_off_rank: int = _SILENT
    earliest_step: int = 0
    """No note that sounds began before this step."""
    earliest_pitch: int = 0
    """The pitch of the note that began then, if it still sounds."""

    @property
    def held(self) -> BoolArray:
        """Which pitches sound; shape ``(128,)``."""
        return self.onset_rank >= 0

    @property
    def sounding(self) -> list[int]:
        """The pitches that sound, in the order of their note-ons."""
        pitches = np.flatnonzero(self.held)
        in_order: list[int] = pitches[np.argsort(self.onset_rank[pitches])].tolist()
        return in_order

    def arrays(self) -> tuple[_Values, _Values, _Values]:
        """Return copies of ranks and onsets, and the scalars as an array, for the C++."""
        numbers = [getattr(self, name) for name in _NUMBERS]
        return self.onset_rank.copy(), self.onset_step.copy(), np.array(numbers, np.int64)

    def set_arrays(self, arrays: tuple[_Values, _Values, _Values]) -> None:
        """Set the state from arrays like those of :meth:`arrays`."""
        self.onset_rank, self.onset_step, numbers = arrays
        for name, value in zip(_NUMBERS, numbers.tolist(), strict=True):
            setattr(self, name, value)
        self.last_shift_full = bool(self.last_shift_full)

    def copy(self) -> GrammarState:
        """Return a state that changes independently of this one."""
        return GrammarState(  # called often, and three times as fast as dataclasses.replace
            self.onset_rank.copy(),
            self.onset_step.copy(),
            self.next_rank,
            self.step,
            self.velocity_bin,
            self.last_type,
            self.last_shift_full,
            self.last_off_rank,
            self.earliest_step,
            self.earliest_pitch,
        )


_NUMBERS = ("next_rank", "step", "velocity_bin", "last_type", "last_shift_full", "last_off_rank")


class PerformanceGrammar:
    """Which tokens may follow which. Holds no state: see :class:`GrammarState`.

    The limits bound how long a note may sound (the mask makes a stream end it in time), and how
    many notes may sound at once.
    """

    def __init__(self, layout: PerformanceLayout, limits: Limits | None = None) -> None:
        limits = limits or Limits()
        self.layout = layout
        self.vocab_size = layout.vocab_size
        self.max_note_steps = (
            None
            if limits.max_note_seconds is None
            else max(1, round(limits.max_note_seconds * layout.steps_per_second))
        )
        self.max_sounding = limits.max_sounding
        self._most_sounding = NUM_PITCHES if self.max_sounding is None else self.max_sounding
        vocabulary = layout.vocabulary
        self._type = vocabulary.type_index
        self._value = vocabulary.values
        self._on, self._off, self._shift, self._velocity = map(vocabulary.slice_of, _TYPES)
        self._on_type, self._off_type, self._shift_type, self._velocity_type = map(
            vocabulary.index_of, _TYPES
        )
        groups = (self._on, self._off, self._shift, self._velocity)
        self._in_cpp = GrammarScan(groups, self.vocab_size)

    def start(self) -> GrammarState:
        """Return the state before the first token: silence."""
        return GrammarState()

    def mask(self, state: GrammarState) -> BoolArray:
        """Return which tokens may come next; shape ``(V,)``, never all false."""
        mask = np.zeros(self.vocab_size, dtype=bool)
        silent = state.onset_rank < 0
        last = state.last_type
        if last == self._velocity_type:  # its note must come
            mask[self._on] = silent
            return mask
        if last != self._on_type:
            mask[self._off] = state.onset_rank > state.last_off_rank
        if NUM_PITCHES - np.count_nonzero(silent) < self._most_sounding:
            mask[self._on] = silent
            mask[self._velocity] = True
            if state.velocity_bin:
                mask[self._velocity.start + state.velocity_bin - 1] = False
        left = self._steps_left(state)
        if self._may_shift(state):
            longest = min(max(left, 1), self.layout.max_shift_steps)
            mask[self._shift.start : self._shift.start + longest] = True
        if left <= 0 and (pitch := self.due(state)) is not None:
            mask[:] = False
            mask[self._off.start + pitch] = True
        return mask

    def longest_shift(self, state: GrammarState) -> int:
        """Return the longest time shift that :meth:`mask` allows, in steps; 0 if none."""
        left = self._steps_left(state)
        if not self._may_shift(state) or (left <= 0 and self.due(state) is not None):
            return 0
        return min(max(left, 1), self.layout.max_shift_steps)

    def due(self, state: GrammarState) -> int | None:
        """Return the pitch whose note-off must come next because its note has the maximum length.

        If there are several, it is the one that began first. None if there is none, or if it can
        only end a step later because the note-offs of this step are over.
        """
        if self.max_note_steps is None or self._steps_left(state) > 0:
            return None
        is_due = state.held & (state.onset_step + self.max_note_steps <= state.step)
        ranks = np.where(is_due, state.onset_rank, np.iinfo(np.int64).max)
        pitch = int(np.argmin(ranks))
        offs_are_over = state.last_type in (self._velocity_type, self._on_type)
        return None if offs_are_over or ranks[pitch] <= state.last_off_rank else pitch

    def _may_shift(self, state: GrammarState) -> bool:
        """Return whether a time shift may follow the last token."""
        if state.last_type == self._shift_type:
            return state.last_shift_full
        return state.last_type != self._velocity_type

    def _steps_left(self, state: GrammarState) -> int:
        """Return the steps until a note must end; more than the longest shift if none is near."""
        far = self.layout.max_shift_steps + 1
        if self.max_note_steps is None:
            return far
        left = state.earliest_step + self.max_note_steps - state.step
        if left >= far:
            return far
        if state.onset_step[state.earliest_pitch] != state.earliest_step:  # that note has ended
            sounding = np.flatnonzero(state.held)
            if not len(sounding):
                state.earliest_step = state.step
                return far
            state.earliest_pitch = int(sounding[state.onset_step[sounding].argmin()])
            state.earliest_step = int(state.onset_step[state.earliest_pitch])
        return state.earliest_step + self.max_note_steps - state.step

    def advance(self, state: GrammarState, token: int) -> None:
        """Move the state past a token. Any token of the vocabulary is accepted."""
        kind, value = int(self._type[token]), int(self._value[token])
        if kind == self._on_type:
            state.onset_rank[value] = state.next_rank
            state.onset_step[value] = state.step
            state.next_rank += 1
        elif kind == self._off_type:
            state.last_off_rank = int(state.onset_rank[value])
            state.onset_rank[value] = state.onset_step[value] = _SILENT
        elif kind == self._shift_type:
            state.step += value
            state.last_off_rank = _SILENT
            state.last_shift_full = value == self.layout.max_shift_steps
        else:
            state.velocity_bin = value
        state.last_type = kind

    def skip(self, state: GrammarState, tokens: Tokens) -> None:
        """Move the state past many tokens at once."""
        if len(tokens) == 0:
            return
        if is_for(len(tokens)):
            arrays = state.arrays()
            self._in_cpp.skip(arrays, tokens)
            state.set_arrays(arrays)
            return
        kind, value = self._type[tokens], self._value[tokens]
        steps = state.step + np.cumsum(np.where(kind == self._shift_type, value, 0))
        ons = np.flatnonzero(kind == self._on_type)
        ranks = state.next_rank + np.arange(len(ons))
        events = np.flatnonzero((kind == self._on_type) | (kind == self._off_type))
        last_event = np.full(NUM_PITCHES, -1)
        last_event[value[events]] = events  # the last event per pitch counts
        rank_at = np.full(len(tokens), _SILENT, np.int64)
        rank_at[ons] = ranks
        step_at = np.full(len(tokens), _SILENT, np.int64)
        step_at[ons] = steps[ons]
        last_off_rank = self._last_off_rank(state, kind, value, rank_at)
        changed = last_event >= 0
        state.onset_rank[changed] = rank_at[last_event[changed]]
        state.onset_step[changed] = step_at[last_event[changed]]
        velocities = np.flatnonzero(kind == self._velocity_type)
        if len(velocities):
            state.velocity_bin = int(value[velocities[-1]])
        shifts = np.flatnonzero(kind == self._shift_type)
        if len(shifts):
            state.last_shift_full = bool(value[shifts[-1]] == self.layout.max_shift_steps)
        state.last_off_rank = last_off_rank
        state.next_rank += len(ons)
        state.step = int(steps[-1])
        state.last_type = int(kind[-1])

    def _last_off_rank(
        self,
        state: GrammarState,
        kind: _Kinds,
        value: _Values,
        rank_at: _Values,
    ) -> int:
        """Return the rank of the note that ended last in the step at the end of the tokens."""
        shifts = np.flatnonzero(kind == self._shift_type)
        begin = int(shifts[-1]) + 1 if len(shifts) else 0
        offs = np.flatnonzero(kind[begin:] == self._off_type)
        if not len(offs):
            return _SILENT if len(shifts) else state.last_off_rank
        position = begin + int(offs[-1])
        pitch = value[position]
        earlier = np.flatnonzero(
            (value[:position] == pitch)
            & ((kind[:position] == self._on_type) | (kind[:position] == self._off_type))
        )
        return int(rank_at[earlier[-1]]) if len(earlier) else int(state.onset_rank[pitch])

    def scan(self, state: GrammarState, tokens: Tokens) -> BoolArray:
        """Move the state past the tokens; return what may come after each, shape ``(T, V)``.

        Raises :class:`CodecError` where a token breaks the grammar or is not in the vocabulary.
        """
        if self.max_note_steps is not None or self.max_sounding is not None:
            raise CodecError("a grammar with limits on its notes is for sampling, not for scan")
        tokens = self.layout.vocabulary.check(tokens)
        before, masks = self.mask(state), self._masks(state, tokens)
        allowed = np.append(before[tokens[:1]], masks[np.arange(len(tokens) - 1), tokens[1:]])
        if not allowed.all():
            position = int(np.flatnonzero(~allowed)[0])
            what = " ".join(map(str, self.layout.vocabulary.describe(int(tokens[position]))))
            raise CodecError(f"token {position} ({what}) breaks the grammar of the encoding")
        self.skip(state, tokens)
        return masks

    def _masks(self, state: GrammarState, tokens: Tokens) -> BoolArray:
        """Return what may come after each token, even one that was not allowed; (T, V)."""
        if is_for(len(tokens)):
            return self._in_cpp.masks(state.arrays(), tokens)
        kind, value = self._type[tokens], self._value[tokens]
        is_on, rows = kind == self._on_type, np.arange(len(tokens))
        rank = self._ranks(state, kind, value)
        held = rank >= 0
        threshold = self._off_thresholds(state, kind, value, rank)
        velocity_at = np.where(kind == self._velocity_type, rows, -1)
        np.maximum.accumulate(velocity_at, out=velocity_at)
        bins = np.where(velocity_at >= 0, value[np.maximum(velocity_at, 0)], state.velocity_bin)

        masks = np.zeros((len(tokens), self.vocab_size), dtype=bool)
        free = kind != self._velocity_type
        masks[:, self._on] = ~held
        masks[:, self._off] = held & (rank > threshold[:, None]) & (free & ~is_on)[:, None]
        full = value == self.layout.max_shift_steps
        masks[:, self._shift] = (free & ((kind != self._shift_type) | full))[:, None]
        masks[:, self._velocity] = (free & ~held.all(axis=1))[:, None]
        known = bins > 0
        masks[rows[known], self._velocity.start + bins[known] - 1] = False
        return masks

    def _ranks(self, state: GrammarState, kind: _Kinds, value: _Values) -> _Values:
        """Return the rank of the note at each pitch after each token, or -1; ``(T, 128)``."""
        rows, is_on = np.arange(len(kind)), kind == self._on_type
        notes = is_on | (kind == self._off_type)
        # Set at note-ons and note-offs, carried forward in between.
        written = np.full((len(kind), NUM_PITCHES), -1, np.int64)
        written[rows[notes], value[notes]] = rows[notes]
        np.maximum.accumulate(written, axis=0, out=written)
        rank_at = np.where(is_on, state.next_rank + np.cumsum(is_on) - 1, _SILENT)
        return np.where(written >= 0, rank_at[np.maximum(written, 0)], state.onset_rank)

    def _off_thresholds(
        self, state: GrammarState, kind: _Kinds, value: _Values, rank: _Values
    ) -> _Values:
        """Return the rank that note-offs must exceed: that of the step's last ended note; (T,)."""
        rows, is_off = np.arange(len(kind)), kind == self._off_type
        notes = is_off | (kind == self._on_type)
        previous = np.vstack([state.onset_rank, rank[:-1]])
        off_rank = np.where(is_off, previous[rows, value * notes], _SILENT)
        mark = np.where(is_off | (kind == self._shift_type), rows, -1)
        np.maximum.accumulate(mark, out=mark)
        return np.where(mark >= 0, off_rank[np.maximum(mark, 0)], state.last_off_rank)
