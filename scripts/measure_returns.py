"""Measure how alike the returns of sections are, in real and in generated music.

For each MIDI file, 20 seconds are compared with the most similar passage of the same file, at least
20 seconds later. In pieces with repeats this is the repeat. With --generate N, N pieces in the form
AABA are generated instead, and the second and third A, as well as B, are compared with the first A;
the third also without the seconds in which the piece comes to its close:

    python scripts/measure_returns.py data/examples/*.mid
    python scripts/measure_returns.py --generate 8
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from midirnn import read_midi  # noqa: E402
from midirnn.composing.form import (  # noqa: E402
    CLOSE_SECONDS,
    DEFAULT_VARIATION,
    InForm,
    Section,
    generate_form,
)
from midirnn.judging.likeness import likeness  # noqa: E402
from midirnn.performance import Performance  # noqa: E402
from midirnn.sampling.requests import Request  # noqa: E402

STRETCHES = (0.9, 1.0, 1.1)
"""Factors by which the tempo of a return may differ."""


def best_return(piece: Performance, begin: float, seconds: float) -> tuple[float, float]:
    """Return (likeness, second) of the passage that is most like the one at ``begin``."""
    first = piece.slice(begin, begin + seconds)
    found = (0.0, 0.0)
    for at in np.arange(begin + seconds, piece.duration - seconds, 0.5).tolist():
        for stretch in STRETCHES:
            alike = likeness(first, piece.slice(at, at + stretch * seconds))
            found = max(found, (alike, at))
    return found


def played(made: InForm, section: Section, without_seconds: float = 0.0) -> Performance:
    """Return the notes of a section, except for its last ``without_seconds``."""
    return made.performance.slice(section.begin_seconds, section.end_seconds - without_seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--from", type=float, default=5.0, dest="begin", help="in seconds")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--generate", type=int, default=0, metavar="COUNT")
    parser.add_argument("--variation", type=float, nargs="+", default=[DEFAULT_VARIATION])
    parser.add_argument("--model", default="piano")
    given = parser.parse_args()
    for path in given.files:
        piece = read_midi(path).without_drums()
        alike, at = best_return(piece, given.begin, given.seconds)
        print(f"{alike:.2f}  {path}: {given.begin:g} s comes back at {at:g} s", flush=True)
    for variation in given.variation if given.generate else ():
        again, other, before_close = [], [], []
        for seed in range(given.generate):
            made = generate_form(
                given.model,
                "AABA",
                given.seconds,
                Request(end=True),
                variation=variation,
                seed=seed,
            )
            again += [s.likeness for s in made.sections if s.likeness is not None]
            first, _, third, last = made.sections
            other.append(likeness(played(made, first), played(made, third)))
            before_close.append(
                likeness(played(made, first, CLOSE_SECONDS), played(made, last, CLOSE_SECONDS))
            )
        print(
            f"variation {variation:g}: second A {np.mean(again[::2]):.2f}, last A "
            f"{np.mean(again[1::2]):.2f}, without its last {CLOSE_SECONDS:g} s "
            f"{np.mean(before_close):.2f}, B {np.mean(other):.2f} like the first A",
            flush=True,
        )


if __name__ == "__main__":
    main()
