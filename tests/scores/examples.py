"""Scores for tests."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from midirnn.performance import Part, Performance, Tempo, TimeSignature
from midirnn.scores import Score

BEATS_OF_MELODY = (0.0, 1.0, 2.0, 2.5, 3.0, 4.0, 4.0, 4.0)
PITCHES_OF_MELODY = (60, 62, 64, 65, 67, 60, 64, 67)


def melody(bpm: float = 120.0) -> Score:
    """Return a bar of single notes and a chord."""
    start = np.array(BEATS_OF_MELODY) * 60 / bpm
    return Score.from_performance(
        Performance(
            start=start,
            end=start + 30 / bpm,
            pitch=np.array(PITCHES_OF_MELODY, np.uint8),
            velocity=np.full(len(start), 64, np.uint8),
            part=np.zeros(len(start), np.int32),
            tempos=(Tempo(0.0, bpm),),
            signatures=(TimeSignature(0.0, 4, 4),),
        )
    )


@st.composite
def scores(draw: st.DrawFn) -> Score:
    """Return a score of up to three parts, with unisons, overlaps and maybe drums."""
    notes = draw(
        st.lists(
            st.tuples(
                st.integers(0, 40),  # sixteenths
                st.integers(1, 20),
                st.integers(30, 90),
                st.integers(0, 2),
            ),
            min_size=1,
            max_size=30,
        )
    )
    if all(part == 2 for *_, part in notes):
        notes.append((0, 4, 60, 0))
    onset, length, pitch, part = (np.array(column) for column in zip(*notes, strict=True))
    return Score.from_performance(
        Performance(
            start=onset * 0.15,
            end=(onset + length) * 0.15,
            pitch=pitch.astype(np.uint8),
            velocity=np.full(len(notes), 64, np.uint8),
            part=part.astype(np.int32),
            parts=(Part(0, 0, "right"), Part(0, 1, "left"), Part(0, 9, "drums")),
            tempos=(Tempo(0.0, 100.0),),
        )
    )
