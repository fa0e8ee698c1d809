"""The token stream that both players write: what the performer plays and the model samples."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence, Set
from dataclasses import replace
from typing import Any, cast

from midirnn.codecs import BoolArray, PerformanceCodec
from midirnn.codecs.controls import Controls
from midirnn.codecs.pedal import DOWN, UP, PedalState
from midirnn.codecs.performance import GrammarState, TokenType
from midirnn.engines.state import FloatVector
from midirnn.live.base.messages import Begin, Close, HeardStep, Pace, Surprise
from midirnn.live.base.playing import LAST_SOUND_SECONDS
from midirnn.live.improviser.choice import Choice
from midirnn.live.improviser.pacing import Balance, paced
from midirnn.live.improviser.phrase import Phrase
from midirnn.live.improviser.sources import FreeSource, TokenSource, make_source
from midirnn.live.improviser.stream_state import (
    ModelEvent,
    ModelNote,
    ModelPedal,
    StreamState,
)
from midirnn.live.improviser.surprise import entropy, surprise
from midirnn.sampling import Sampler
from midirnn.sampling.keeping import Keeping

LONGEST_REST_SECONDS = 10.0
"""Longer rests are shortened to this: they are rare in music, and models lose their way in them."""

LONGEST_PAUSE_SECONDS = 3.0
"""The longest pause between two notes of the model while it plays."""

COLD_PAUSE_SECONDS = 1.0
"""The same at temperatures below 1, where rests tend to go on (:mod:`midirnn.sampling.rests`), if
no minimum pace is set."""

FIRST_NOTE_SECONDS = 0.5
"""When the model begins to play, its first note comes after this long at the latest."""

LATE_SECONDS = 0.03
"""How late an event may be and still be played, such as the rest of a chord."""

NO_STEP = 2**62
"""A step that never comes."""


class SharedStream:
    """The sampler's token stream, shared by performer and model. Tracks who each note belongs to.

    Every token that the sampler hears or samples here is allowed by its grammar, except that a
    performer may hold more notes than the model may. Steps are those of the session. The stream's
    own steps lag behind by the rests that were left out: those before the first note, and what
    exceeds the longest rest. The model does not end notes that the performer holds, unless they
    reach the grammar's maximum length.

    Call :meth:`restore` after sampling and before the performer writes: the grammar might not allow
    the performer's tokens after a sampled time shift or velocity.

    The model begins and ends nothing in a step that the performer has written in, because the
    performer may write more there until the step is over.

    With a codec that has pedal tokens the stream has one pedal, as a piano has, which both move.
    While the model plays, its own pedal follows that one.
    """

    def __init__(self, sampler: Sampler[PerformanceCodec]) -> None:
        self._sampler = sampler
        self._token = sampler.codec.vocabulary.token
        self._slice = sampler.codec.vocabulary.slice_of
        self._lag = 0
        self._performers: frozenset[int] = frozenset()
        self._onset_by = 0
        self._last_note = 0
        self._quiet_until = 0
        self._source: TokenSource = FreeSource()
        self._phrase = Phrase()
        self._balance = Balance(Pace(), sampler.codec.steps_per_second)
        self._close_at = NO_STEP
        self._last_sound_at: int | None = None
        self._keeping = Keeping(sampler.codec, ())
        self._keeps = False
        self._seed = cast(Any, sampler.rng.bit_generator).seed_seq.entropy
        self._foot = self._pedal_sent = UP
        self._told: list[ModelEvent] = []
        self._surprises: list[Surprise] = []
        self.choice = Choice(sampler.codec)
        """Which tokens the model may sample."""
        self.rests = False
        """True if the last :meth:`draw` sampled nothing, and none will until the performer
        plays."""
        self._drawn_from: tuple[FloatVector, BoolArray] | None = None

    @property
    def step(self) -> int:
        """The step of the last token."""
        return int(self._sampler.grammar_state.step) + self._lag

    @property
    def entropy(self) -> float:
        """The entropy of the model's last token, in nats, at temperature 1."""
        return entropy(*self._drawn_from) if self._drawn_from else 0.0

    @property
    def model_pitches(self) -> list[int]:
        """The notes of the model that sound, in the order in which they were struck."""
        return [pitch for pitch in self._sampler.sounding if pitch not in self._performers]

    def snapshot(self) -> StreamState:
        """Return the state, for :meth:`restore`."""
        return StreamState(
            self._sampler.snapshot(),
            self._lag,
            self._performers,
            self._onset_by,
            self._last_note,
            self._quiet_until,
            self._source,
            self._phrase,
            self._balance,
            self._close_at,
            self._last_sound_at,
            self._keeping.copy(),
            self._keeps,
            self._foot,
            self._pedal_sent,
        )

    def restore(self, state: StreamState) -> None:
        """Go back to a snapshot, except for the state of its random generator.

        Repeating the same random numbers would delay the next note each time the performer plays.
        """
        self._sampler.restore(state.sampler, restore_rng=False)
        self._lag, self._performers = state.lag, state.performers
        self._onset_by, self._last_note = state.onset_by, state.last_note
        self._quiet_until = state.quiet_until
        self._source, self._phrase = state.source, state.phrase
        self._balance = state.balance
        self._close_at, self._last_sound_at = state.close_at, state.last_sound_at
        self._keeping, self._keeps = state.keeping.copy(), state.keeps
        self._foot, self._pedal_sent = state.foot, state.pedal_sent

    def reset(self) -> None:
        """Forget everything except the time."""
        self._onset_by = max(self._onset_by - self._sampler.grammar_state.step, 0)
        self._lag, self._last_note, self._performers = self.step, 0, frozenset()
        self._phrase = replace(self._phrase, steps=())
        self._balance = replace(self._balance, step=0, onset=-1)
        self._foot = self._pedal_sent = UP
        self._keeping = Keeping(self._sampler.codec, ())
        self._sampler.reset()

    def set_pace(self, pace: Pace) -> None:
        """Limit the pace of the model's notes from now on."""
        if pace == self._balance.pace:
            return
        self._balance = self._balance.at_pace(pace)
        if self._onset_by < NO_STEP:
            soon = self._sampler.grammar_state.step + self._longest_pause
            self._onset_by = min(self._onset_by, soon)

    # The performer writes.

    def write(
        self,
        step: int,
        note_offs: Sequence[int],
        note_ons: Sequence[tuple[int, int]],
        released: Iterable[int] = (),
        *,
        pedal: Sequence[int] = (),
        lifted: bool = False,
    ) -> list[ModelEvent]:
        """Hear what the performer did in a step; return the model's events that it causes.

        ``note_ons`` are (pitch, velocity bin), ``pedal`` is as in :class:`HeardStep`. Notes of the
        model end if the performer strikes their pitch, and if they are in ``released``; with
        ``lifted`` its pedal goes up as well. If the step allows no more note-offs, the rest is
        written one step later.
        """
        heard = HeardStep(step, tuple(note_offs), tuple(note_ons), tuple(pedal))
        self._phrase = self._phrase.add(heard)
        self._source = self._source.hear(step, note_offs, note_ons)
        gap = self._approach(self._gap(step))
        struck = {pitch for pitch, _ in note_ons}
        ending = (self._performers & set(note_offs)) | {p for p in struck if self._holds(p)}
        with_theirs = self._source.ending_with(note_offs)
        ending |= (with_theirs | set(released)) & set(self.model_pitches)
        ending |= self._crowded_out(ending, len(note_ons))
        moves = self._pedal_moves([UP, *pedal] if lifted and self._foot == UP else pedal)
        self._foot = pedal[-1] if pedal else self._foot
        if ending or note_ons or moves:
            self._shift(gap)
            self._move_pedal(moves)
            self._end(ending)
            for pitch, velocity_bin in note_ons:
                self._begin(pitch, velocity_bin)
            self._quiet_until = self.step + 1
        self._source = self._source.struck([pitch for pitch, _ in note_ons])
        return self._take_told()

    def _crowded_out(self, ending: Set[int], begun: int) -> set[int]:
        """Return the model's notes to end so that this many of the performer's can begin.

        They are the model's oldest. The performer's notes are all heard, even if they alone exceed
        the polyphony limit.
        """
        left = [pitch for pitch in self._sampler.sounding if pitch not in ending]
        excess = len(left) + begun - self._sampler.config.max_sounding
        models = [pitch for pitch in left if pitch not in self._performers]
        return set(models[: max(excess, 0)])

    def take_surprises(self) -> list[Surprise]:
        """Return the surprise of each note begun by the performer since the last call."""
        surprises, self._surprises = self._surprises, []
        return surprises

    def release(self, step: int) -> list[ModelEvent]:
        """End the model's notes and lift its pedal in that step; return these events."""
        pitches = self.model_pitches
        moves = self._pedal_moves([UP]) if self._foot == UP else []
        if pitches or moves:
            self._shift(self._approach(self._gap(step)))
            self._move_pedal(moves)
            self._end(pitches)
        self._lift()
        return self._take_told()

    def rest(self, step: int) -> list[ModelEvent]:
        """Be silent until that step; return the model's notes that end because of it.

        The last time shift is not written yet: its length depends on what comes next.
        """
        self._approach(self._gap(step))
        return self._take_told()

    # The model writes.

    def begin(self, begin: Begin) -> None:
        """Let the model play from that step on."""
        first = 0 if begin.at_once else round(FIRST_NOTE_SECONDS * self._steps_per_second)
        if begin.last_sound_step is not None:
            first = min(first, max(begin.last_sound_step - begin.step - 1, 0))
        gap = self._gap(begin.step)
        self._onset_by = self._sampler.grammar_state.step + gap + first
        if begin.at_once:
            self._quiet_until = max(self._quiet_until, self.step + gap)
        if begin.source != "model":
            self._onset_by = NO_STEP  # the source decides on its own rests
        self._close_at = NO_STEP if begin.until_step is None else begin.until_step
        self._last_sound_at = begin.last_sound_step
        if begin.phrase_step is not None:
            self._phrase = self._phrase.since(begin.phrase_step)
        steps, codec = self._phrase.steps, self._sampler.codec
        self._source = make_source(begin, steps, codec, seed=self._seed)
        self._phrase = self._phrase.end()
        self._keeps = begin.keeps
        self._keeping.start_over()

    def close(self, close: Close) -> None:
        """Let the music end at other steps than it began with."""
        self._close_at, self._last_sound_at = close.until_step, close.last_sound_step

    def draw(self, earliest_step: int) -> list[ModelEvent]:
        """Sample the model's next token; return its events, usually one note or none.

        Nothing is sampled for the past: the token is sampled as if the model had rested until
        ``earliest_step``.
        """
        self._follow_pedal()
        gap = self._gap(max(earliest_step, self._quiet_until))
        if gap > LATE_SECONDS * self._steps_per_second and self._sampler.longest_shift():
            gap = self._approach(gap)
        else:
            gap = max(self._quiet_until - self.step, 0)
        self._source = self._source.at(earliest_step, self.step)
        possible = self._closing(self._allowed(gap))
        self._drawn_from = self._sampler.engine.logits(), possible
        balance = self._balance.at(self._sampler.grammar_state.step + gap)
        allowed = self._source.narrow(paced(possible, balance, self._sampler, gap), self._sampler)
        self.rests = not allowed.any()
        if not self.rests:
            token = self._sampler.next(allowed)
            kind, value = self._sampler.codec.vocabulary.describe(token)
            self._source = self._source.after((kind, value))
            if kind is TokenType.PEDAL:
                self._follow_pedal()
            else:
                self._book(token, kind, value, by_performer=False)
        return self._take_told()

    def _allowed(self, gap: int) -> BoolArray:
        """Return which tokens the model may sample after ``gap`` steps; shape ``(V,)``."""
        step = self._sampler.grammar_state.step
        return self.choice.allowed(
            self._sampler.mask(),
            self._performers,
            gap=gap,
            onset_in=NO_STEP
            if self._is_closing
            else max(self._onset_by - step, self._balance.at(step + gap).wait),
            after_onset=self._last_note == step,
        )

    @property
    def seconds_left(self) -> float:
        """The seconds left until the music should end; infinite if no end is set."""
        left = self._close_at - self.step
        return math.inf if self._close_at == NO_STEP else left / self._steps_per_second

    def asked(self, controls: Controls) -> Controls:
        """Return the controls to give to the model now, from those that the knobs ask for."""
        asked = self._source.asked(controls)
        return (self._keeping.asked(asked) or asked) if self._keeps else asked

    @property
    def _is_closing(self) -> bool:
        """True near the end, where no more notes begin."""
        if self._last_sound_at is None:
            return self.seconds_left <= LAST_SOUND_SECONDS
        return self.step >= self._last_sound_at

    def _closing(self, allowed: BoolArray) -> BoolArray:
        """Remove tokens that begin notes near the end; if no others remain, the model rests.

        In logs of older versions it begins a note then.
        """
        if not self._is_closing:
            return allowed
        kept = allowed.copy()
        kept[self._slice(TokenType.NOTE_ON)] = kept[self._slice(TokenType.VELOCITY)] = False
        return allowed if self._last_sound_at is None and not kept.any() else kept

    @property
    def _longest_pause(self) -> int:
        is_cold = self._sampler.config.temperature < 1.0 and not self._balance.pace.least
        seconds = COLD_PAUSE_SECONDS if is_cold else LONGEST_PAUSE_SECONDS
        return self._balance.longest_pause(round(seconds * self._steps_per_second))

    # Preparing for what the performer may do next.

    def precompute(self, state: StreamState, step: int) -> bool:
        """Precompute a rest from that state until that step; False if it is cached or too long.

        This makes it faster to go back to that state and write in that step.
        """
        gap, sampler = step - state.step, self._sampler
        if not 0 < gap <= sampler.codec.max_shift_steps:
            return False
        token = self._token(TokenType.TIME_SHIFT, gap)
        return sampler.engine.precompute(state.sampler.engine, token, state.sampler.grammar.held)

    # Single tokens.

    @property
    def _steps_per_second(self) -> int:
        return self._sampler.codec.steps_per_second

    def _gap(self, step: int) -> int:
        """Return the steps from the last token to that step, without rests that are left out."""
        state: GrammarState = self._sampler.grammar_state
        gap = max(step - self._lag - state.step, 0)
        if state.next_rank == 0:
            left_out = gap
        else:
            longest = round(LONGEST_REST_SECONDS * self._steps_per_second)
            left_out = min(gap, max(0, state.step + gap - self._last_note - longest))
        self._lag += left_out
        return gap - left_out

    def _approach(self, gap: int) -> int:
        """Write all time shifts of a gap but the last; return the length of that one.

        Notes that reach the grammar's maximum length are ended on the way.
        """
        self._end_due()
        while (longest := self._sampler.longest_shift()) < gap:
            if not longest:
                # Two shifts cannot follow each other: the stream falls behind instead.
                self._lag += gap
                return 0
            self._tell(TokenType.TIME_SHIFT, longest)
            gap -= longest
            self._end_due()
        return gap

    def _shift(self, steps: int) -> None:
        if steps:
            self._tell(TokenType.TIME_SHIFT, steps)
            self._end_due()

    def _end_due(self) -> None:
        """End the notes that must end before any other token is allowed."""
        while (pitch := self._sampler.due()) is not None:
            self._tell(TokenType.NOTE_OFF, pitch)

    def _end(self, pitches: Iterable[int]) -> None:
        """End notes, one step later if this step allows no more note-offs."""
        in_order = self._in_order(pitches)
        if in_order and not self._sampler.mask()[self._token(TokenType.NOTE_OFF, in_order[0])]:
            self._shift(1)
            in_order = self._in_order(in_order)  # without those that the shift has ended
        for pitch in in_order:
            self._tell(TokenType.NOTE_OFF, pitch)

    # The pedal, in a codec that has tokens for it.

    @property
    def _pedal(self) -> int:
        """The position of the stream's pedal; always up without tokens for it."""
        state = self._sampler.grammar_state
        return state.pedal if isinstance(state, PedalState) else UP

    def _pedal_moves(self, values: Sequence[int]) -> list[int]:
        """Reduce the pedal's movements within a step to those that the tokens can express."""
        before = self._pedal
        if values and values[-1] != before:
            return [values[-1]]
        return [UP, DOWN] if before == DOWN and UP in values else []

    def _move_pedal(self, moves: Sequence[int]) -> None:
        """Write the performer's pedal movements, a step later if this one has notes already."""
        while moves and not self._sampler.mask()[self._token(TokenType.PEDAL, moves[0])]:
            self._shift(1)  # may end notes that have reached their maximum length
        for value in moves:
            self._tell(TokenType.PEDAL, value)
        if UP in moves:
            self._lift()

    def _lift(self) -> None:
        """Lift the model's own pedal."""
        if self._pedal_sent == DOWN:
            self._pedal_sent = UP
            self._told.append(ModelPedal(self.step, UP, self.snapshot()))

    def _follow_pedal(self) -> None:
        """Move the model's own pedal to where the stream's pedal is."""
        if self._pedal != self._pedal_sent and self._source.pedals:
            self._pedal_sent = self._pedal
            self._told.append(ModelPedal(self.step, self._pedal, self.snapshot()))

    def _in_order(self, pitches: Iterable[int]) -> list[int]:
        """Return those of the pitches that sound, in the order in which they were struck."""
        ending = set(pitches)
        if not ending:
            return []
        return [pitch for pitch in self._sampler.sounding if pitch in ending]

    def _begin(self, pitch: int, velocity_bin: int) -> None:
        codec, state = self._sampler.codec, self._sampler.grammar_state
        if codec.velocity_bins and velocity_bin != state.velocity_bin:
            self._tell(TokenType.VELOCITY, velocity_bin)
        self._surprises.append(Surprise(self.step, pitch, self._surprise(pitch)))
        self._tell(TokenType.NOTE_ON, pitch)

    def _surprise(self, pitch: int) -> float:
        """Return -log p of a pitch now, in nats, given that a note begins."""
        logits = self._sampler.engine.logits()[self._slice(TokenType.NOTE_ON)]
        return surprise(logits, ~self._sampler.grammar_state.held, pitch)

    def _holds(self, pitch: int) -> bool:
        return bool(self._sampler.grammar_state.held[pitch])

    def _tell(self, kind: TokenType, value: int) -> None:
        """Feed the sampler a token that it has not sampled."""
        token = self._token(kind, value)
        self._sampler.hear([token])
        self._book(token, kind, value, by_performer=True)

    def _book(self, token: int, kind: TokenType, value: int, *, by_performer: bool) -> None:
        """Record whose note has begun or ended with a token."""
        if kind not in (TokenType.NOTE_ON, TokenType.NOTE_OFF):
            self._keeping.add(token)
            return
        step, begins = self._sampler.grammar_state.step, kind is TokenType.NOTE_ON
        self._last_note = step
        if begins:
            self._onset_by = max(self._onset_by, step + self._longest_pause)
        if begins and by_performer:
            self._performers |= {value}
        elif value in self._performers:
            self._performers -= {value}
        else:
            self._keeping.add(token)
            velocity = self._velocity() if begins else 0
            if begins:
                self._balance = self._balance.after_note(step)
            self._told.append(ModelNote(self.step, value, velocity, self.snapshot()))

    def _velocity(self) -> int:
        codec = self._sampler.codec
        velocity_bin = self._sampler.grammar_state.velocity_bin or codec.default_bin
        return int(codec.bin_velocity(velocity_bin))

    def _take_told(self) -> list[ModelEvent]:
        told, self._told = self._told, []
        return told
