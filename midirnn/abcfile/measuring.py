"""Measure how closely a tune keeps to its metre and its key."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from midirnn.abcfile.reading import Bar, Change, Sound, Tune, Volta


@dataclass(frozen=True)
class Keeping:
    """How many bars of a tune have the right length, and how many notes belong to its key."""

    bars: int
    right_bars: int
    notes: int
    notes_in_key: int


def measure_keeping(tune: Tune) -> Keeping:
    """Count the bars and notes of a tune, as written.

    A bar is right if it fills the metre. Next to a repeat, a double line, an ending or an end of
    the tune, where the next part has an upbeat, it may be shorter; such a bar is not counted.
    """
    bars = right = notes = in_key = 0
    metre, key = tune.metre, tune.key
    length, edge = Fraction(0), True
    for event in (*tune.events, Bar(final=True)):
        if isinstance(event, Sound):
            length += event.length
            notes += len(event.pitches)
            in_key += sum(pitch % 12 in key.pitch_classes for pitch in event.pitches)
        elif isinstance(event, Change):
            metre, key = event.metre or metre, event.key or key
        elif isinstance(event, Volta):
            edge = True
        else:
            edge_after = event.ends or event.begins or event.final
            if length and metre.bar is not None:
                short = length < metre.bar and (edge or edge_after)
                bars += not short
                right += length == metre.bar
            length, edge = Fraction(0), edge_after
    return Keeping(bars, right, notes, in_key)
