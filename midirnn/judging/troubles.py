"""What can go wrong in generated music: silence, babble, loops."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from midirnn.judging.features import onset_gaps, silences
from midirnn.performance import Performance

DENSE_SECONDS = 10.0
"""The length of the window in which the densest passage is searched."""

GRAM = 8
"""The number of notes in the groups whose repetitions are counted."""

LOOP_ROUNDS = 4
"""How many times in a row a pattern of notes must be played to count as a loop."""

LONGEST_PATTERN = 256
"""The number of notes in the longest pattern that loops are searched for."""


@dataclass(frozen=True)
class Troubles:
    """How silent, how dense and how repetitive a piece is."""

    longest_onset_gap_seconds: float
    """The longest time in which no note begins, including both ends of the piece."""
    longest_silence_seconds: float
    """The longest time in which no note sounds."""
    densest_notes_per_second: float
    """Notes per second in the 10 seconds in which the most begin, or in all of a shorter piece."""
    most_notes_sounding: int
    """The most notes that sound at once."""
    repeated_share: float
    """The share of groups of 8 consecutive pitches that occurred before in the piece."""
    longest_loop_seconds: float
    """The length of the longest loop: one pattern of pitches, at least 4 times in a row."""
    longest_loop_notes: int
    """The number of notes in the longest loop."""


def troubles(piece: Performance, seconds: float) -> Troubles:
    """Measure how silent, how dense and how repetitive a piece of ``seconds`` is."""
    loop_seconds, loop_notes = longest_loop(piece)
    return Troubles(
        longest_onset_gap_seconds=float(onset_gaps(piece, seconds).max()),
        longest_silence_seconds=float(silences(piece, seconds).max(initial=0.0)),
        densest_notes_per_second=densest(piece.start) / min(DENSE_SECONDS, seconds),
        most_notes_sounding=most_sounding(piece),
        repeated_share=repeated_share(piece.pitch),
        longest_loop_seconds=loop_seconds,
        longest_loop_notes=loop_notes,
    )


def densest(start: npt.NDArray[np.float64], seconds: float = DENSE_SECONDS) -> int:
    """Return the most notes that begin within ``seconds``; ``start`` (N,) is in order."""
    after = np.searchsorted(start, start + seconds)
    return int((after - np.arange(len(start))).max(initial=0))


def most_sounding(piece: Performance) -> int:
    """Return the most notes that sound at once."""
    over = np.searchsorted(np.sort(piece.end), piece.start, side="right")
    return int((np.arange(1, len(piece) + 1) - over).max(initial=0))


def repeated_share(pitch: npt.NDArray[np.uint8], gram: int = GRAM) -> float:
    """Return the share of groups of ``gram`` consecutive pitches that occurred before."""
    if len(pitch) < gram:
        return 0.0
    groups = np.lib.stride_tricks.sliding_window_view(pitch, gram)
    return 1.0 - len(np.unique(groups, axis=0)) / len(groups)


def longest_loop(piece: Performance) -> tuple[float, int]:
    """Return the seconds (onset to onset) and the notes of the longest loop; zeros if none."""
    longest = (0.0, 0)
    for period in range(1, min(LONGEST_PATTERN, len(piece) // LOOP_ROUNDS) + 1):
        begins, ends = _stretches(piece.pitch[period:] == piece.pitch[:-period])
        loops = ends - begins >= (LOOP_ROUNDS - 1) * period
        # A stretch of notes equal to those a period before starts with what it repeats.
        first, last = begins[loops], ends[loops] + period - 1
        lasts = piece.start[last] - piece.start[first]
        notes = last - first + 1
        longest = max([longest, *zip(lasts.tolist(), notes.tolist(), strict=True)])
    return longest


def _stretches(
    is_true: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return where stretches of true values begin and where they end."""
    changes = np.diff(is_true.astype(np.int8), prepend=0, append=0)
    return np.flatnonzero(changes == 1), np.flatnonzero(changes == -1)
