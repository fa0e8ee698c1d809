"""The grammar of the performance encoding: which tokens may follow, given what sounds now.

A stream that :class:`~midirnn.codecs.performance.PerformanceCodec` writes (with ``overlaps="cut"``)
keeps these rules, and a model that is trained and sampled under them cannot break them:

====================  =====================================================================
after                 may come
====================  =====================================================================
anything              a note-on of a silent pitch
velocity              nothing but that note-on
note-on               no note-off before the next time shift: offs come first in a step
note-off              of note-offs, only of notes that began after the one just ended
shift below the most  no further shift: a long gap is shifts of the most, then the rest
any but velocity      a velocity other than the one in force, if a pitch is silent
====================  =====================================================================
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from midirnn.codecs.vocabulary import Tokens, TokenType
from midirnn.errors import CodecError
from midirnn.performance import NUM_PITCHES

if TYPE_CHECKING:
    from midirnn.codecs.performance import PerformanceCodec

BoolArray = npt.NDArray[np.bool_]

_SILENT = -1
_START = -1  # the type of "no token yet"


@dataclass
class GrammarState:
    """Where a token stream stands: what sounds, since when, and what came last.

    ``onset_rank`` (shape ``(128,)``) numbers the notes that sound in the order of their note-ons,
    ``onset_step`` says when they began; both are -1 for silent pitches.
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

    @property
    def held(self) -> BoolArray:
        """Which pitches sound; shape ``(128,)``."""
        return self.onset_rank >= 0

    def copy(self) -> GrammarState:
        """A state that changes apart from this one."""
        return GrammarState(  # three times as fast as dataclasses.replace, and often called
            self.onset_rank.copy(),
            self.onset_step.copy(),
            self.next_rank,
            self.step,
            self.velocity_bin,
            self.last_type,
            self.last_shift_full,
            self.last_off_rank,
        )


class PerformanceGrammar:
    """Which tokens may follow which. Without state of its own: see :class:`GrammarState`.

    ``max_note_seconds`` bounds how long a note may sound: a stream under the mask ends it in time.
    ``max_sounding`` bounds how many may sound at once.
    """

    def __init__(
        self,
        codec: PerformanceCodec,
        max_note_seconds: float | None = None,
        max_sounding: int | None = None,
    ) -> None:
        self.codec = codec
        self.vocab_size = codec.vocab_size
        self.max_note_steps = (
            None
            if max_note_seconds is None
            else max(1, round(max_note_seconds * codec.steps_per_second))
        )
        self.max_sounding = max_sounding
        vocabulary = codec.vocabulary
        self._type = vocabulary.type_index
        self._value = vocabulary.values
        self._on, self._off, self._shift, self._velocity = (
            vocabulary.slice_of(token_type) for token_type in TokenType
        )
        self._types = {t: index for index, t in enumerate(TokenType)}

    def start(self) -> GrammarState:
        """The state before the first token: silence."""
        return GrammarState()

    def mask(self, state: GrammarState) -> BoolArray:
        """True for each token that may come next; shape ``(V,)``. Never all false."""
        types = self._types
        mask = np.zeros(self.vocab_size, dtype=bool)
        held = state.held
        last = state.last_type
        if last != types[TokenType.VELOCITY]:
            if last != types[TokenType.NOTE_ON]:
                mask[self._off] = held & (state.onset_rank > state.last_off_rank)
            mask[self._shift] = self._may_shift(state)
            mask[self._velocity] = not held.all()
            if state.velocity_bin:
                mask[self._velocity.start + state.velocity_bin - 1] = False
        mask[self._on] = ~held
        if (
            self.max_sounding is not None
            and last != types[TokenType.VELOCITY]  # the note it announces must come
            and np.count_nonzero(held) >= self.max_sounding
        ):
            mask[self._on] = mask[self._velocity] = False
        left = self._steps_left(state)
        mask[self._shift.start + max(left, 1) : self._shift.stop] = False
        if left <= 0 and (pitch := self.due(state)) is not None:
            mask[:] = False
            mask[self._off.start + pitch] = True
        return mask

    def longest_shift(self, state: GrammarState) -> int:
        """The longest time shift that :meth:`mask` allows, in steps; 0 if none."""
        left = self._steps_left(state)
        if not self._may_shift(state) or (left <= 0 and self.due(state) is not None):
            return 0
        return min(max(left, 1), self.codec.max_shift_steps)

    def due(self, state: GrammarState) -> int | None:
        """The pitch whose note-off is all that may come: its note has sounded for long enough.

        Of several it is the one that began first. None if there is none, or if it ends a step
        later, since the note-offs of this step are over.
        """
        if self.max_note_steps is None or self._steps_left(state) > 0:
            return None
        is_due = state.held & (state.onset_step + self.max_note_steps <= state.step)
        ranks = np.where(is_due, state.onset_rank, np.iinfo(np.int64).max)
        pitch = int(np.argmin(ranks))
        types = self._types
        offs_are_over = state.last_type in (types[TokenType.VELOCITY], types[TokenType.NOTE_ON])
        return None if offs_are_over or ranks[pitch] <= state.last_off_rank else pitch

    def _may_shift(self, state: GrammarState) -> bool:
        """Whether a time shift may follow the last token, but for its length."""
        if state.last_type == self._types[TokenType.TIME_SHIFT]:
            return state.last_shift_full
        return state.last_type != self._types[TokenType.VELOCITY]

    def _steps_left(self, state: GrammarState) -> int:
        """Steps until the first note must end; more than a shift where none is that near."""
        if self.max_note_steps is not None and len(begun := state.onset_step[state.held]):
            return int(begun.min()) + self.max_note_steps - state.step
        return self.codec.max_shift_steps + 1

    def advance(self, state: GrammarState, token: int) -> None:
        """Take a token into the state. Any token of the vocabulary is taken."""
        kind, value = int(self._type[token]), int(self._value[token])
        types = self._types
        if kind == types[TokenType.NOTE_ON]:
            state.onset_rank[value] = state.next_rank
            state.onset_step[value] = state.step
            state.next_rank += 1
        elif kind == types[TokenType.NOTE_OFF]:
            state.last_off_rank = int(state.onset_rank[value])
            state.onset_rank[value] = state.onset_step[value] = _SILENT
        elif kind == types[TokenType.TIME_SHIFT]:
            state.step += value
            state.last_off_rank = _SILENT
            state.last_shift_full = value == self.codec.max_shift_steps
        else:
            state.velocity_bin = value
        state.last_type = kind

    def skip(self, state: GrammarState, tokens: Tokens) -> None:
        """Take many tokens into the state at once."""
        if len(tokens) == 0:
            return
        kind, value = self._type[tokens], self._value[tokens]
        types = self._types
        steps = state.step + np.cumsum(np.where(kind == types[TokenType.TIME_SHIFT], value, 0))
        ons = np.flatnonzero(kind == types[TokenType.NOTE_ON])
        ranks = state.next_rank + np.arange(len(ons))
        events = np.flatnonzero(
            (kind == types[TokenType.NOTE_ON]) | (kind == types[TokenType.NOTE_OFF])
        )
        last_event = np.full(NUM_PITCHES, -1)
        last_event[value[events]] = events  # where an index stands twice, the last value stays
        rank_at = np.full(len(tokens), _SILENT, np.int64)
        rank_at[ons] = ranks
        step_at = np.full(len(tokens), _SILENT, np.int64)
        step_at[ons] = steps[ons]
        last_off_rank = self._last_off_rank(state, kind, value, rank_at)
        changed = last_event >= 0
        state.onset_rank[changed] = rank_at[last_event[changed]]
        state.onset_step[changed] = step_at[last_event[changed]]
        velocities = np.flatnonzero(kind == types[TokenType.VELOCITY])
        if len(velocities):
            state.velocity_bin = int(value[velocities[-1]])
        shifts = np.flatnonzero(kind == types[TokenType.TIME_SHIFT])
        if len(shifts):
            state.last_shift_full = bool(value[shifts[-1]] == self.codec.max_shift_steps)
        state.last_off_rank = last_off_rank
        state.next_rank += len(ons)
        state.step = int(steps[-1])
        state.last_type = int(kind[-1])

    def _last_off_rank(
        self,
        state: GrammarState,
        kind: npt.NDArray[np.int8],
        value: npt.NDArray[np.int64],
        rank_at: npt.NDArray[np.int64],
    ) -> int:
        """The rank of the note ended last in the step that the tokens end in."""
        types = self._types
        shifts = np.flatnonzero(kind == types[TokenType.TIME_SHIFT])
        begin = int(shifts[-1]) + 1 if len(shifts) else 0
        offs = np.flatnonzero(kind[begin:] == types[TokenType.NOTE_OFF])
        if not len(offs):
            return _SILENT if len(shifts) else state.last_off_rank
        position = begin + int(offs[-1])
        pitch = value[position]
        earlier = np.flatnonzero(
            (value[:position] == pitch)
            & ((kind[:position] == types[TokenType.NOTE_ON]) | (kind[:position] == 1))
        )
        return int(rank_at[earlier[-1]]) if len(earlier) else int(state.onset_rank[pitch])

    def scan(self, state: GrammarState, tokens: Tokens) -> tuple[BoolArray, BoolArray]:
        """What sounds and what may come next after each token; the state moves on.

        Returns held notes (shape ``(T, 128)``) and masks (shape ``(T, V)``): row t after token t.
        Raises :class:`CodecError` where a token breaks the grammar or is not in the vocabulary.
        """
        if self.max_note_steps is not None or self.max_sounding is not None:
            raise CodecError("a grammar with limits on its notes is for sampling, not for scan")
        tokens = self.codec.vocabulary.check(tokens)
        count = len(tokens)
        kind, value = self._type[tokens], self._value[tokens]
        types = self._types
        before = self.mask(state)
        is_on, is_off = kind == types[TokenType.NOTE_ON], kind == types[TokenType.NOTE_OFF]
        rows = np.arange(count)

        # The rank of what sounds at each pitch: written at note-ons and note-offs, else carried.
        written = np.full((count, NUM_PITCHES), -1, np.int64)
        notes = is_on | is_off
        written[rows[notes], value[notes]] = rows[notes]
        np.maximum.accumulate(written, axis=0, out=written)
        rank_at = np.where(is_on, state.next_rank + np.cumsum(is_on) - 1, _SILENT)
        rank = np.where(written >= 0, rank_at[np.maximum(written, 0)], state.onset_rank)
        held = rank >= 0

        # The rank that note-offs must exceed: of the note ended last in this step.
        previous = np.vstack([state.onset_rank, rank[:-1]])
        off_rank = np.where(is_off, previous[rows, value * notes], _SILENT)
        mark = np.where(is_off | (kind == types[TokenType.TIME_SHIFT]), rows, -1)
        np.maximum.accumulate(mark, out=mark)
        threshold = np.where(mark >= 0, off_rank[np.maximum(mark, 0)], state.last_off_rank)

        velocity_at = np.where(kind == types[TokenType.VELOCITY], rows, -1)
        np.maximum.accumulate(velocity_at, out=velocity_at)
        bins = np.where(velocity_at >= 0, value[np.maximum(velocity_at, 0)], state.velocity_bin)

        masks = np.zeros((count, self.vocab_size), dtype=bool)
        free = kind != types[TokenType.VELOCITY]
        masks[:, self._on] = ~held
        masks[:, self._off] = held & (rank > threshold[:, None]) & (free & ~is_on)[:, None]
        full = value == self.codec.max_shift_steps
        masks[:, self._shift] = (free & ((kind != types[TokenType.TIME_SHIFT]) | full))[:, None]
        masks[:, self._velocity] = (free & ~held.all(axis=1))[:, None]
        known = bins > 0
        masks[rows[known], self._velocity.start + bins[known] - 1] = False

        allowed = np.append(before[tokens[:1]], masks[rows[:-1], tokens[1:]])
        if not allowed.all():
            position = int(np.flatnonzero(~allowed)[0])
            what = " ".join(map(str, self.codec.vocabulary.describe(int(tokens[position]))))
            raise CodecError(f"token {position} ({what}) breaks the grammar of the encoding")
        self.skip(state, tokens)
        return held, masks
