"""Judge single pieces: whether they fall silent, babble, loop or copy."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from midirnn.judging.copying import Corpus, Run, Symbols, pitch_steps
from midirnn.judging.troubles import Troubles, troubles
from midirnn.performance import Performance

MAX_GAP_SECONDS = 6.0
"""A piece in which no note begins for longer than this falls silent."""

MAX_NOTES_PER_SECOND = 50.0
"""A piece that is denser than this for 10 seconds babbles: the densest piano performance has 42."""

MAX_LOOP_SECONDS = 10.0
"""A piece that repeats one pattern for longer than this loops."""

MAX_COPIED_NOTES = 24
"""A piece with more consecutive pitches than this from one training piece copies."""


@dataclass(frozen=True)
class Copying:
    """The longest runs of consecutive pitches of a piece that occur in training pieces."""

    copied_notes: int
    copied_from: int
    """The index of the training piece; -1 for none."""
    copied_notes_in_any_key: int
    copied_in_any_key_from: int


@dataclass(frozen=True)
class PieceJudgement:
    """The measurements of one piece."""

    notes: int
    troubles: Troubles
    copying: Copying

    @property
    def falls_silent(self) -> bool:
        """True if no note begins for over 6 s."""
        return self.troubles.longest_onset_gap_seconds > MAX_GAP_SECONDS

    @property
    def babbles(self) -> bool:
        """True if over 50 notes per second begin for 10 s."""
        return self.troubles.densest_notes_per_second > MAX_NOTES_PER_SECOND

    @property
    def loops(self) -> bool:
        """True if one pattern is repeated for over 10 s."""
        return self.troubles.longest_loop_seconds > MAX_LOOP_SECONDS

    @property
    def copies(self) -> bool:
        """True if over 24 consecutive notes occur in a training piece."""
        return self.copying.copied_notes > MAX_COPIED_NOTES

    def to_dict(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        return {
            "notes": self.notes,
            **dataclasses.asdict(self.troubles),
            **dataclasses.asdict(self.copying),
        }


class Judge:
    """Judges pieces of this length. Owns the pitches and intervals of the training pieces."""

    def __init__(self, seconds: float, training: Sequence[Symbols]) -> None:
        self.seconds = seconds
        self._corpus = Corpus(training)
        self._steps = Corpus([pitch_steps(pitch) for pitch in training])

    def judge(self, pieces: Sequence[Performance]) -> list[PieceJudgement]:
        """Judge each piece."""
        runs = self._corpus.longest_runs([piece.pitch for piece in pieces])
        moved = self._steps.longest_runs([pitch_steps(piece.pitch) for piece in pieces])
        return [
            PieceJudgement(len(piece), troubles(piece, self.seconds), _copying(run, in_any_key))
            for piece, run, in_any_key in zip(pieces, runs, moved, strict=True)
        ]


def _copying(run: Run, in_any_key: Run) -> Copying:
    # A run of intervals has one more note; a single note occurs in every key.
    steps = in_any_key.length
    return Copying(
        copied_notes=run.length,
        copied_from=run.source,
        copied_notes_in_any_key=steps + 1 if steps else min(run.length, 1),
        copied_in_any_key_from=in_any_key.source,
    )
