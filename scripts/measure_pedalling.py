"""Compare how models with pedal tokens use the pedal with the pianists whom they continue.

    python3 scripts/measure_pedalling.py FILES [--model piano-pedal] [--top-p 1 0.95]

The primer is 25 seconds of each MIDI file, from second 20 on. Prints for the next 30 seconds: the
share of time with the pedal down, how often it goes down per second, and the notes per second;
medians over the files, for the pianists and for the model with each top-p.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from midirnn import SamplingConfig, read_midi
from midirnn.engines.load import load
from midirnn.performance import SUSTAIN_DOWN, Performance
from midirnn.sampling.many import continue_many
from midirnn.sampling.requests import Request

PRIMER_BEGINS, PRIMER_ENDS = 20.0, 45.0
SECONDS = 30.0


def pedalling(music: Performance) -> tuple[float, float, float]:
    """Return the share of time with the pedal down, how often it goes down, and notes per second.

    For the first 30 seconds; the pedals of all parts are merged.
    """
    inside = music.pedal_time < SECONDS
    is_down = np.append(False, music.pedal_value[inside] >= SUSTAIN_DOWN)
    at = np.concatenate([[0.0], music.pedal_time[inside], [SECONDS]])
    goes_down = int((is_down[1:] & ~is_down[:-1]).sum())
    notes = int((music.start < SECONDS).sum())
    return float(np.diff(at)[is_down].sum()) / SECONDS, goes_down / SECONDS, notes / SECONDS


def print_row(name: str, pieces: Sequence[Performance]) -> None:
    down, goes_down, notes = np.median([pedalling(piece) for piece in pieces], axis=0)
    print(f"| {name} | {down:.0%} | {goes_down:.2f} | {notes:.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--model", default="piano-pedal")
    parser.add_argument("--top-p", type=float, nargs="+", default=[1.0, 0.95])
    arguments = parser.parse_args()
    pieces = [read_midi(path) for path in arguments.files]
    pieces = [piece for piece in pieces if piece.duration >= PRIMER_ENDS + SECONDS]
    if not pieces:
        parser.error(f"no file lasts for {PRIMER_ENDS + SECONDS:g} s")
    primers = [piece.slice(PRIMER_BEGINS, PRIMER_ENDS) for piece in pieces]
    print(f"| {len(pieces)} pieces | pedal down | goes down, per second | notes per second |")
    print("|---|---|---|---|")
    print_row("pianists", [piece.slice(PRIMER_ENDS, PRIMER_ENDS + SECONDS) for piece in pieces])
    model = load(arguments.model)
    for top_p in arguments.top_p:
        request = Request(SECONDS, sampling=SamplingConfig(top_p=top_p))
        made = continue_many(model, primers, request=request, seeds=range(len(primers)), batch=16)
        print_row(f"--top-p {top_p:g}", [each.continuation for each in made])


if __name__ == "__main__":
    main()
