"""Play a tune in ABC notation: with its repeats, in seconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np

from midirnn.abcfile.header import Key, Metre
from midirnn.abcfile.reading import Bar, Change, Event, Sound, Tune, Volta
from midirnn.errors import CodecError
from midirnn.performance import KeySignature, Part, Performance, Signature, Tempo, TimeSignature

DEFAULT_TEMPO = 120.0
"""Quarter notes per minute, if a tune has no field ``Q:``."""

VELOCITY, ACCENTED = 80, 96
"""Velocities of ordinary notes, and of those at the beginning of a bar."""

MOST_SOUNDS = 100_000
"""Most notes of one tune with its repeats: more is a mistake in the text."""


def in_order(events: Sequence[Event]) -> Iterator[Event]:
    """Yield the events in the order in which they are heard, with repeats and endings.

    A repeated section ends at ``:|``. It begins at ``|:``, at the bar line that closed the section
    before, or at the start of the tune. It is played twice, or as often as its endings say.
    """
    place, start, time, in_ending = 0, 0, 1, False
    while place < len(events):
        event = events[place]
        place += 1
        if isinstance(event, Volta):
            in_ending = True
            if time not in event.numbers:
                place = _next_ending(events, place)
        elif isinstance(event, Bar):
            yield event
            if event.ends and time < _times(events, start, place):
                place, time, in_ending = start, time + 1, False
            elif event.ends or event.begins or (event.final and in_ending):
                start, time, in_ending = place, 1, False
        else:
            yield event


def _next_ending(events: Sequence[Event], place: int) -> int:
    """Return the index of the next ending, or of what follows the line that ends this one."""
    while place < len(events):
        event = events[place]
        if isinstance(event, Volta):
            return place
        place += 1
        if isinstance(event, Bar) and event.ends:
            return place
    return place


def _times(events: Sequence[Event], start: int, place: int) -> int:
    """Return how often a section is played: as often as its endings say, otherwise twice."""
    most = 2
    for event in events[start:]:
        if isinstance(event, Bar) and event.begins and event is not events[start - 1]:
            break
        if isinstance(event, Volta):
            most = max(most, *event.numbers)
    return min(most, 9)


def played(tune: Tune) -> Performance:
    """Return the music of a tune as it is heard. Ties are joined; times are in seconds."""
    seconds, tempo = 0.0, tune.tempo or DEFAULT_TEMPO
    notes: list[list[float]] = []
    tempos = [Tempo(0.0, tempo)]
    signatures: list[Signature] = _signatures(0.0, tune.key, tune.metre)
    going_on: dict[int, int] = {}
    velocity = ACCENTED
    for count, event in enumerate(in_order(tune.events)):
        if count > MOST_SOUNDS:
            raise CodecError(f"the tune has over {MOST_SOUNDS} notes with its repeats")
        if isinstance(event, Bar):
            velocity = ACCENTED
        elif isinstance(event, Change):
            if event.tempo is not None and event.tempo != tempo:
                tempo = event.tempo
                tempos.append(Tempo(seconds, tempo))
            signatures += _signatures(seconds, event.key, event.metre)
        elif isinstance(event, Sound):
            end = seconds + _seconds(event.length, tempo)
            tied: dict[int, int] = {}
            for pitch in event.pitches:
                if pitch in going_on:
                    index = going_on[pitch]
                    notes[index][1] = end
                else:
                    index = len(notes)
                    notes.append([seconds, end, pitch, velocity])
                if event.tied:
                    tied[pitch] = index
            going_on, seconds, velocity = tied, end, VELOCITY
    columns = np.array(notes).reshape(-1, 4)
    return Performance(
        start=columns[:, 0],
        end=columns[:, 1],
        pitch=columns[:, 2].astype(np.uint8),
        velocity=columns[:, 3].astype(np.uint8),
        part=np.zeros(len(notes), np.int32),
        parts=(Part(name="tune"),),
        tempos=tuple(tempos),
        signatures=tuple(signatures),
    )


def _seconds(length: Fraction, tempo: float) -> float:
    """Return the duration in seconds of a length in whole notes."""
    return float(length) * 4.0 * 60.0 / tempo


def _signatures(seconds: float, key: Key | None, metre: Metre | None) -> list[Signature]:
    """Return the MIDI signatures of a key and a metre."""
    found: list[Signature] = []
    if metre is not None and metre.beats:
        found.append(TimeSignature(seconds, metre.beats, metre.unit))
    if key is not None:
        found.append(KeySignature(seconds, key.sharps, key.minor))
    return found
