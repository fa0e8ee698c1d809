"""The scan of tracks in C++ gives what the loop in Python gives, or gives up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn import native
from midirnn.errors import MidiFileError
from midirnn.midievents import Track, parse, scan
from midirnn.midievents.scan import LONG_TRACK, scan_track
from tests.midi_bytes import control, event, meta, note_off, note_on, program, sysex, tempo

pytestmark = pytest.mark.skipif(not native.has_compiler(), reason="needs a C++ compiler")

PIECES = [
    note_on(0, 60), event(5, 61, 64), note_off(200, 60), program(16384, 3), control(0, 64, 127),
    event(0, 0xD0, 5), event(0, 0xE0, 1, 2), event(0, 0xA0, 60, 3), tempo(7, 400_000),
    meta(0, 0x03, b"name\0 "), meta(0, 0x58, b"\4\2\x18\x08"), meta(3, 0x59, b"\xfd\1"),
    meta(0, 0x01, b"text" * 40), sysex(0, b"\x7e\xf7"), meta(0, 0x2F), b"\xff", b"\x80", b"\x00",
    meta(0, 0x51, b"\0\0\0"), meta(0, 0x51, b"\1"), b"\x00\xf1", b"\xff\xff\xff\xff\x7f",
]  # fmt: skip


def whole(body: bytes) -> Track | None:
    try:
        return parse._parse_bytes(body, 0, "x")
    except MidiFileError:
        return None


@given(st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=3)), max_size=30))
def test_it_agrees_with_the_loop_in_python_on_any_bytes(pieces: list[bytes]) -> None:
    body = b"".join(pieces)
    expected, scanned = whole(body), scan_track(body)
    if expected is None:
        assert scanned is None or any(m[1] == 0x51 for m in scanned.metas)  # a tempo of 0
        return
    assert scanned is not None
    found = parse._track_of(body, scanned)
    assert np.array_equal(found.events.packed, expected.events.packed)
    assert (found.tempos, found.signatures, found.name, found.last_tick) == (
        expected.tempos,
        expected.signatures,
        expected.name,
        expected.last_tick,
    )


def test_a_tempo_of_no_time_at_all_is_damage_in_a_long_track_too() -> None:
    body = b"".join(note_on(1, 60) for _ in range(LONG_TRACK)) + meta(0, 0x51, b"\0\0\0")
    with pytest.raises(MidiFileError, match="tempo of 0"):
        parse._parse_track(body, 0, "x")


def test_without_a_compiler_the_loop_in_python_reads_long_tracks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = b"".join(note_on(1, 60) for _ in range(LONG_TRACK))
    expected = parse._parse_track(body, 0, "x")
    monkeypatch.setattr(scan.LIBRARY, "get", lambda: None)
    again = parse._parse_track(body, 0, "x")
    assert np.array_equal(again.events.packed, expected.events.packed)
