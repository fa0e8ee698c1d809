"""Hypothesis strategies: performances as people and programs make them, and token streams.

Few pitches, few channels and coarse times on purpose: what breaks encoders is what coincides.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from midirnn.codecs import PerformanceCodec
from midirnn.codecs.performance import TokenType
from midirnn.parts import DRUM_CHANNEL
from midirnn.performance import Part, Performance, Tempo

MELODIC_CHANNELS = [channel for channel in range(16) if channel != DRUM_CHANNEL]
PITCHES = st.one_of(st.integers(59, 62), st.integers(0, 127))
VELOCITIES = st.one_of(st.integers(1, 127), st.sampled_from([1, 4, 5, 64, 127]))
PEDAL_VALUES = st.sampled_from([0, 1, 63, 64, 100, 127])

NoteRow = tuple[float, float, int, int, int, bool]
"""(start, length, pitch, velocity, part, unreleased)"""
PedalRow = tuple[float, int, int]
"""(time, value, part)"""


def times(most_seconds: float = 4.0) -> st.SearchStrategy[float]:
    """Seconds: on a coarse grid (so that things coincide), on and between steps, and any."""
    return st.one_of(
        st.integers(0, int(most_seconds * 4)).map(lambda n: n / 4),
        st.integers(0, int(most_seconds * 200)).map(lambda n: n / 200),
        st.floats(0.0, most_seconds, allow_nan=False),
    )


def parts(*, drums: bool = False) -> st.SearchStrategy[Part]:
    """Instruments; with ``drums`` some are on the drum channel."""
    channels = st.sampled_from(MELODIC_CHANNELS[:3])
    names = st.sampled_from(["", "Piano", "Flöte"])
    if drums:
        channels = st.one_of(channels, st.just(DRUM_CHANNEL))
    return st.builds(Part, st.integers(0, 127), channels, names)


def performance_of(
    notes: Sequence[NoteRow],
    pedals: Sequence[PedalRow] = (),
    of_parts: Sequence[Part] = (Part(),),
    tempos: Sequence[Tempo] = (Tempo(0.0, 120.0),),
) -> Performance:
    """The performance of some rows."""
    return Performance(
        start=np.array([row[0] for row in notes], np.float64),
        end=np.array([row[0] + row[1] for row in notes], np.float64),
        pitch=np.array([row[2] for row in notes], np.uint8),
        velocity=np.array([row[3] for row in notes], np.uint8),
        part=np.array([row[4] for row in notes], np.int32),
        unreleased=np.array([row[5] for row in notes], bool),
        pedal_time=np.array([row[0] for row in pedals], np.float64),
        pedal_value=np.array([row[1] for row in pedals], np.uint8),
        pedal_part=np.array([row[2] for row in pedals], np.int32),
        parts=tuple(of_parts),
        tempos=tuple(tempos),
    )


@st.composite
def performances(
    draw: st.DrawFn,
    *,
    max_notes: int = 16,
    max_parts: int = 3,
    max_pedals: int = 8,
    pitches: st.SearchStrategy[int] = PITCHES,
    drums: bool = False,
    unreleased: bool = False,
) -> Performance:
    """Any performance: overlapping and simultaneous notes, notes without length, pedals, parts.

    With ``unreleased`` some notes are still held where they end.
    """
    of_parts = draw(st.lists(parts(drums=drums), min_size=1, max_size=max_parts))
    part = st.integers(0, len(of_parts) - 1)
    lengths = st.one_of(st.sampled_from([0.0, 0.001, 0.25, 1.0]), times(2.0))
    held = st.booleans() if unreleased else st.just(False)
    note = st.tuples(times(), lengths, pitches, VELOCITIES, part, held)
    notes = draw(st.lists(note, max_size=max_notes))
    pedals = draw(st.lists(st.tuples(times(), PEDAL_VALUES, part), max_size=max_pedals))
    return performance_of(notes, pedals, of_parts)


@st.composite
def tempo_maps(draw: st.DrawFn, max_changes: int = 5) -> tuple[Tempo, ...]:
    """Tempos from 0 on, each unlike the one before it."""
    rows = draw(
        st.lists(
            st.tuples(st.floats(0.02, 1.5), st.integers(20, 400)), min_size=1, max_size=max_changes
        )
    )
    tempos = [Tempo(0.0, float(rows[0][1]))]
    for gap, bpm in rows[1:]:
        if bpm != tempos[-1].bpm:
            tempos.append(Tempo(tempos[-1].seconds + gap, float(bpm)))
    return tuple(tempos)


@st.composite
def recordable_performances(draw: st.DrawFn, *, drums: bool = False) -> Performance:
    """Performances that a MIDI file can hold as they are.

    A pitch sounds once at a time in a part, no note is shorter than 10 ms and every part plays.
    """
    of_parts = draw(st.lists(parts(drums=drums), min_size=1, max_size=3))
    note = st.tuples(times(), st.integers(10, 2000), st.integers(58, 63), VELOCITIES)
    rows: list[NoteRow] = []
    for index in range(len(of_parts)):
        silent_from: dict[int, float] = {}
        for start, milliseconds, pitch, velocity in sorted(
            draw(st.lists(note, min_size=1, max_size=8))
        ):
            if start >= silent_from.get(pitch, 0.0):
                length = milliseconds / 1000
                silent_from[pitch] = start + length
                rows.append((start, length, pitch, velocity, index, False))
    part = st.integers(0, len(of_parts) - 1)
    pedals = draw(st.lists(st.tuples(times(), PEDAL_VALUES, part), max_size=6))
    return performance_of(rows, pedals, of_parts, draw(tempo_maps()))


@st.composite
def token_lists(draw: st.DrawFn, codec: PerformanceCodec, max_size: int = 60) -> list[int]:
    """Any tokens of the vocabulary: mostly of few pitches, so that notes meet, and full shifts."""
    token = codec.vocabulary.token
    most = codec.max_shift_steps
    shift = st.one_of(st.integers(1, most), st.sampled_from([1, most]))
    kinds = [
        PITCHES.map(lambda value: token(TokenType.NOTE_ON, value)),
        PITCHES.map(lambda value: token(TokenType.NOTE_OFF, value)),
        shift.map(lambda value: token(TokenType.TIME_SHIFT, value)),
    ]
    if codec.velocity_bins:
        bins = st.integers(1, codec.velocity_bins)
        kinds.append(bins.map(lambda value: token(TokenType.VELOCITY, value)))
    return draw(st.lists(st.one_of(kinds), max_size=max_size))


def performance_codecs(*, overlaps: str = "cut") -> st.SearchStrategy[PerformanceCodec]:
    """The usual codec, and others with coarse and fine grids, with few loudnesses or none."""
    return st.sampled_from(
        [
            PerformanceCodec(overlaps=overlaps),
            PerformanceCodec(31, 7, 5, overlaps),
            PerformanceCodec(10, 3, 0, overlaps),
            PerformanceCodec(125, 125, 127, overlaps),
        ]
    )
