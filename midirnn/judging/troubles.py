"""What goes wrong in generated music: it falls silent, turns to babble, is stuck in a loop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from midirnn.judging.features import onset_gaps, silences
from midirnn.performance import Performance

DENSE_SECONDS = 10.0
"""The length of the passage in which a piece is densest."""

GRAM = 8
"""Notes of the groups that are looked for again."""

LOOP_ROUNDS = 4
"""Times a pattern of notes is played in a row before it counts as a loop."""

LONGEST_PATTERN = 256
"""Notes of the longest pattern that is looked for in loops."""


@dataclass(frozen=True)
class Troubles:
    """How silent, how dense and how repetitive a piece is."""

    longest_onset_gap_seconds: float
    """The longest time in which no note begins, the ends of the piece included."""
    longest_silence_seconds: float
    """The longest time in which none sounds."""
    densest_notes_per_second: float
    """In the 10 seconds in which the most notes begin."""
    most_notes_sounding: int
    """At one time."""
    repeated_share: float
    """The share of groups of 8 consecutive pitches that stand in the piece before."""
    longest_loop_seconds: float
    """How long the longest loop lasts: one pattern of pitches, 4 times in a row or more."""
    longest_loop_notes: int
    """How many notes the loop has that lasts longest."""


def troubles(piece: Performance, seconds: float) -> Troubles:
    """How silent, how dense and how repetitive a piece of so many seconds is."""
    loop_seconds, loop_notes = longest_loop(piece)
    return Troubles(
        longest_onset_gap_seconds=float(onset_gaps(piece, seconds).max()),
        longest_silence_seconds=float(silences(piece, seconds).max(initial=0.0)),
        densest_notes_per_second=densest(piece.start) / DENSE_SECONDS,
        most_notes_sounding=most_sounding(piece),
        repeated_share=repeated_share(piece.pitch),
        longest_loop_seconds=loop_seconds,
        longest_loop_notes=loop_notes,
    )


def densest(start: npt.NDArray[np.float64], seconds: float = DENSE_SECONDS) -> int:
    """The most notes that begin within so many seconds; ``start`` (N,) is in order."""
    behind = np.searchsorted(start, start + seconds)
    return int((behind - np.arange(len(start))).max(initial=0))


def most_sounding(piece: Performance) -> int:
    """How many notes sound at once where the most do; one that ends then is over."""
    over = np.searchsorted(np.sort(piece.end), piece.start, side="right")
    return int((np.arange(1, len(piece) + 1) - over).max(initial=0))


def repeated_share(pitch: npt.NDArray[np.uint8], gram: int = GRAM) -> float:
    """The share of groups of ``gram`` consecutive pitches that stood there before."""
    if len(pitch) < gram:
        return 0.0
    groups = np.lib.stride_tricks.sliding_window_view(pitch, gram)
    return 1.0 - len(np.unique(groups, axis=0)) / len(groups)


def longest_loop(piece: Performance) -> tuple[float, int]:
    """The seconds (onset to onset) and the notes of the loop that lasts longest; zeros if none."""
    longest = (0.0, 0)
    for period in range(1, min(LONGEST_PATTERN, len(piece) // LOOP_ROUNDS) + 1):
        begins, ends = _stretches(piece.pitch[period:] == piece.pitch[:-period])
        loops = ends - begins >= (LOOP_ROUNDS - 1) * period
        # A stretch of notes like those a period before belongs together with what it repeats.
        first, last = begins[loops], ends[loops] + period - 1
        lasts = piece.start[last] - piece.start[first]
        notes = last - first + 1
        longest = max([longest, *zip(lasts.tolist(), notes.tolist(), strict=True)])
    return longest


def _stretches(
    is_true: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where stretches of true values begin and where they end."""
    changes = np.diff(is_true.astype(np.int8), prepend=0, append=0)
    return np.flatnonzero(changes == 1), np.flatnonzero(changes == -1)
