"""Write the example MIDI files of data/examples.

The music is J. S. Bach's (public domain); the notes are typed here, and their touch is made up: a
slow swell, a light lilt, the pedal changed with each harmony.
"""

from __future__ import annotations

import math
from pathlib import Path

from midirnn import Performance, write_midi

EXAMPLES = Path(__file__).parents[1] / "data" / "examples"

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


if __name__ == "__main__":
    EXAMPLES.mkdir(parents=True, exist_ok=True)
    write_midi(prelude(), EXAMPLES / "bach_prelude_bwv846.mid")
