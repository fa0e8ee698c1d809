"""Write the example MIDI files of data/examples and data/scores.

The music is by J. S. Bach (public domain); the notes are entered here. In data/examples the
expression is invented: a slow swell, a light lilt, a pedal change with each harmony. In data/scores
the notes are exactly timed.
"""

from __future__ import annotations

import math
from pathlib import Path

from midirnn import Performance, Tempo, write_midi
from midirnn.performance import TimeSignature

DATA = Path(__file__).parents[1] / "data"
EXAMPLES, SCORES = DATA / "examples", DATA / "scores"

# Prelude in C major, BWV 846, bars 1 to 11: five notes a bar, spread as 1 2 3 4 5 3 4 5, twice.
PRELUDE_BARS = (
    (60, 64, 67, 72, 76),
    (60, 62, 69, 74, 77),
    (59, 62, 67, 74, 77),
    (60, 64, 67, 72, 76),
    (60, 64, 69, 76, 81),
    (60, 62, 66, 69, 74),
    (59, 62, 67, 74, 79),
    (59, 60, 64, 67, 72),
    (57, 60, 64, 67, 72),
    (50, 57, 62, 66, 72),
    (55, 59, 62, 67, 71),
)
SPREAD = (0, 1, 2, 3, 4, 2, 3, 4) * 2


def prelude(sixteenth_seconds: float = 0.21) -> Performance:
    notes: list[tuple[float, float, int, int]] = []
    pedals: list[tuple[float, int]] = []
    bar_seconds = 16 * sixteenth_seconds
    for bar, pitches in enumerate(PRELUDE_BARS):
        begin = bar * bar_seconds
        pedals += [(begin + 0.06, 127), (begin + bar_seconds - 0.02, 0)]
        for place, voice in enumerate(SPREAD):
            lilt = 0.012 * math.sin(2 * math.pi * place / 8)
            start = begin + place * sixteenth_seconds + lilt + 0.02
            swell = 9 * math.sin(math.pi * (bar + place / 16) / len(PRELUDE_BARS))
            accent = {0: 8, 8: 4}.get(place, 0) + (3 if voice == 4 else 0)
            long_voice = voice < 2
            length = (8 - place % 8) * sixteenth_seconds if long_voice else sixteenth_seconds * 0.9
            notes.append((start, start + length, pitches[voice], round(48 + swell + accent)))
    return Performance.from_notes(notes, pedals)


def prelude_score(bpm: float = 66.0) -> Performance:
    """Return the same bars exactly timed, with a last chord."""
    sixteenth = 15 / bpm
    notes = [
        (
            (16 * bar + place) * sixteenth,
            (16 * bar + (place // 8 * 8 + 8 if voice < 2 else place + 1)) * sixteenth,
            pitches[voice],
            64,
        )
        for bar, pitches in enumerate(PRELUDE_BARS)
        for place, voice in enumerate(SPREAD)
    ]
    end = 16 * len(PRELUDE_BARS)
    notes += [(end * sixteenth, (end + 16) * sixteenth, p, 64) for p in (48, 55, 64, 67, 72)]
    return Performance.from_notes(notes).replace(
        tempos=(Tempo(0.0, bpm),), signatures=(TimeSignature(0.0, 4, 4),)
    )


if __name__ == "__main__":
    EXAMPLES.mkdir(parents=True, exist_ok=True)
    write_midi(prelude(), EXAMPLES / "bach_prelude_bwv846.mid")
    write_midi(prelude_score(), SCORES / "bach_prelude_bwv846.mid")
