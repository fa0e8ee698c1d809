"""Describe a piece at each of its tokens, in numbers that a unit may follow.

Each *signal* is a number for each token, which depends only on that token and those before it: on
what a state may know. It is NaN where it has no meaning yet, such as the loudness in the first
seconds. The pedal is taken from the file, since tokens do not hold it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from midirnn.arrays import Float64Array, IntArray
from midirnn.codecs import Codec, NoteStream, Tokens
from midirnn.performance import SUSTAIN_DOWN, Performance
from midirnn.pitch_names import PITCH_CLASS_NAMES

Signals = Mapping[str, Float64Array]
"""The values (T,) of each signal, by its name."""

RECENT_SECONDS = 2.0
"""Loudness, density, register and pitch classes are measured over the notes of this time."""

CHORD_SECONDS = 0.05
"""Notes that begin this close together are one onset of a phrase."""

PHRASE_SECONDS, PHRASE_RATIO, PHRASE_ONSETS = 0.4, 3.0, 8
"""A phrase begins after a gap of at least this many seconds that is also at least this many times
the median of this many gaps before it."""

PITCH_CLASS = "pitch class"
"""The prefix of the names of the pitch classes' signals."""


@dataclass(frozen=True, eq=False)
class Onsets:
    """The notes of a piece in the order of their tokens, and how many have begun at each token."""

    seconds: Float64Array
    """When each note begins; shape ``(N,)``."""
    pitch: IntArray
    """``(N,)``"""
    velocity: Float64Array
    """``(N,)``"""
    begun: IntArray
    """How many notes have begun after each token; shape ``(T,)``."""
    now: Float64Array
    """The time of each token; shape ``(T,)``."""

    @property
    def is_under_way(self) -> npt.NDArray[np.bool_]:
        """Whether :data:`RECENT_SECONDS` have passed since the first note; shape ``(T,)``."""
        under_way: npt.NDArray[np.bool_] = self.now >= self.seconds[0] + RECENT_SECONDS
        return under_way

    @property
    def first_recent(self) -> IntArray:
        """The first note of the last :data:`RECENT_SECONDS` at each token; shape ``(T,)``."""
        return np.searchsorted(self.seconds, self.now - RECENT_SECONDS, side="right")

    def recent_mean(self, values: Float64Array) -> Float64Array:
        """Return the mean of values (N,) over the recent notes at each token; shape ``(T,)``.

        Where none is recent, the value of the last note.
        """
        sums = np.concatenate([[0.0], np.cumsum(values)])
        first = np.minimum(self.first_recent, np.maximum(self.begun - 1, 0))
        count = self.begun - first
        means = (sums[self.begun] - sums[first]) / np.maximum(count, 1)
        return np.where(self.is_under_way, means, np.nan)

    def of_last(self, values: Float64Array) -> Float64Array:
        """Return the value (of (N,)) of the last note that has begun at each token."""
        return np.where(self.begun > 0, values[np.maximum(self.begun - 1, 0)], np.nan)


def measure_signals(codec: Codec[Any], tokens: Tokens, piece: Any = None) -> Signals:
    """Return the signals of a piece, each of shape ``(T,)``, by their names.

    For music they are those of :data:`MUSIC` and, if ``piece`` is a performance with a pedal, the
    pedal; for text those of :data:`TEXT`. A signal that never changes is left out.
    """
    if isinstance(codec, NoteStream):
        onsets = onsets_of(codec, tokens)
        if not len(onsets.seconds):
            return {}
        found = {name: measure(onsets) for name, measure in MUSIC.items()}
        if not np.ptp(phrase_starts(onsets.seconds)):
            del found["phrase position"]
        if isinstance(piece, Performance) and len(piece.pedal_time):
            found["pedal"] = pedal_down(piece, onsets.now)
    else:
        text = codec.decode(tokens)
        found = {name: measure(text) for name, measure in TEXT.items()}
    return {name: values for name, values in found.items() if _varies(values)}


def _varies(values: Float64Array) -> bool:
    known = values[np.isfinite(values)]
    return bool(len(known) and np.ptp(known) > 0)


# Music.


def onsets_of(codec: Any, tokens: Tokens) -> Onsets:
    """Return the notes that tokens of a :class:`NoteStream` begin."""
    now = np.cumsum(codec.token_steps[tokens]) / codec.steps_per_second
    is_on = (tokens >= codec.note_ons.start) & (tokens < codec.note_ons.stop)
    at = np.flatnonzero(is_on)
    pitch = tokens[at].astype(np.int64) - codec.note_ons.start
    return Onsets(now[at], pitch, _velocities(codec, tokens)[at], np.cumsum(is_on), now)


def _velocities(codec: Codec[Any], tokens: Tokens) -> Float64Array:
    """Return the velocity in effect at each token, from 0 to 127; all 0 if the codec has none."""
    ids = codec.groups().get("velocity", slice(0, 0))
    bins = ids.stop - ids.start
    is_velocity = (tokens >= ids.start) & (tokens < ids.stop)
    last = np.maximum.accumulate(np.where(is_velocity, np.arange(len(tokens)), -1))
    of_last = tokens[np.maximum(last, 0)].astype(np.float64) - ids.start
    return np.where(last >= 0, (of_last + 0.5) * 127.0 / max(bins, 1), 0.0)


def loudness(onsets: Onsets) -> Float64Array:
    """Return the mean velocity of the recent notes."""
    return onsets.recent_mean(onsets.velocity)


def density(onsets: Onsets) -> Float64Array:
    """Return how many notes per second have begun recently, as log2(1 + n)."""
    count = onsets.begun - np.minimum(onsets.first_recent, onsets.begun)
    return np.where(onsets.is_under_way, np.log2(1.0 + count / RECENT_SECONDS), np.nan)


def register(onsets: Onsets) -> Float64Array:
    """Return the mean pitch of the recent notes."""
    return onsets.recent_mean(onsets.pitch.astype(np.float64))


def since_onset(onsets: Onsets) -> Float64Array:
    """Return the time since the last note began, as log2 of seconds plus 10 ms."""
    return np.log2(onsets.now - onsets.of_last(onsets.seconds) + 0.01)


def phrase_position(onsets: Onsets) -> Float64Array:
    """Return the time since the phrase began, as log2 of 1 plus seconds."""
    begun_at = onsets.of_last(phrase_starts(onsets.seconds))
    return np.log2(1.0 + onsets.now - begun_at)


def phrase_starts(seconds: Float64Array) -> Float64Array:
    """Return for each note (N,) when its phrase began, computed from the notes up to it."""
    starts = np.empty(len(seconds))
    start, last, gaps = 0.0, -np.inf, list[float]()
    for index, second in enumerate(seconds.tolist()):
        gap = second - last
        if gap > CHORD_SECONDS:
            usual = float(np.median(gaps)) if gaps else 0.0
            if gap >= max(PHRASE_SECONDS, PHRASE_RATIO * usual):
                start = second
            if np.isfinite(gap):
                gaps = [*gaps[1 - PHRASE_ONSETS :], gap]
            last = second
        starts[index] = start
    return starts


def pitch_class_share(pitch_class: int) -> Callable[[Onsets], Float64Array]:
    """Return a function that measures the share of a pitch class among the recent notes."""

    def share(onsets: Onsets) -> Float64Array:
        return onsets.recent_mean((onsets.pitch % 12 == pitch_class).astype(np.float64))

    return share


def pedal_down(performance: Performance, seconds: Float64Array) -> Float64Array:
    """Return 1 where the sustain pedal of any part is down, else 0; shape as ``seconds``."""
    down = np.zeros(len(seconds), bool)
    for part in np.unique(performance.pedal_part):
        own = performance.pedal_part == part
        last = np.searchsorted(performance.pedal_time[own], seconds, side="right")
        is_down = np.concatenate([[False], performance.pedal_value[own] >= SUSTAIN_DOWN])
        down |= is_down[last]
    return down.astype(np.float64)


MUSIC: dict[str, Callable[[Onsets], Float64Array]] = {
    "loudness": loudness,
    "density": density,
    "register": register,
    "since onset": since_onset,
    "phrase position": phrase_position,
} | {f"{PITCH_CLASS} {name}": pitch_class_share(n) for n, name in enumerate(PITCH_CLASS_NAMES)}
"""The signals of music, except the pedal."""


# Text.


def line_position(text: str) -> Float64Array:
    """Return the number of characters in the line so far."""
    return _since(text, "\n")


def bar_position(text: str) -> Float64Array:
    """Return the number of characters since the last bar line of a tune in ABC notation."""
    return _since(text, "|") if "|" in text else np.zeros(len(text))


def in_quotes(text: str) -> Float64Array:
    """Return 1 within double quotes, else 0. An empty line ends a quotation."""
    inside, values = False, np.zeros(len(text))
    for index, character in enumerate(text):
        if character in '"“”':
            inside = character == "“" or (character == '"' and not inside)
        elif text[index - 1 : index + 1] == "\n\n":
            inside = False
        values[index] = inside
    return values


def nesting(text: str) -> Float64Array:
    """Return how many brackets are open. An empty line closes all.

    The brackets of ABC's tuplets and endings, such as ``(3`` and ``[1``, close at their digit.
    """
    depth, values = 0, np.zeros(len(text))
    for index, character in enumerate(text):
        before = text[index - 1] if index else "\n"
        if character in "([{":
            depth += 1
        elif (character in ")]}" or (before in "([" and character.isdigit())) and depth:
            depth -= 1
        elif before == character == "\n":
            depth = 0
        values[index] = depth
    return values


def _since(text: str, mark: str) -> Float64Array:
    """Return the number of characters since the last mark, which itself is 0."""
    at = np.arange(len(text), dtype=np.float64)
    marks = np.array([character == mark for character in text], bool)
    last = np.maximum.accumulate(np.where(marks, at, -1.0))
    return at - last


TEXT: dict[str, Callable[[str], Float64Array]] = {
    "line length": line_position,
    "quotes": in_quotes,
    "nesting": nesting,
    "bar position": bar_position,
}
"""The signals of text."""
