"""What a performance adds to its score: tempo, timing, velocity, articulation and pedal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np

from midirnn.arrays import Float64Array, IntArray
from midirnn.midievents import SUSTAIN_DOWN
from midirnn.performance import NUM_PITCHES, Performance, Tempo, cut_overlaps
from midirnn.scores.score import Score

MEAN_VELOCITY = 64.0
"""The velocity to which deviations are added when a score is performed."""

UP, HELD, RENEWED = 0.0, 1.0, 2.0
"""The pedal during a chord: up, held down from before, or pressed again after it began."""

MAX_TEMPO = 2.0
MAX_TIMING = 0.3
MAX_ARTICULATION = 4.0
"""Larger deviations are alignment errors and count as unknown. See :class:`Expression`."""

_PEDAL_PLACE = 0.6
"""When the pedal is sampled between two chords, as a share of the time between them."""
_PEDAL_DELAY = 0.1
"""Seconds after a chord until the pedal goes down again; less if the next chord is close."""
_SHORTEST = 0.02
"""The shortest note, in seconds."""
_ROOM = 0.45
"""How early or late a note may be, as a share of the time to the neighbouring chord."""


@dataclass(frozen=True, eq=False)
class Expression:
    """How the notes of a score are played; NaN where it is not known.

    ``tempo`` (C,) is the natural logarithm of the time to the next chord over the written time at
    the mean tempo: 0.1 is about 10 % slower. ``pedal`` (C,) is :data:`UP`, :data:`HELD` or
    :data:`RENEWED`. ``timing`` (N,) is how much later a note is than its chord, in seconds;
    ``velocity`` (N,) is its distance from the mean velocity; ``articulation`` (N,) is log2 of its
    duration over the time that its written duration takes.
    """

    tempo: Float64Array
    pedal: Float64Array
    timing: Float64Array
    velocity: Float64Array
    articulation: Float64Array

    @classmethod
    def plain(cls, score: Score) -> Expression:
        """Return the expression of a score that is played exactly as written."""
        chords, notes = np.zeros(len(score.firsts)), np.zeros(len(score))
        return cls(chords, chords.copy(), notes, notes.copy(), notes.copy())

    def scaled(self, amount: float) -> Expression:
        """Return the expression with its deviations multiplied; 0 gives the plain score."""
        each = {f.name: getattr(self, f.name) * amount for f in fields(self)}
        return Expression(**each | {"pedal": self.pedal * (amount > 0)})

    def accented(self, louder: Float64Array) -> Expression:
        """Return the expression with the velocity of each note multiplied by ``louder`` (N,)."""
        return replace(self, velocity=(MEAN_VELOCITY + self.velocity) * louder - MEAN_VELOCITY)


def measure(score: Score, performance: Performance, matched: IntArray) -> Expression:
    """Return the expression of a performance.

    ``matched`` is the index of the played note of each written one, -1 for a note that was not
    played.
    """
    there = matched >= 0
    start, end, velocity = (
        np.where(there, getattr(performance, name)[matched], np.nan)
        for name in ("start", "end", "velocity")
    )
    time = _chord_times(score, start)
    tempo = _tempo(score, time)
    timing = start - time[score.chord]
    warp = _warp(score.chord_seconds, time)
    ends = score.clock.seconds(score.onset + score.duration)
    written = warp(ends) - warp(score.chord_seconds[score.chord])
    with np.errstate(invalid="ignore", divide="ignore"):
        articulation = np.log2((end - start) / np.maximum(written, _SHORTEST))
    late = np.abs(timing) > MAX_TIMING
    return Expression(
        tempo=tempo,
        pedal=_pedal(performance, time),
        timing=np.where(late, np.nan, timing),
        velocity=velocity - np.nanmean(velocity) if there.any() else velocity,
        articulation=np.where(
            late | ~(np.abs(articulation) <= MAX_ARTICULATION), np.nan, articulation
        ),
    )


def _chord_times(score: Score, start: Float64Array) -> Float64Array:
    """Return when each chord is played: the median of its notes, NaN if none is; ``(C,)``."""
    order = np.lexsort((start, score.chord))  # NaN comes last
    counts = np.bincount(score.chord[~np.isnan(start)], minlength=len(score.firsts))
    ordered = start[order]
    low = np.minimum(score.firsts + np.maximum(counts - 1, 0) // 2, len(start) - 1)
    high = np.minimum(score.firsts + counts // 2, len(start) - 1)
    return np.where(counts > 0, (ordered[low] + ordered[high]) / 2, np.nan)


def _tempo(score: Score, time: Float64Array) -> Float64Array:
    """Return the logarithm of each chord's time to the next over the written time; ``(C,)``."""
    tempo = np.full(len(time), np.nan)
    known = np.flatnonzero(~np.isnan(time))
    if len(known) < 2:
        return tempo
    seconds = score.chord_seconds
    first, last = known[0], known[-1]
    mean = (time[last] - time[first]) / (seconds[last] - seconds[first])
    with np.errstate(invalid="ignore", divide="ignore"):
        tempo[:-1] = np.log(np.diff(time) / np.diff(seconds) / mean)
    tempo[~(np.abs(tempo) <= MAX_TEMPO)] = np.nan
    return tempo


def _warp(seconds: Float64Array, time: Float64Array) -> Callable[[Float64Array], Float64Array]:
    """Return a function from written to played times, extrapolated at the tempo of the ends."""
    known = ~np.isnan(time)
    x, y = seconds[known], np.maximum.accumulate(time[known]) if known.any() else time[known]
    if len(x) < 2:
        offset = y[0] - x[0] if len(x) else 0.0
        return lambda values: values + offset
    rate = max((y[-1] - y[0]) / (x[-1] - x[0]), 1e-3)
    early, late = x[0] - 1e5, x[-1] + 1e5
    xs = np.concatenate([[early], x, [late]])
    ys = np.concatenate([[y[0] - rate * 1e5], y, [y[-1] + rate * 1e5]])
    return lambda values: np.interp(values, xs, ys)


def _pedal(performance: Performance, time: Float64Array) -> Float64Array:
    """Return the pedal during each chord; ``(C,)``."""
    filled = _filled(time)
    after = np.append(filled[1:], filled[-1] + 1.0)
    places = filled + _PEDAL_PLACE * (after - filled)
    down = np.append(False, performance.pedal_value >= SUSTAIN_DOWN)
    ups = performance.pedal_time[~down[1:]]
    is_down = down[np.searchsorted(performance.pedal_time, places, side="right")]
    lifts = np.diff(np.searchsorted(ups, places, side="right"), prepend=0) > 0
    before = np.append(False, is_down[:-1])
    return np.where(is_down, np.where(before & ~lifts, HELD, RENEWED), UP)


def _filled(time: Float64Array) -> Float64Array:
    """Return times in order, with unknown ones interpolated between their neighbours."""
    known = np.flatnonzero(~np.isnan(time))
    if not len(known):
        return np.arange(len(time), dtype=np.float64)
    return np.maximum.accumulate(np.interp(np.arange(len(time)), known, time[known]))


def perform(score: Score, expression: Expression, bpm: float | None = None) -> Performance:
    """Return the score, played with an expression that is known everywhere.

    The performance has exactly the notes of the score. ``bpm`` is the mean tempo in quarter notes
    per minute; without it the performance lasts as long as written.
    """
    time = _times(score, expression.tempo, bpm)
    before = np.diff(time, prepend=time[0] - 1.0)
    after = np.diff(time, append=time[-1] + 1.0)
    timing = np.clip(expression.timing, -_ROOM * before[score.chord], _ROOM * after[score.chord])
    warp = _warp(score.chord_seconds, time)
    start = time[score.chord] + timing
    written = warp(score.clock.seconds(score.onset + score.duration)) - time[score.chord]
    end = start + written * 2.0**expression.articulation
    velocity = np.clip(np.rint(MEAN_VELOCITY + expression.velocity), 1, 127)
    pedals = _pedals(time, expression.pedal, float(end.max()))
    return _assembled(score, warp, start, end, velocity, pedals, _tempos(score, time))


def _times(score: Score, tempo: Float64Array, bpm: float | None) -> Float64Array:
    """Return when each chord is played, in seconds; ``(C,)``."""
    seconds = score.chord_seconds
    steps = np.diff(seconds) * np.exp(tempo[:-1])
    played, written = float(steps.sum()), float(seconds[-1] - seconds[0])
    if bpm is not None:
        written = (score.chord_onset[-1] - score.chord_onset[0]) * 60 / bpm
    scale = written / played if played else 1.0
    begin = seconds[0] if bpm is None else score.chord_onset[0] * 60 / bpm
    times: Float64Array = begin + np.append(0.0, np.cumsum(steps * scale))
    return times


def _tempos(score: Score, time: Float64Array) -> tuple[Tempo, ...]:
    """Return the tempo from each chord to the next, and before the first one."""
    onset = score.chord_onset
    if time[0] > 0 and onset[0] > 0:
        time, onset = np.append(0.0, time), np.append(0.0, onset)
    bpm = 60 * np.diff(onset) / np.maximum(np.diff(time), 1e-3)
    tempos = tuple(Tempo(float(t), float(b)) for t, b in zip(time, bpm, strict=False))
    return tempos or score.written.tempos[:1]


def _assembled(
    score: Score,
    warp: Callable[[Float64Array], Float64Array],
    start: Float64Array,
    end: Float64Array,
    velocity: Float64Array,
    pedals: tuple[Float64Array, IntArray],
    tempos: tuple[Tempo, ...],
) -> Performance:
    """Return the written notes with new times and velocities, and with a pedal for each part.

    Drums and controllers follow the tempo, and so do the tempos of the file, so that its bars are
    those of the score.
    """
    written = score.written
    starts = np.maximum(warp(written.start), 0.0)
    ends = warp(written.end)
    velocities = written.velocity.astype(np.float64)
    starts[score.of_note] = np.maximum(start, 0.0)
    ends[score.of_note] = end
    velocities[score.of_note] = velocity
    voice = written.part.astype(np.int64) * NUM_PITCHES + written.pitch
    starts = _in_turn(starts, warp(written.start), voice)
    ends = np.maximum(ends, starts + _SHORTEST)
    order = np.lexsort((written.pitch, starts))
    ends[order] = cut_overlaps(starts[order], ends[order], voice[order])
    pitched = [index for index, part in enumerate(written.parts) if not part.is_drum]
    times, values = pedals
    return Performance(
        start=starts,
        end=np.where(ends > starts, ends, starts + _SHORTEST),  # the same note twice
        pitch=written.pitch,
        velocity=velocities.astype(np.uint8),
        part=written.part,
        pedal_time=np.tile(times, len(pitched)),
        pedal_value=np.tile(values, len(pitched)),
        pedal_part=np.repeat(np.array(pitched, np.int32), len(times)),
        control_time=np.maximum(warp(written.control_time), 0.0),
        control_number=written.control_number,
        control_value=written.control_value,
        control_part=written.control_part,
        parts=written.parts,
        tempos=tempos,
        signatures=tuple(
            replace(s, seconds=max(0.0, float(warp(np.array([s.seconds]))[0])))
            for s in written.signatures
        ),
    )


def _in_turn(starts: Float64Array, unmoved: Float64Array, voice: IntArray) -> Float64Array:
    """Return when notes (N,) begin: later if they would begin too soon after one of their voice.

    Too soon is within :data:`_SHORTEST`, or less where they are no further apart ``unmoved``.
    """
    result = starts.copy()
    for each in np.unique(voice):
        same = np.flatnonzero(voice == each)
        least = np.cumsum(np.clip(np.diff(unmoved[same], prepend=unmoved[same[0]]), 0.0, _SHORTEST))
        earliest = np.maximum.accumulate(starts[same] - least) + least
        result[same] = np.where(earliest > starts[same] + 1e-9, earliest, starts[same])
    return result


def _pedals(time: Float64Array, pedal: Float64Array, end: float) -> tuple[Float64Array, IntArray]:
    """Return the times and the values of the pedal that is up, held or renewed at each chord."""
    after = np.append(time[1:], max(end, time[-1] + 1.0))
    press = time + np.minimum(_PEDAL_DELAY, (after - time) / 2 * _PEDAL_PLACE)
    was_down = np.append(False, pedal[:-1] != UP)
    events: list[tuple[float, int]] = []
    for at, down_at, state, before in zip(time, press, pedal, was_down, strict=True):
        renewed = state == RENEWED or (state == HELD and not before)
        if before and (renewed or state == UP):
            events.append((max(at, 0.0), 0))
        if renewed:
            events.append((max(down_at, 0.0), 127))
    if len(pedal) and pedal[-1] != UP:
        events.append((max(end, float(after[-1])), 0))
    times, values = zip(*events, strict=True) if events else ((), ())
    return np.array(times, np.float64), np.array(values, np.int64)
