"""Limit what a piano model may play to what the players of an ensemble are doing.

The notes of all players are one stream of tokens, so that each is chosen with knowledge of the
others. Each player has one note at a time. The network decides how many a player begins in a
second, how long they sound and in which part of the register; the piano model chooses the exact
times, the velocities and the pitches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, NamedTuple

import numpy as np

from midirnn.codecs import BoolArray, PerformanceCodec
from midirnn.codecs.controls import Controls
from midirnn.codecs.ensemble import GESTURES, REGISTERS
from midirnn.codecs.performance import TokenType
from midirnn.engines.load import Model
from midirnn.ensemble.conductor import Conductor, Row, notes_per_second
from midirnn.ensemble.seats import Seats, pitches_of
from midirnn.sampling import Sampler

ONSET_SHARE = 0.5
"""A note begins within this share of the time it has, counted from the start."""
SHORTEST, LONGEST = 0.8, 1.4
"""How long a note may sound, relative to the length that its gesture gives."""

_KEPT_SECONDS = 40
_KEPT_NOTES = 64


class PlayedNote(NamedTuple):
    """A note of a player. Steps are those of the session."""

    pitch: int
    seat: int
    onset: int
    gesture: int
    sounds: bool = True


class Span(NamedTuple):
    """The steps between which something has to happen."""

    first: int
    last: int


class Onset(NamedTuple):
    """A note that a player has to begin: when, its number in its second, and its gesture."""

    span: Span
    number: int
    gesture: int


@dataclass(frozen=True)
class EnsembleSource:
    """Accepts the tokens with which the players do what the conductor decides.

    Immutable: each token returns the source for the next one, so that a snapshot can hold it. Call
    :meth:`at` before each token, to set the time.
    """

    pedals: ClassVar[bool] = False
    """The players have no pedal."""

    conductor: Conductor
    steps_per_second: int
    step: int = 0
    second: int = -1
    rows: Mapping[int, Row] = field(default_factory=dict)
    """The rows decided for the present second, and for those before."""
    begun: tuple[int, ...] = ()
    """How many of its notes of the present second each seat has begun or skipped."""
    notes: tuple[PlayedNote, ...] = ()
    """The latest note of each pitch."""

    @classmethod
    def begin(
        cls,
        network: Model,
        seats: Seats,
        *,
        seed: int,
        steps_per_second: int,
        step: int = 0,
    ) -> EnsembleSource:
        """Return the source of an ensemble that begins in that step."""
        conductor = Conductor(
            network, seats, seed=seed, steps_per_second=steps_per_second, begin=step
        )
        return cls(conductor, steps_per_second)

    def at(self, now: int, step: int) -> EnsembleSource:
        """Return the source for a token after ``step``; what lies before ``now`` is over."""
        second = step // self.steps_per_second
        self.conductor.settle(now // self.steps_per_second, self.rows)
        if second == self.second:
            return replace(self, step=step)
        row = self.conductor.say(second, self.rows)
        kept = {s: r for s, r in self.rows.items() if second - _KEPT_SECONDS < s < second}
        rows = kept | {second: row}
        return replace(self, step=step, second=second, rows=rows, begun=(0,) * len(row))

    def narrow(self, allowed: BoolArray, sampler: Sampler[PerformanceCodec]) -> BoolArray:
        """Return which of the ``allowed`` tokens (V,) the players accept; never empty."""
        slice_of = sampler.codec.vocabulary.slice_of
        ons, offs, shifts, velocities = (
            slice_of(kind)
            for kind in (
                TokenType.NOTE_ON,
                TokenType.NOTE_OFF,
                TokenType.TIME_SHIFT,
                TokenType.VELOCITY,
            )
        )
        earliest = self._earliest(allowed, shifts)
        held = sampler.grammar_state.held
        sounding = {note.seat: note for note in self.notes if note.sounds and held[note.pitch]}
        kept, due, spans = np.zeros_like(allowed), np.zeros_like(allowed), []
        for seat in self.conductor.seats.played:
            onset, note = self._next_onset(seat, earliest), sounding.get(seat)
            wanted = np.zeros_like(allowed)
            if note is not None:
                span = self._ending(note, onset)
                wanted[offs.start + note.pitch] = span.first <= self.step
            elif onset is not None:
                span, pitches = onset.span, pitches_of(seat, onset.gesture)
                wanted[ons.start + pitches.start : ons.start + pitches.stop] = (
                    span.first <= self.step
                )
            else:
                continue
            spans.append(span)
            kept |= wanted
            if span.last <= self.step:
                due |= wanted
        kept[shifts] = self._shifts(spans, shifts.stop - shifts.start)
        for wanted in (due, kept):
            wanted[velocities] = wanted[ons].any()
            wanted &= allowed
            wanted[velocities] &= wanted[ons].any()
            if wanted.any():
                return wanted
        return self._otherwise(allowed, ons, shifts)

    def after(self, word: tuple[TokenType, int]) -> EnsembleSource:
        """Return the source after a token; a note-on is assigned to a player."""
        kind, value = word
        if kind is TokenType.NOTE_ON:
            seat = self._player(value)
            onset = self._next_onset(seat, self.step)
            begun = list(self.begun)
            gesture = self._row(self.second)[seat]
            if onset is not None and onset.span.first <= self.step:
                begun[seat], gesture = onset.number + 1, onset.gesture
            others = tuple(note for note in self.notes if note.pitch != value)
            new = PlayedNote(value, seat, self.step, gesture)
            return replace(self, begun=tuple(begun), notes=(*others, new)[-_KEPT_NOTES:])
        return self.struck([value]) if kind is TokenType.NOTE_OFF else self

    def struck(self, pitches: Sequence[int]) -> EnsembleSource:
        """Return the source after notes of these pitches ended, or the person struck them."""
        notes = tuple(
            note._replace(sounds=note.sounds and note.pitch not in pitches) for note in self.notes
        )
        return replace(self, notes=notes)

    def ending_with(self, pitches: Iterable[int]) -> set[int]:
        """Return no pitches: no note ends because one of the person does."""
        return set()

    def hear(
        self, step: int, note_offs: Sequence[int], note_ons: Sequence[tuple[int, int]]
    ) -> EnsembleSource:
        """Tell the conductor what the person did in a step."""
        self.conductor.hear(step, note_offs, [pitch for pitch, _ in note_ons])
        return self

    def asked(self, controls: Controls) -> Controls:
        """Return the controls with the density of the present second, if none was set."""
        if controls.notes_per_second is not None or self.second not in self.rows:
            return controls
        density = notes_per_second(self.rows[self.second], self.conductor.seats)
        return replace(controls, notes_per_second=density)

    def seat_of(self, pitch: int) -> int:
        """Return the seat that played the latest note of a pitch."""
        return next((note.seat for note in self.notes if note.pitch == pitch), 0)

    def _earliest(self, allowed: BoolArray, shifts: slice) -> int:
        """Return the step in which the next note can begin or end."""
        only_shifts = allowed[shifts].sum() == allowed.sum()
        return self.step + (int(allowed[shifts].argmax()) + 1 if only_shifts else 0)

    def _row(self, second: int) -> Row:
        return self.conductor.say(second, self.rows)

    def _next_onset(self, seat: int, earliest: int) -> Onset | None:
        """Return the next note that a player has to begin, in this second or the next."""
        for second in (self.second, self.second + 1):
            gesture = self._row(second)[seat]
            count = GESTURES[gesture].onsets
            for number in range(self.begun[seat] if second == self.second else 0, count):
                length = self.steps_per_second / count
                first = second * self.steps_per_second + round(number * length)
                span = Span(first, first + round(ONSET_SHARE * length))
                if span.last >= earliest:
                    return Onset(span, number, gesture)
        return None

    def _ending(self, note: PlayedNote, onset: Onset | None) -> Span:
        """Return when a note has to end: at the latest when the player's next one has to begin."""
        length = GESTURES[note.gesture].length * self.steps_per_second
        first, last = (note.onset + max(1, round(share * length)) for share in (SHORTEST, LONGEST))
        next_second = note.onset // self.steps_per_second + 1
        if not self._row(next_second)[note.seat]:
            last = min(last, max(next_second * self.steps_per_second, note.onset + 1))
        if onset is not None and onset.span.first > note.onset:
            first, last = min(first, onset.span.first), min(last, onset.span.last)
        return Span(min(first, last), last)

    def _shifts(self, spans: Sequence[Span], longest: int) -> BoolArray:
        """Return which time shifts (1 to ``longest`` steps) lead to when something may happen."""
        after = self.step + 1 + np.arange(longest)
        kept = after >= min((span.first for span in spans), default=self.step + longest)
        kept[-1] = True
        kept &= after <= min((span.last for span in spans), default=self.step + longest)
        return kept

    def _otherwise(self, allowed: BoolArray, ons: slice, shifts: slice) -> BoolArray:
        """Return a fallback where no player can do what is due: the shortest shift, if any."""
        kept = np.zeros_like(allowed)
        if allowed[shifts].any():
            kept[shifts.start + int(allowed[shifts].argmax())] = True
            return kept
        for seat in self.conductor.seats.played:
            reach = range(pitches_of(seat, 1).start, pitches_of(seat, 2).stop)
            kept[ons.start + reach.start : ons.start + reach.stop] = True
        kept &= allowed
        return kept if kept.any() else allowed

    def _player(self, pitch: int) -> int:
        """Return the seat that plays a pitch: first by turn, then by the nearest register."""

        def distance(seat: int) -> tuple[bool, bool, int]:
            onset = self._next_onset(seat, self.step)
            has_turn = onset is not None and onset.span.first <= self.step
            fits = onset is not None and pitch in pitches_of(seat, onset.gesture)
            sounds = any(note.seat == seat and note.sounds for note in self.notes)
            return not (has_turn and fits and not sounds), sounds, abs(pitch - REGISTERS[seat])

        return min(self.conductor.seats.played, key=distance)
