"""Reading scores from files: MIDI, and MusicXML with music21."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from midirnn.errors import MidiFileError, MissingExtraError, ScoreError
from midirnn.files import reason_of
from midirnn.midifile import SUFFIXES, read_midi
from midirnn.parts import DENOMINATORS, MAX_SHARPS
from midirnn.performance import (
    KeySignature,
    Part,
    Performance,
    Signature,
    Tempo,
    TimeSignature,
)
from midirnn.scores.marks import articulation_of, mark_velocities
from midirnn.scores.score import Meter, QuarterClock, Score

if TYPE_CHECKING:
    from music21.stream import Score as Notation

XML_SUFFIXES = (".musicxml", ".mxl", ".xml")
SCORE_SUFFIXES = (*SUFFIXES, *XML_SUFFIXES)

MAX_NOTES = 100_000
"""A score with more notes is refused: it would last a day."""

GRACE = 0.125
"""Duration of each grace note before its main note, in quarter notes."""

_DEFAULT_BPM = 120.0
_STAVES = 2
_CHANNELS = [channel for channel in range(16) if channel != 9]


def read_score(source: str | os.PathLike[str] | bytes) -> Score:
    """Read a score from a MIDI file (a path, or its bytes) or a MusicXML file.

    In MIDI all tracks are read, and drums are kept separately from the notes. In MusicXML repeats
    are played, tied notes are one note, and grace notes come before their main note. Raises
    :class:`ScoreError` for a file that cannot be read or that has no notes to play, and
    :class:`MissingExtraError` if music21 is needed and not installed.
    """
    name = "standard input" if isinstance(source, bytes) else os.fspath(source)
    if not isinstance(source, bytes) and Path(source).suffix.lower() in XML_SUFFIXES:
        score = _read_xml(Path(source), name)
    else:
        try:
            score = Score.from_performance(read_midi(source, drums=True))
        except MidiFileError as error:
            raise ScoreError(f"{name}: {error.reason}") from error
    check_score(score, name)
    return score


def check_score(score: Score, name: str) -> None:
    """Raise :class:`ScoreError` if there are no notes, or too many."""
    if not len(score):
        only = "only drums" if len(score.written) else "no notes"
        raise ScoreError(f"{name} has {only}; a score for humanize needs notes with a pitch")
    if len(score) > MAX_NOTES:
        raise ScoreError(f"{name} has {len(score):,} notes; at most {MAX_NOTES:,} can be played")


@dataclass(frozen=True)
class _Written:
    """A note of a MusicXML file, in quarter notes."""

    onset: float
    duration: float
    pitch: int
    velocity: int
    louder: float
    part: int


def _read_xml(path: Path, name: str) -> Score:
    """Return the score in a MusicXML file."""
    notation = _parse(path, name)
    try:
        for group in _groups(notation.parts):
            mark_velocities(group)
    except Exception as error:  # music21 raises many kinds for a file that is not quite MusicXML
        raise ScoreError(f"{name} cannot be read ({reason_of(error)})") from error
    try:
        parts = [part.expandRepeats() for part in notation.parts]
    except Exception:  # inconsistent repeats: play the bars as written
        parts = list(notation.parts)
    try:
        notes = [note for index, part in enumerate(parts) for note in _notes(part, index)]
        meters, keys, tempos = _meters(parts), _keys(parts), _tempos(parts)
    except Exception as error:  # music21 raises many kinds for a file that is not quite MusicXML
        raise ScoreError(f"{name} cannot be read ({reason_of(error)})") from error
    clock = QuarterClock(tempos)
    onsets = np.array([note.onset for note in notes])
    ends = onsets + np.array([note.duration for note in notes])
    written = Performance(
        start=clock.seconds(onsets) if notes else onsets,
        end=clock.seconds(ends) if notes else ends,
        pitch=np.array([note.pitch for note in notes], np.uint8),
        velocity=np.array([note.velocity for note in notes], np.uint8),
        part=np.array([note.part for note in notes], np.int32),
        parts=tuple(
            Part(0, _CHANNELS[index % len(_CHANNELS)], part.partName or "")
            for index, part in enumerate(notation.parts)
        )
        or (Part(),),
        tempos=tempos,
        signatures=_signatures(meters, keys, clock),
    )
    louder = np.array([note.louder for note in notes])
    return Score.from_performance(written).with_notation(meters, louder)


def _parse(path: Path, name: str) -> Notation:
    """Return what music21 reads in a file."""
    if not path.is_file():
        raise ScoreError(
            f"{name}: " + ("is a folder" if path.is_dir() else "there is no such file")
        )
    try:
        from music21 import converter, stream
    except ModuleNotFoundError as error:
        raise MissingExtraError("music21", "scores", "reading MusicXML") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            notation = converter.parse(path, format="musicxml", forceSource=True)
    except Exception as error:  # XML errors, zip errors, and many kinds from music21
        raise ScoreError(f"{name} is not a MusicXML file ({reason_of(error)})") from error
    if not isinstance(notation, stream.Score):
        raise ScoreError(f"{name} holds several works; give a MusicXML file with one")
    return notation


def _notes(part: Any, index: int) -> Iterator[_Written]:
    """Yield the notes of a part, with grace notes before their main note."""
    from music21 import note as notes

    graces: list[list[_Written]] = []  # one list per stem
    part.stripTies(inPlace=True)
    for element in part.flatten().notes:
        written = [] if isinstance(element, notes.Unpitched) else _of_stem(element, index)
        if not written:
            continue
        if element.duration.isGrace:
            graces.append(written)
            continue
        onset = written[0].onset
        yield from _before(onset, [g for g in graces if g[0].onset >= onset - 1e-6])
        graces.clear()
        yield from written
    for written in graces:  # after the last note
        yield from (replace(note, duration=GRACE) for note in written)


def _of_stem(element: Any, part: int) -> list[_Written]:
    """Return the notes in a note or chord of music21."""
    _, louder, shorter = articulation_of(element)
    onset, duration = float(element.offset), float(element.quarterLength) * shorter
    velocity = int(element.volume.velocity)
    return [
        _Written(onset, duration, pitch.midi, velocity, louder, part) for pitch in element.pitches
    ]


def _before(onset: float, graces: list[list[_Written]]) -> Iterator[_Written]:
    """Yield grace notes, so that the last one ends where the main note begins."""
    length = min(GRACE, onset / len(graces)) if graces else 0.0
    for number, written in enumerate(graces):
        begin = onset - (len(graces) - number) * length
        for note in written:
            yield replace(note, onset=begin, duration=max(length, GRACE / 4))


def _meters(parts: list[Any]) -> tuple[Meter, ...]:
    """Return the metres of the first part; the first begins at the first whole bar."""
    from music21 import meter

    if not parts:
        return (Meter(0.0),)
    flat = parts[0].flatten()
    found = {
        float(s.offset): Meter(float(s.offset), s.numerator, s.denominator)
        for s in flat.getElementsByClass(meter.TimeSignature)
    }
    found.setdefault(0.0, Meter(0.0))
    first_bar = next(iter(parts[0].getElementsByClass("Measure")), None)
    missing = float(first_bar.paddingLeft) if first_bar is not None else 0.0
    first, *rest = (found[onset] for onset in sorted(found))
    pickup = first.bar - missing if 0 < missing < first.bar else 0.0
    return (Meter(first.onset + pickup, first.numerator, first.denominator), *rest)


def _keys(parts: list[Any]) -> dict[float, tuple[int, bool]]:
    """Return the keys of the first part by onset: how many sharps, and whether it is minor."""
    from music21 import key

    if not parts:
        return {}
    found = parts[0].flatten().getElementsByClass(key.KeySignature)
    return {
        float(each.offset): (int(each.sharps), getattr(each, "mode", "") == "minor")
        for each in found
        if each.sharps is not None and abs(each.sharps) <= MAX_SHARPS  # None: no circle of fifths
    }


def _signatures(
    meters: tuple[Meter, ...], keys: dict[float, tuple[int, bool]], clock: QuarterClock
) -> tuple[Signature, ...]:
    """Return the metres that a MIDI file can hold and the keys, in order of time."""
    times = clock.seconds(np.array([*(meter.onset for meter in meters), *keys])).tolist()
    found: list[Signature] = [
        TimeSignature(seconds, meter.numerator, meter.denominator)
        for seconds, meter in zip(times, meters, strict=False)
        if meter.denominator in DENOMINATORS
    ]
    found += [
        KeySignature(seconds, *each)
        for seconds, each in zip(times[len(meters) :], keys.values(), strict=True)
    ]
    return tuple(sorted(found, key=lambda signature: signature.seconds))


def _groups(parts: Iterable[Any]) -> list[list[Any]]:
    """Return the parts that share their dynamics: the staves of one instrument, or of two parts."""
    every = list(parts)
    if len(every) <= _STAVES:
        return [every]
    groups: dict[str, list[Any]] = {}
    for index, part in enumerate(every):
        instrument, staff, _ = str(part.id).partition("-Staff")
        groups.setdefault(instrument if staff else str(index), []).append(part)
    return list(groups.values())


def _tempos(parts: list[Any]) -> tuple[Tempo, ...]:
    """Return the tempos that are written in any part, 120 quarter notes a minute before them."""
    from music21 import tempo

    marks = {
        float(mark.offset): float(bpm)
        for part in reversed(parts)
        for mark in part.flatten().getElementsByClass(tempo.MetronomeMark)
        if (bpm := mark.getQuarterBPM())
    }
    marks = {0.0: next(iter(marks.values()), _DEFAULT_BPM)} | dict(sorted(marks.items()))
    tempos: list[Tempo] = []
    seconds, before = 0.0, 0.0
    for onset, bpm in sorted(marks.items()):
        seconds += (onset - before) * 60 / tempos[-1].bpm if tempos else 0.0
        tempos.append(Tempo(seconds, bpm))
        before = onset
    return tuple(tempos)
