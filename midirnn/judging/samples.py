"""Judge what a tuned model plays: how varied it is, and how much it copies from its recordings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from midirnn.codecs import NoteStream, Tokens
from midirnn.judging.copying import Corpus, pitch_steps, pitches

FIGURE = 4
"""The number of notes in a figure."""


def judge_samples(
    codec: NoteStream, samples: Sequence[Tokens], recordings: Sequence[Tokens]
) -> dict[str, float]:
    """Return the ``distinct_share`` and the ``longest_copy`` of pieces.

    The first is the number of different figures of four notes, in any key, divided by the number of
    figures: 1 if none comes twice. The second is the length in notes of the longest run of
    consecutive pitches that also occurs in the recordings.
    """
    played = [pitches(codec, piece) for piece in samples]
    figures = [
        figure.tobytes()
        for piece in played
        if len(piece) >= FIGURE
        for figure in np.lib.stride_tricks.sliding_window_view(pitch_steps(piece), FIGURE - 1)
    ]
    runs = Corpus([pitches(codec, piece) for piece in recordings]).longest_runs(played)
    return {
        "distinct_share": len(set(figures)) / max(len(figures), 1),
        "longest_copy": max((run.length for run in runs), default=0),
    }
