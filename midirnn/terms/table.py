"""The table of terms: the name, the group, the weights and the rule of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from midirnn.arrays import Float32Array
from midirnn.codecs.recall import LENGTHS
from midirnn.terms import rules, steps
from midirnn.terms.buckets import count_bucket, time_bucket
from midirnn.terms.densities import NUM_DENSITIES, densities
from midirnn.terms.memory import NUM_VOTES, NoteMemory
from midirnn.terms.moments import Moments
from midirnn.terms.rules import NEAR, Rule, against, gap, interval, of_held, velocity_change
from midirnn.terms.steps import (
    OfHeld,
    OfSilence,
    Step,
    WithHeld,
    WithNotes,
    against_step,
    interval_step,
    velocity_step,
)


@dataclass(frozen=True)
class Term:
    """A run of weights, and the rule that says which of them each token of a group adds."""

    name: str
    group: str
    """The codec's group of tokens to whose logits it adds."""
    rows: int
    """The number of weights."""
    layers: int
    """The greatest number of weights that a token adds."""
    rule: Rule
    """For many moments; see :data:`midirnn.terms.rules.Rule`."""
    step: Step
    """For the one moment of an engine's step; see :data:`midirnn.terms.steps.Step`."""


def _note_on(name: str, rows: int, rule: Rule, step: Step, layers: int = 1) -> Term:
    return Term(name, "note_on", rows, layers, rule, step)


def _note_off(name: str, rows: int, rule: Rule, step: Step) -> Term:
    return Term(name, "note_off", rows, 1, rule, step)


def _interval(back: int, reach: int) -> Term:
    rule, step = interval(back - 1, reach), interval_step(back - 1, reach)
    return _note_on(f"interval_{back}", 2 * reach + 1, rule, step)


def _of_notes() -> tuple[Term, ...]:
    """Return the terms of note-ons and note-offs."""
    return (
        _interval(1, 127),
        _interval(2, 48),
        _interval(3, 48),
        _interval(4, 48),
        _note_on(
            "votes", NUM_VOTES * LENGTHS, rules.votes, WithNotes(steps.votes), layers=NUM_VOTES
        ),
        _note_on("recency", 24, lambda m: count_bucket(m.notes_since), WithNotes(steps.recency)),
        _note_on("class_recency", 24, rules.class_recency, WithNotes(steps.class_recency)),
        _note_on("silence", 32, lambda m: time_bucket(m.silent_for), OfSilence(steps.silence)),
        _note_off("age", 32, of_held(lambda m: time_bucket(m.age)), OfHeld(steps.age)),
        _note_off("order", 16, of_held(lambda m: np.minimum(m.order, 15)), WithHeld(steps.order)),
        _note_off("below", 8, of_held(rules.held_below), WithHeld(steps.below)),
        _note_off("above", 8, of_held(rules.held_above), WithHeld(steps.above)),
        _note_off("overdue", 41, of_held(rules.overdue_note), OfHeld(steps.overdue)),
    )


def _against(name: str, rule: Rule, step: Step) -> Term:
    return Term(name, "time_shift", 2 * NEAR + 1, 1, rule, step)


def _of_shifts(most: int) -> tuple[Term, ...]:
    """Return the terms of time shifts up to ``most`` steps."""
    group, next_onset = "time_shift", rules.new_interval(most)
    return (
        Term("interonset", group, 128, 1, next_onset, steps.new_interval_step()),
        _against(
            "interonset_match",
            against(lambda moments: moments.match_interval, most),
            against_step(lambda now: now.match_interval),
        ),
        _against("interonset_1", against(gap(1), most), against_step(lambda now: now.gap(1))),
        _against("interonset_2", against(gap(2), most), against_step(lambda now: now.gap(2))),
        Term("overdue_then", group, 41, 4, rules.overdue_then(most), steps.overdue_then_step(4)),
    )


def _of_velocities(bins: int) -> tuple[Term, ...]:
    """Return the terms of ``bins`` velocities: distances from earlier ones."""

    def term(name: str, rule: Rule, step: Step) -> Term:
        return Term(name, "velocity", 2 * bins - 1, 1, rule, step)

    def back(notes: int) -> Term:
        rule = velocity_change(lambda moments: moments.velocity[:, notes - 1], bins)
        return term(f"velocity_{notes}", rule, velocity_step(steps.velocity_back(notes - 1), bins))

    match = term(
        "velocity_match",
        velocity_change(lambda moments: moments.match_velocity, bins),
        velocity_step(lambda memory: memory.velocity_of(memory.recollection.best.place), bins),
    )
    return (*(back(notes) for notes in range(1, 5)), match) if bins else ()


DENSITY = "density"
"""The name of the weights of :func:`midirnn.terms.densities.densities`. They are not a
:class:`Term`: a term's weights are looked up and added, these are multiplied by the densities."""


class OutputTerms:
    """All terms of a vocabulary, and the layout of their weights in one run of ``rows`` numbers.

    ``groups`` are the codec's. Stateless.
    """

    def __init__(self, groups: Mapping[str, slice]) -> None:
        self.groups = groups
        self.max_shift = _size(groups["time_shift"])
        self.velocity_bins = _size(groups["velocity"])
        self.terms = (
            *_of_notes(),
            *_of_shifts(self.max_shift),
            *_of_velocities(self.velocity_bins),
        )

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Return the slice of each term's weights, those of the densities last."""
        slices, first = {}, 0
        for name, rows in [*((t.name, t.rows) for t in self.terms), (DENSITY, NUM_DENSITIES)]:
            slices[name] = slice(first, first + rows)
            first += rows
        return slices

    @cached_property
    def rows(self) -> int:
        """Return how many weights there are."""
        return int(self.slices[DENSITY].stop)

    @cached_property
    def width(self) -> int:
        """Return how many indices a moment has: layers times tokens of each term, concatenated."""
        return sum(term.layers * _size(self.groups[term.group]) for term in self.terms)

    @cached_property
    def layers(self) -> dict[str, int]:
        """Return how many rows of indices each group has: those of its terms, in order."""
        layers = dict.fromkeys(self.groups, 0)
        for term in self.terms:
            layers[term.group] += term.layers
        return layers

    @cached_property
    def first_rows(self) -> npt.NDArray[np.int64]:
        """Return the first row of the term that each index belongs to; shape ``(width,)``."""
        sizes = [term.layers * self.size_of(term.group) for term in self.terms]
        return np.repeat([self.slices[term.name].start for term in self.terms], sizes)

    @cached_property
    def layer_runs(self) -> npt.NDArray[np.int32]:
        """Return each layer of indices: where it begins, its length, first token and first row."""
        runs, column = [], 0
        for term in self.terms:
            size, first_token = self.size_of(term.group), self.groups[term.group].start
            for _ in range(term.layers):
                runs.append((column, size, first_token, self.slices[term.name].start))
                column += size
        return np.array(runs, np.int32)

    def size_of(self, group: str) -> int:
        """Return how many tokens a group has."""
        return _size(self.groups[group])

    def follow(self, memory: NoteMemory, token: int) -> NoteMemory:
        """Return the memory after a token."""
        for name, change in _CHANGES.items():
            group = self.groups[name]
            if group.start <= token < group.stop:
                return change(memory, token - group.start)
        return memory

    def indices(self, memories: Sequence[NoteMemory]) -> tuple[npt.NDArray[np.int16], Float32Array]:
        """Return the indices (N, width) and the densities (N, 6, shifts) of N moments.

        An index counts from the term's first weight; it is negative where a token adds nothing.
        """
        moments = Moments(tuple(memories))
        found = [term.rule(moments).reshape(len(memories), -1) for term in self.terms]
        return np.concatenate(found, axis=1).astype(np.int16), densities(moments, self.max_shift)


_CHANGES: dict[str, Callable[[NoteMemory, int], NoteMemory]] = {
    "note_on": NoteMemory.after_note_on,
    "note_off": NoteMemory.after_note_off,
    "time_shift": lambda memory, value: memory.after_shift(value + 1),
    "velocity": lambda memory, value: memory.after_velocity(value + 1),
}


def _size(tokens: slice) -> int:
    return int(tokens.stop - tokens.start)
