"""What the structured output looks back on: the notes so far, and what followed similar ones.

A recurrent state holds the last notes approximately. This memory holds them exactly: their pitches,
velocities, onsets and durations, and where the present context occurred before (D. Conklin and
I. Witten, "Multiple viewpoint systems for music prediction", 1995).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from midirnn.codecs.recall import LONGEST, NUM_VIEWPOINTS, unordered
from midirnn.performance import NUM_PITCHES

Int32Array = npt.NDArray[np.int32]

NONE = -1
"""Stands for a note, a time or a pitch that does not exist."""

EXACT, TRANSPOSED, UNORDERED = range(NUM_VIEWPOINTS)
"""The viewpoints of :func:`midirnn.codecs.recall.recall`."""

NUM_VOTES = 3
"""Number of views that vote for the next pitch: exact, transposed, all but the last note."""

MOST_VOTES = 8
"""At most this many pitches get votes in each view: those with the longest contexts."""

_ONE_TO_LONGEST = np.arange(1, LONGEST + 1, dtype=np.uint8)
_SHORTEST_TRANSPOSED = 2
_SHORTEST_UNORDERED = 3


class Match(NamedTuple):
    """Where the present context occurred before."""

    place: int
    """The number of the note that followed there; :data:`NONE` without a match."""
    length: int
    """How many notes of context match."""
    pitch: int
    """The pitch that would follow now: that of the note there, transposed if the match is."""


NO_MATCH = Match(NONE, 0, 0)


class Votes(NamedTuple):
    """The pitches that followed in a view, and the longest context (>= 1) after which each did."""

    pitches: Int32Array
    lengths: Int32Array


NO_VOTES = Votes(np.empty(0, np.int32), np.empty(0, np.int32))


class Recollection(NamedTuple):
    """What followed when the last notes occurred before. Changes with each note."""

    matches: tuple[Match, Match, Match]
    """The latest of the longest matches: exact, transposed, unordered."""
    votes: tuple[Votes, ...]
    """The votes of each view: exact, transposed, and all but the last note."""
    exact: npt.NDArray[np.uint8]
    """For each kept note but the last, how many notes up to it equal those up to the last."""
    moved: npt.NDArray[np.uint8]
    """The same for intervals."""

    @property
    def best(self) -> Match:
        """The longer of the exact and the transposed match, exact on ties.

        The unordered one replaces it if both are shorter than three notes.
        """
        exact, transposed, unordered = self.matches
        best = transposed if transposed.length > exact.length else exact
        return unordered if unordered.length and best.length < _SHORTEST_UNORDERED else best


NOTHING_RECALLED = Recollection(
    (NO_MATCH, NO_MATCH, NO_MATCH),
    (NO_VOTES,) * NUM_VOTES,
    np.empty(0, np.uint8),
    np.empty(0, np.uint8),
)


class NoteMemory(NamedTuple):
    """The notes of a piece so far. Immutable: each ``after_...`` returns a new one.

    Notes are numbered from the start of the piece. The arrays of the last notes hold the numbers
    ``begun - len(pitches)`` to ``begun - 1``. Times are steps of the codec's grid.
    """

    size: int
    """How many notes are kept."""
    step: int
    """The current time."""
    velocity_bin: int
    """The current velocity, from 1; 0 before the first."""
    begun: int
    """How many notes have begun."""
    pitches: bytes
    """The last notes' pitches."""
    velocities: bytes
    """Their velocity bins."""
    onsets: Int32Array
    """Their onsets."""
    durations: Int32Array
    """Their durations; :data:`NONE` while they sound."""
    latest: Int32Array
    """(128,): the number of each pitch's latest note, or :data:`NONE`."""
    class_latest: Int32Array
    """(12,): the same for each pitch class."""
    onset: Int32Array
    """(128,): when each pitch's sounding note began; :data:`NONE` for silent pitches."""
    released: Int32Array
    """(128,): when a pitch's note ended; :data:`NONE` while it sounds and before its first note."""
    recollection: Recollection

    @classmethod
    def empty(cls, size: int) -> NoteMemory:
        """Return the memory before the first note."""
        nothing, nowhere = np.empty(0, np.int32), np.full(NUM_PITCHES, NONE, np.int32)
        return cls(
            size,
            0,
            0,
            0,
            b"",
            b"",
            nothing,
            nothing,
            nowhere,
            np.full(12, NONE, np.int32),
            nowhere,
            nowhere,
            NOTHING_RECALLED,
        )

    def after_shift(self, steps: int) -> NoteMemory:
        """Return the memory after a time shift."""
        return self._replace(step=self.step + steps)

    def after_velocity(self, velocity_bin: int) -> NoteMemory:
        """Return the memory after a change of velocity."""
        return self._replace(velocity_bin=velocity_bin)

    def after_note_on(self, pitch: int) -> NoteMemory:
        """Return the memory after a note-on."""
        begin = max(0, len(self.pitches) + 1 - self.size)
        pitches = self.pitches[begin:] + bytes((pitch,))
        first = self.begun + 1 - len(pitches)
        return self._replace(
            begun=self.begun + 1,
            pitches=pitches,
            velocities=self.velocities[begin:] + bytes((self.velocity_bin,)),
            onsets=np.concatenate((self.onsets[begin:], _one(self.step))),
            durations=np.concatenate((self.durations[begin:], _one(NONE))),
            latest=_changed(self.latest, pitch, self.begun),
            class_latest=_changed(self.class_latest, pitch % 12, self.begun),
            onset=_changed(self.onset, pitch, self.step),
            released=_changed(self.released, pitch, NONE),
            recollection=recollect(pitches, first, self.recollection),
        )

    def after_note_off(self, pitch: int) -> NoteMemory:
        """Return the memory after a note-off; one for a silent pitch changes nothing."""
        if self.onset[pitch] == NONE:
            return self
        durations, at = self.durations, int(self.latest[pitch]) - self.first
        if at >= 0:
            durations = _changed(durations, at, self.step - int(self.onset[pitch]))
        return self._replace(
            durations=durations,
            onset=_changed(self.onset, pitch, NONE),
            released=_changed(self.released, pitch, self.step),
        )

    @property
    def first(self) -> int:
        """The number of the oldest note that is kept."""
        return self.begun - len(self.pitches)

    def velocity_of(self, number: int) -> int:
        """Return the velocity bin of a note; 0 if it is not kept."""
        at = number - self.first
        return self.velocities[at] if 0 <= at < len(self.velocities) else 0


def _one(value: int) -> Int32Array:
    return np.array((value,), np.int32)


def _changed(array: Int32Array, index: int, value: int) -> Int32Array:
    """Return the array with one value changed."""
    changed = array.copy()
    changed[index] = value
    return changed


def recollect(pitches: bytes, first: int, before: Recollection) -> Recollection:
    """Return what followed when the last notes occurred before.

    ``first`` is the number of the first pitch, ``before`` the result without the last pitch.
    Contexts are 1 to 12 notes, 2 to 12 intervals, or 3 to 8 pitches in any order; votes count
    contexts of a single note or interval, too.
    """
    history = np.frombuffer(pitches, np.uint8)
    intervals = history[1:] - history[:-1]  # modulo 256, which tells all intervals apart
    exact = common_lengths(history, before.exact)
    moved = common_lengths(intervals, before.moved)
    if len(pitches) < 2:
        return NOTHING_RECALLED
    at, moved_at = _some(exact), _some(moved)
    lengths, moved_lengths = exact[at], moved[moved_at]
    # Contexts that end with the note before the last and were followed by a different note.
    replaced = _within(before.exact[len(before.exact) - len(pitches) + 2 :].copy())
    replaced_at = _some(replaced)
    replaced_at = replaced_at[history[replaced_at + 1] != history[-1]]
    votes = (
        _votes(history[at + 1], lengths),
        _votes(history[-1] + intervals[moved_at + 1], moved_lengths),
        _votes(history[replaced_at + 2], replaced[replaced_at]),
    )
    matches = (
        _latest_longest(at, lengths, history, first, 1),
        _transposed(moved_at, moved_lengths, history, intervals, first),
        _in_any_order(pitches, first),
    )
    return Recollection(matches, votes, exact, moved)


def common_lengths(
    values: npt.NDArray[np.uint8], before: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    """Return, for each value but the last, how many values up to it equal those up to the last.

    Shape ``(len(values) - 1,)``; at most :data:`~midirnn.codecs.recall.LONGEST`. ``before`` is the
    result for the values without the last one, possibly with one more at the beginning.
    """
    count = max(len(values) - 1, 0)
    if not count:
        return np.empty(0, np.uint8)
    lengths = np.ones(count, np.uint8)
    np.minimum(before[len(before) - count + 1 :] + np.uint8(1), LONGEST, out=lengths[1:])
    lengths *= values[:-1] == values[-1]
    return _within(lengths)


def _within(lengths: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Limit the lengths, in place, so that no context begins before the first value."""
    beginning = lengths[:LONGEST]
    np.minimum(beginning, _ONE_TO_LONGEST[: len(beginning)], out=beginning)
    return lengths


def _votes(pitches: npt.NDArray[np.uint8], lengths: npt.NDArray[np.uint8]) -> Votes:
    """Return the longest context of each pitch, for at most :data:`MOST_VOTES` pitches."""
    if not len(pitches):
        return NO_VOTES
    order = np.argsort(lengths, kind="stable")
    longest = np.zeros(256, np.int32)
    longest[pitches[order]] = lengths[order]  # for a pitch that occurs twice, the last value stays
    voted = np.flatnonzero(longest[:NUM_PITCHES])
    lengths_of = longest[voted]
    if len(voted) > MOST_VOTES:
        first = np.argsort(-lengths_of, kind="stable")[:MOST_VOTES]
        voted, lengths_of = voted[first], lengths_of[first]
    return Votes(voted.astype(np.int32), lengths_of)


def _some(lengths: npt.NDArray[np.uint8]) -> npt.NDArray[np.intp]:
    """Return the places of the lengths that are not 0."""
    return np.asarray((lengths != 0).nonzero()[0])


def _latest_longest(
    at: npt.NDArray[np.intp],
    lengths: npt.NDArray[np.uint8],
    values: npt.NDArray[np.uint8],
    first: int,
    shortest: int,
) -> Match:
    """Return the latest of the longest matches, which have ``lengths`` (M,) and end ``at`` (M,)."""
    longest = int(lengths.max(initial=0))
    if longest < shortest:
        return NO_MATCH
    behind = int(at[(lengths == longest).nonzero()[0][-1]]) + 1
    return Match(first + behind, longest, int(values[behind]))


def _transposed(
    at: npt.NDArray[np.intp],
    lengths: npt.NDArray[np.uint8],
    history: npt.NDArray[np.uint8],
    intervals: npt.NDArray[np.uint8],
    first: int,
) -> Match:
    found = _latest_longest(at, lengths, intervals, first + 1, _SHORTEST_TRANSPOSED)
    pitch = (int(history[-1]) + found.pitch) % 256
    return Match(found.place, found.length, pitch) if found.length and pitch < 128 else NO_MATCH


def _in_any_order(pitches: bytes, first: int) -> Match:
    place, length = unordered(pitches)
    return Match(first + place, length, pitches[place]) if length else NO_MATCH
