"""Notes that are paired and sustained in C++ are those of numpy, to the last bit."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn import (
    MidiFileError,
    Performance,
    PerformanceCodec,
    native,
    performance,
    read_midi,
    sustain,
)
from midirnn.midifile import pair
from tests.midi_bytes import midi, track
from tests.strategies import performances
from tests.test_fuzzing_midi import COUNT, FIRST, mutated
from tests.test_there_and_back import SHARED, made_tracks, shared_files

pytestmark = pytest.mark.skipif(not native.has_compiler(), reason="needs a C++ compiler")

ALWAYS, NEVER = 0, 1 << 60


@contextmanager
def in_cpp_from(count: int) -> Iterator[None]:
    """Use C++ for so many events or notes, and more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native.Library, "is_for", lambda library, here: here >= count)
        yield


def read(data: bytes, count: int) -> tuple[Performance, list[Performance]] | str:
    """The performance, and how long its notes last with the pedal; or why there is none."""
    with in_cpp_from(count), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = read_midi(data, drums=True, recover=True)
        except MidiFileError as error:
            return str(error)
        return found, [found.apply_sustain(as_note_seq=rule) for rule in (False, True)]


@given(made_tracks())
def test_of_made_files(tracks: list[list[bytes]]) -> None:
    data = midi(*(track(*events) for events in tracks))
    assert read(data, ALWAYS) == read(data, NEVER)


def test_of_damaged_files() -> None:
    different = [
        number
        for number in range(FIRST, FIRST + COUNT // 4)
        if read(mutated(number), ALWAYS) != read(mutated(number), NEVER)
    ]
    assert different == []


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data is absent")
def test_of_real_files() -> None:
    different = [
        path
        for path in shared_files()
        if read(path.read_bytes(), ALWAYS) != read(path.read_bytes(), NEVER)
    ]
    assert different == []


@given(performances())
def test_of_any_performance(piece: Performance) -> None:
    codec = PerformanceCodec()
    with in_cpp_from(ALWAYS):
        tokens = codec.encode(piece)
    with in_cpp_from(NEVER):
        assert codec.encode(piece).tolist() == tokens.tolist()


@given(st.data(), st.integers(0, 300))
def test_the_order_of_notes_is_that_of_numpy(data: st.DataObject, count: int) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    start = rng.integers(0, data.draw(st.sampled_from([1, 9, 9999])), count) / 4
    pitch = rng.integers(60, 63, count).astype(np.uint8)
    with in_cpp_from(ALWAYS):
        found = pair.note_order(start, pitch)
    expected = performance.order_of(start, pitch)
    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        assert found.tolist() == expected.tolist()


def test_a_long_track_is_read_without_a_compiler_too(monkeypatch: pytest.MonkeyPatch) -> None:
    data = next(
        d for d in map(mutated, range(FIRST, FIRST + 99)) if not isinstance(read(d, NEVER), str)
    )
    expected = read(data, ALWAYS)
    for module in (pair, sustain):
        monkeypatch.setattr(module.LIBRARY, "get", lambda: None)
    assert read(data, ALWAYS) == expected
