"""Controllers, pitch bend and banks in MIDI files; and how much memory a large file takes."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pretty_midi
import pytest

from midirnn.codecs import PerformanceCodec
from midirnn.errors import MidiFileError, OptionError
from midirnn.midievents import parse
from midirnn.midifile import (
    from_pretty_midi,
    midi_bytes,
    pairing,
    read_midi,
    reading,
    to_pretty_midi,
)
from midirnn.performance import CHANNEL_PRESSURE, PITCH_BEND, Part, Performance
from midirnn.sampling.sampler import Sampler
from tests.midi_bytes import (
    control,
    event,
    meta,
    midi,
    note_off,
    note_on,
    pedal,
    program,
    tempo,
    track,
)
from tests.sampling.continuing import continue_primer
from tests.sampling.mock_engine import MockEngine

SECOND = 960
NOTE = (note_on(0, 60), note_off(SECOND, 60))


def controls(performance: Performance) -> list[tuple[float, int, int, int]]:
    """(time, number, value, part) of each."""
    names = ("control_time", "control_number", "control_value", "control_part")
    return list(zip(*(getattr(performance, name).tolist() for name in names), strict=True))


class TestReadingAndWriting:
    def test_controllers_bend_and_pressure_are_kept(self) -> None:
        events = (
            control(0, 7, 90),
            event(480, 0xE0, 0, 0x60),
            event(0, 0xD0, 33),
            control(480, 11, 40),
        )
        performance = read_midi(midi(track(*events, *NOTE)))
        expected = [
            (0.0, 7, 90, 0),
            (0.5, PITCH_BEND, 4096, 0),
            (0.5, CHANNEL_PRESSURE, 33, 0),
            (1.0, 11, 40, 0),
        ]
        assert controls(performance) == expected
        assert controls(read_midi(midi_bytes(performance))) == expected

    def test_those_of_another_track_of_the_channel_count(self) -> None:
        performance = read_midi(midi(track(control(480, 7, 50)), track(*NOTE)))
        assert controls(performance) == [(0.5, 7, 50, 0)]

    def test_a_reset_brings_back_what_was_moved_and_leaves_volume_and_pan(self) -> None:
        moved = (
            control(0, 7, 20),
            control(0, 11, 20),
            control(0, 1, 0),
            event(0, 0xE0, 1, 2),
            control(SECOND, 121),
            control(0, 121),
        )
        performance = read_midi(midi(track(*moved, *NOTE)))
        assert [row[:3] for row in controls(performance) if row[0] == 1.0] == [
            (1.0, 11, 127),
            (1.0, PITCH_BEND, 0),
        ]

    def test_a_bank_belongs_to_the_programs_after_it(self) -> None:
        data = midi(
            track(
                control(0, 0, 1), program(0, 5), *NOTE, control(0, 32, 3), *NOTE, program(0, 5),
                *NOTE,
            )
        )  # fmt: skip
        performance = read_midi(data)
        assert performance.parts == (Part(5, 0, "", 128), Part(5, 0, "", 131))
        again = read_midi(midi_bytes(performance))
        assert [part.bank for part in again.parts] == [128, 131]
        assert controls(performance) == []

    def test_the_last_value_before_a_passage_is_kept(self) -> None:
        performance = Performance.from_notes([(0.0, 4.0, 60, 80), (5.0, 6.0, 62, 80)]).replace(
            control_time=[0.0, 1.0, 2.0, 5.5],
            control_number=[7, 7, PITCH_BEND, 7],
            control_value=[10, 20, -8192, 30],
            control_part=[0] * 4,
        )
        cut = performance.slice(5.0, 6.0)
        assert controls(cut) == [(0.0, 7, 20, 0), (0.0, PITCH_BEND, -8192, 0), (0.5, 7, 30, 0)]

    @pytest.mark.parametrize(
        ("number", "value"), [(7, 128), (7, -1), (PITCH_BEND, 8192), (130, 0), (300, 0)]
    )
    def test_values_that_no_message_has_are_refused(self, number: int, value: int) -> None:
        with pytest.raises(OptionError, match="allowed are"):
            Performance(
                control_time=[0.0], control_number=[number], control_value=[value], control_part=[0]
            )

    def test_pretty_midi_has_them_too(self) -> None:
        source = pretty_midi.PrettyMIDI()
        source.instruments.append(pretty_midi.Instrument(3))
        source.instruments[0].notes.append(pretty_midi.Note(64, 60, 0.0, 1.0))
        source.instruments[0].control_changes.append(pretty_midi.ControlChange(11, 7, 0.5))
        source.instruments[0].pitch_bends.append(pretty_midi.PitchBend(-100, 0.25))
        performance = from_pretty_midi(source)
        assert controls(performance) == [(0.25, PITCH_BEND, -100, 0), (0.5, 11, 7, 0)]
        assert controls(from_pretty_midi(to_pretty_midi(performance))) == controls(performance)


class TestPrimer:
    def test_its_controllers_stay_and_the_new_part_has_its_mix(self) -> None:
        primer = read_midi(
            midi(track(control(0, 7, 70), control(0, 11, 5), *NOTE, control(0, 7, 9), *NOTE))
        )
        codec = PerformanceCodec()
        made = continue_primer(Sampler(MockEngine(codec, 1), codec, seed=1), 1.0, primer)
        assert controls(made.performance) == [
            (0.0, 7, 70, 0),
            (0.0, 11, 5, 0),
            (0.0, 7, 70, 1),
            (1.0, 7, 9, 0),
        ]
        assert controls(made.continuation) == [(0.0, 7, 70, 0)]


class TestLargeFiles:
    @pytest.mark.parametrize("kind", ["notes", "one key", "held", "pedal", "volume", "bends"])
    def test_memory_grows_by_about_ten_bytes_a_byte(
        self, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pairing, "CHUNK", 5000)
        monkeypatch.setattr(reading, "CHUNK", 5000)
        rng = np.random.default_rng(1)
        keys = {"notes": rng.integers(0, 128, 50_000), "one key": np.full(50_000, 60)}
        of_kind = {
            "held": b"\1\x3c\x40" * 50_000,
            "pedal": b"\1\xb0\x40\x7f" + b"\1\x40\0\1\x40\x7f" * 50_000,
            "volume": b"\1\xb0\7\x40" + b"\1\7\x40\1\7\x41" * 50_000,
            "bends": b"\1\xe0\0\x40\1\xd0\x40" * 50_000,
        }
        body = of_kind.get(kind) or b"".join(
            bytes([1, key, 64, 1, key, 0]) for key in keys[kind].tolist()
        )
        data = midi(track(note_on(0, 60), body))
        tracemalloc.start()
        performance = read_midi(data)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        changes = len(performance.pedal_time) + len(performance.control_time)
        assert len(performance) >= 50_000 or changes >= 100_000
        most = {"held": 20, "pedal": 15, "volume": 17, "bends": 17}.get(kind, 11)
        assert peak < most * len(data) + 3_000_000

    @pytest.mark.parametrize(
        "change", [tempo(1, 500_000), meta(1, 0x58, b"\4\2\x18\x08"), meta(1, 0x59, b"\0\0")]
    )
    @pytest.mark.parametrize("tracks", [1, 3])
    def test_a_file_of_nothing_but_tempos_or_signatures_is_damaged(
        self, change: bytes, tracks: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(parse, "MOST_CHANGES", 3000)
        enough = midi(*[track(change * (3000 // tracks), *NOTE)] * tracks)
        assert len(read_midi(enough)) == tracks
        data = midi(*[track(change * (3000 // tracks + 1), *NOTE)] * tracks)
        with pytest.raises(MidiFileError, match=r"over 3,000 tempo changes and signatures"):
            read_midi(data)
        with pytest.warns(UserWarning, match="over 3,000"):
            recovered = read_midi(data, recover=True)
        assert len(recovered.tempos) + len(recovered.signatures) <= 3001

    def test_chunks_change_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        rng = np.random.default_rng(2)
        rows = []
        for _ in range(2000):
            make = (note_on, note_off, program, pedal, control)[
                rng.choice(5, p=[0.5, 0.4, 0.03, 0.05, 0.02])
            ]
            number = 123 if make is control else int(rng.integers(0, 4))
            rows.append(make(int(rng.integers(0, 3)), number))
        data = midi(track(*rows))
        whole = read_midi(data)
        for chunk in (1, 7, 100):
            monkeypatch.setattr(pairing, "CHUNK", chunk)
            monkeypatch.setattr(reading, "CHUNK", chunk)
            assert read_midi(data) == whole

    def test_a_track_of_too_many_ticks_is_damaged(self) -> None:
        waits = b"\xff\xff\xff\x7f\xff\x01\x00" * 9000
        with pytest.raises(MidiFileError, match=r"lasts over 2,199,023,255,551 ticks"):
            read_midi(midi(track(waits, *NOTE)))
