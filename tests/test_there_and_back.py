"""What is read is written again: compared event by event, as a player would hear it."""

from __future__ import annotations

import os
import random
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from midirnn.errors import MidiFileError
from midirnn.midifile import SUFFIXES, midi_bytes, read_midi
from midirnn.performance import Performance
from tests import midi_bytes as smf
from tests.midi_bytes import midi, note_off, note_on, pedal, program, tempo, track

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"
EVERY_FILE = "MIDIRNN_EVERY_FILE"
"""Set this environment variable to try every file of the shared data, not a sample."""

TICK = 60 / 120 / 960


def heard(performance: Performance) -> dict[tuple[object, ...], list[float]]:
    """When a player hears what: each note-on, note-off, pedal and controller with its sound.

    Nothing in it depends on how parts are numbered or which channels they are on.
    """
    times: dict[tuple[object, ...], list[float]] = defaultdict(list)
    for index, part in enumerate(performance.parts):
        own = performance.select(performance.part == index)
        if not len(own):
            continue
        sound = (part.is_drum, part.bank, part.program)
        columns = (own.start, own.pitch, own.velocity)
        for start, pitch, velocity in zip(*(c.tolist() for c in columns), strict=True):
            times["on", *sound, pitch, velocity].append(start)
        if part.is_drum:
            continue
        pedals = performance.pedal_part == index
        columns = (performance.pedal_time[pedals], performance.pedal_value[pedals])
        for time, value in zip(*(c.tolist() for c in columns), strict=True):
            times["pedal", *sound, value].append(time)
        for time, number, value in _controls_at(performance, index):
            times["control", *sound, number, value].append(time)
    return dict(times)


def ends(performance: Performance) -> dict[tuple[object, ...], list[tuple[float, float]]]:
    """The (start, end) of the notes of each sound and pitch, in order."""
    found: dict[tuple[object, ...], list[tuple[float, float]]] = defaultdict(list)
    for note in performance:
        part = performance.parts[note.part]
        found[part.is_drum, part.bank, part.program, note.pitch].append((note.start, note.end))
    return {what: sorted(rows) for what, rows in found.items()}


def _controls_at(performance: Performance, part: int) -> list[tuple[float, int, int]]:
    last = max(performance.duration, float(performance.pedal_time.max(initial=0.0)))
    own = (performance.control_part == part) & (performance.control_time <= last)
    columns = (performance.control_time, performance.control_number, performance.control_value)
    return list(zip(*(column[own].tolist() for column in columns), strict=True))


def tempo_at(performance: Performance, seconds: float) -> float:
    return [t.bpm for t in performance.tempos if t.seconds <= seconds + 1e-6][-1]


def same(before: Performance, after: Performance) -> None:
    """Check that two performances sound the same, to a tick."""
    slowest = min([t.bpm for t in before.tempos] or [120.0])
    tolerance = 1.01 * 60 / slowest / 960
    one, other = heard(before), heard(after)
    assert one.keys() == other.keys()
    for what, times in one.items():
        assert len(times) == len(other[what]), what
        assert np.allclose(sorted(times), sorted(other[what]), rtol=0, atol=tolerance), what
    ends_after = ends(after)
    for what, rows in ends(before).items():
        again = ends_after[what]
        for place, ((start, end), (_, found)) in enumerate(zip(rows, again, strict=True)):
            # Where a pitch is struck while it sounds, a file cannot say which of the two ends.
            others = rows[max(0, place - 8) : place] + rows[place + 1 : place + 9]
            if all(b < start - tolerance or a > end + 2 * tolerance for a, b in others):
                assert abs(found - end) <= 2 * tolerance, (what, start, end, found)
    last = max(before.duration, float(before.pedal_time.max(initial=0.0)))
    for t in before.tempos:
        if t.seconds < last - tolerance:
            bpm = tempo_at(after, t.seconds + tolerance)
            assert bpm == pytest.approx(tempo_at(before, t.seconds + tolerance), rel=1e-4)
    kept = [s for s in before.signatures if s.seconds < last or not s.seconds]
    assert len(kept) == len(after.signatures)


def made_tracks() -> st.SearchStrategy[list[list[bytes]]]:
    """Tracks of any events that a performance holds, on few channels, so that they share them."""
    gaps = st.sampled_from([0, 0, 1, 100, 480])
    channel = st.sampled_from([0, 0, 1])
    pitch, value = st.integers(60, 62), st.integers(0, 127)
    number = st.sampled_from([0, 1, 7, 10, 11, 32, 66, 67, 98, 120, 121, 123])
    kinds = st.one_of(
        st.builds(note_on, gaps, pitch, value, channel),
        st.builds(note_on, gaps, pitch, st.integers(1, 127), channel),
        st.builds(note_off, gaps, pitch, channel),
        st.builds(program, gaps, st.integers(0, 3), channel),
        st.builds(pedal, gaps, value, channel),
        st.builds(smf.control, gaps, number, value, channel),
        st.builds(lambda g, c, a, b: smf.event(g, 0xE0 | c, a, b), gaps, channel, value, value),
        st.builds(lambda g, c, a: smf.event(g, 0xD0 | c, a), gaps, channel, value),
        st.builds(tempo, gaps, st.integers(200_000, 2_000_000)),
    )
    return st.lists(st.lists(kinds, max_size=25), min_size=1, max_size=3)


@settings(max_examples=60, phases=[Phase.explicit, Phase.generate])
@given(made_tracks())
def test_made_files_come_back(tracks: list[list[bytes]]) -> None:
    before = read_midi(midi(*(track(*events) for events in tracks)), drums=True)
    after = read_midi(midi_bytes(before), drums=True)
    assert read_midi(midi_bytes(after), drums=True) == after
    if not shares_drums(before):
        same(before, after)


def shares_drums(performance: Performance) -> bool:
    """Whether several parts play drums: all are on one channel, so that they become one sound."""
    drums = {part.program for part in performance.parts if part.is_drum}
    return len(drums) > 1 or len(performance.parts) > 16


def shared_files() -> list[Path]:
    files = sorted(path for path in SHARED.rglob("*") if path.suffix.lower() in SUFFIXES)
    return files if EVERY_FILE in os.environ else random.Random(7).sample(files, min(8, len(files)))


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data is absent")
def test_real_files_come_back() -> None:
    failed: list[str] = []
    for path in shared_files():
        try:
            before = read_midi(path, drums=True)
        except MidiFileError:
            continue
        try:
            after = read_midi(midi_bytes(before), drums=True)
            if not shares_drums(before):
                same(before, after)
        except (AssertionError, MidiFileError) as error:
            failed.append(f"{path.relative_to(SHARED)}: {str(error).splitlines()[0]}")
    assert failed == []
