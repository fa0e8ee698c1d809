"""The step of an engine: what the terms add to the logits at one moment."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from midirnn.arrays import Float32Array, IntArray
from midirnn.terms.buckets import FAR
from midirnn.terms.densities import add_densities, duration_boxes, interval_boxes, usual_now
from midirnn.terms.memory import NoteMemory
from midirnn.terms.steps import (
    Held,
    Now,
    OfHeld,
    OfSilence,
    Runs,
    Step,
    WithHeld,
    WithNotes,
    released,
)
from midirnn.terms.table import DENSITY, OutputTerms


class StepMemory(NamedTuple):
    """The notes so far, and the rows of the terms that change only with them. Immutable.

    Rows are indices of the weights of all terms; the one after the last stands for no weight.
    """

    notes: NoteMemory
    note_on: IntArray
    """(layers, 128): rows of the note-ons, until the next note begins."""
    velocity: IntArray
    """(layers, bins): rows of the velocities, likewise."""
    held: Held
    note_off: IntArray
    """(layers, H): rows of the held notes, until one begins or ends."""
    released: IntArray
    """(128,): when each pitch's note ended; see :func:`midirnn.terms.steps.released`."""
    intervals: Float32Array
    """The box means of inter-onset times; see :mod:`midirnn.terms.densities`."""
    durations: Float32Array
    """The same of durations."""
    fresh: bool
    """Whether a note has ended in the current step, so that ``durations`` change with the next."""


class MomentRows(NamedTuple):
    """The rows of the terms that change with time; indices as in :class:`StepMemory`."""

    silence: IntArray
    """(layers, 128): rows of the note-ons."""
    held: IntArray
    """(layers, H): rows of the note-offs of the held notes."""
    shifts: IntArray
    """(layers, shifts): rows of the time shifts."""
    usual: Float32Array | None
    """(6, shifts): the densities of the time shifts; None before the first note."""


class TermStep:
    """Follows the notes token by token, and adds the terms to the logits. Stateless."""

    def __init__(self, terms: OutputTerms) -> None:
        self.terms = terms
        self._note_on = _Rows(terms, WithNotes, "note_on")
        self._velocity = _Rows(terms, WithNotes, "velocity")
        self._with_held = _Rows(terms, WithHeld, "note_off")
        self._of_held = _Rows(terms, OfHeld, "note_off")
        self._of_silence = _Rows(terms, OfSilence, "note_on")
        self._shifts = _Shifts(terms)

    def start(self, size: int) -> StepMemory:
        """Return the memory before the first note, with room for ``size`` notes."""
        return self._after_note(NoteMemory.empty(size), fresh=False)

    def follow(self, memory: StepMemory, token: int) -> StepMemory:
        """Return the memory after a token."""
        notes = self.terms.follow(memory.notes, token)
        if notes.begun != memory.notes.begun:
            return self._after_note(notes, memory.fresh)
        if notes.onset is not memory.notes.onset:
            held = Held.of(notes)
            return memory._replace(
                notes=notes,
                held=held,
                note_off=self._with_held.of(held),
                released=released(notes),
                fresh=True,
            )
        if memory.fresh and notes.step != memory.notes.step:
            durations = duration_boxes(notes, self.terms.max_shift)
            return memory._replace(notes=notes, durations=durations, fresh=False)
        return memory._replace(notes=notes)

    def _after_note(self, notes: NoteMemory, fresh: bool) -> StepMemory:
        """Return the memory after a note-on, which changes all of it."""
        held = Held.of(notes)
        return StepMemory(
            notes,
            note_on=self._note_on.of(notes),
            velocity=self._velocity.of(notes),
            held=held,
            note_off=self._with_held.of(held),
            released=released(notes),
            intervals=interval_boxes(notes, self.terms.max_shift),
            durations=duration_boxes(notes, self.terms.max_shift),
            fresh=fresh,
        )

    def at_moment(self, memory: StepMemory) -> MomentRows:
        """Return the rows that change with time."""
        now = Now(memory.notes, memory.held, memory.released)
        usual = None
        if memory.notes.begun:
            most, ages = self.terms.max_shift, now.ages.tolist()
            usual = usual_now(memory.intervals, memory.durations, now.since_onset, ages, most)
        return MomentRows(
            self._of_silence.of(now), self._of_held.of(now), self._shifts.of(now), usual
        )

    def add(self, logits: Float32Array, weights: Float32Array, memory: StepMemory) -> None:
        """Add the terms with these ``weights`` (rows,) to ``logits`` (V,), in place."""
        padded = np.zeros(len(weights) + 1, np.float32)
        padded[:-1] = weights
        moment = self.at_moment(memory)
        groups = self.terms.groups
        note_ons = logits[groups["note_on"]]
        note_ons += _sums(padded, memory.note_on)
        note_ons += _sums(padded, moment.silence)
        if len(memory.held.pitches):
            of_held = _sums(padded, memory.note_off) + _sums(padded, moment.held)
            logits[groups["note_off"]][memory.held.pitches] += of_held
        velocities = logits[groups["velocity"]]
        velocities += _sums(padded, memory.velocity)
        shifts = logits[groups["time_shift"]]
        shifts += _sums(padded, moment.shifts)
        if moment.usual is not None:
            add_densities(shifts, weights[self.terms.slices[DENSITY]], moment.usual)


def _sums(padded: Float32Array, rows: IntArray) -> Float32Array:
    """Return the sums (tokens,) of the weights that rows (layers, tokens) select."""
    sums: Float32Array = np.add.reduce(padded.take(rows), axis=0)
    return sums


class _Rows:
    """The rows of all terms of a group with the same kind of step."""

    def __init__(self, terms: OutputTerms, kind: type[Step], group: str) -> None:
        chosen = [t for t in terms.terms if t.group == group and isinstance(t.step, kind)]
        self._rows: list[Any] = [t.step.rows for t in chosen if not isinstance(t.step, Runs)]
        firsts = [terms.slices[term.name].start for term in chosen for _ in range(term.layers)]
        self._first = np.array(firsts, np.int64)[:, None]
        self._nothing = terms.rows
        self._empty = np.zeros((0, terms.size_of(group)), np.int64)

    def of(self, situation: Any) -> IntArray:
        """Return the rows (layers, tokens) in a situation, as indices of all weights."""
        if not self._rows:
            return self._empty
        own = [rows(situation).ravel() for rows in self._rows]
        rows: IntArray = np.concatenate(own).reshape(len(self._first), -1)
        return np.where(rows < 0, self._nothing, rows + self._first)


class _Shifts:
    """The rows of the time shifts' terms: windows of one long row."""

    def __init__(self, terms: OutputTerms) -> None:
        most = terms.max_shift
        parts, self._runs = [np.full(most, terms.rows)], []
        begin = most  # after a first run for no weight
        for term in terms.terms:
            if isinstance(term.step, Runs):
                lowest = term.step.low - most - 1
                own = term.step.buckets(np.arange(lowest + 1, term.step.high + most + 1))
                parts.append(np.where(own < 0, terms.rows, own + terms.slices[term.name].start))
                self._runs.append((term.step.values, lowest, term.step.high, begin - lowest))
                begin += len(own)
        self._windows = np.lib.stride_tricks.sliding_window_view(np.concatenate(parts), most)

    def of(self, now: Now) -> IntArray:
        """Return the rows (layers, shifts) at a moment, as indices of all weights."""
        places = [
            min(max(value, low), high) + begin if abs(value) < FAR // 2 else 0
            for values, low, high, begin in self._runs
            for value in values(now)
        ]
        return self._windows[places]
