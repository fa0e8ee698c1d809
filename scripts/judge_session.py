"""Judge the music of a session, as ``midirnn evaluate --samples`` judges generated pieces.

    python scripts/benchmark_jam.py --session 120 --keep session.mid
    python scripts/judge_session.py session.mid my-data

The file has a track for each player, as takes and recordings have. It is cut into excerpts, which
are judged twice: what both played, and what the model played alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from midirnn import Performance, read_midi
from midirnn.codecs import NoteStream, require
from midirnn.datasets import Dataset
from midirnn.judging import judge, openings, table
from midirnn.live.output.ledger import MODEL

EXCERPT_SECONDS = 30.0
FEWEST_OPENINGS = 24
SPLIT = "test"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("session", type=Path)
    parser.add_argument("dataset", type=Path, help="made by midirnn encode")
    parser.add_argument("--seconds", type=float, default=EXCERPT_SECONDS)
    options = parser.parse_args()
    session, dataset = read_midi(options.session), Dataset.open(options.dataset)
    codec = require(dataset.codec, NoteStream, "judge_session")
    training = dataset.pieces("train")
    real = {
        split: openings(
            codec, dataset.pieces(split), options.seconds, FEWEST_OPENINGS, of=f"{split} "
        )
        for split in (SPLIT, "train")
    }
    for who, music in (("both", session), ("the model alone", of_player(session, MODEL))):
        pieces = excerpts(music, options.seconds)
        print(f"{who}: {len(music)} notes in {len(pieces)} excerpts of {options.seconds:g} s")
        findings = judge(codec, pieces, real, SPLIT, training, options.seconds)
        print("\n".join(f"  {line}".rstrip() for line in table(findings, SPLIT)), end="\n\n")


def of_player(music: Performance, name: str) -> Performance:
    """Return the notes of the parts of that name."""
    return music.select(np.array([music.parts[part].name == name for part in music.part]))


def excerpts(music: Performance, seconds: float) -> list[Performance]:
    """Return the music in pieces of so many seconds; the rest at its end is left out."""
    count = int(music.end.max() // seconds)
    return [music.slice(n * seconds, (n + 1) * seconds) for n in range(count)]


if __name__ == "__main__":
    main()
