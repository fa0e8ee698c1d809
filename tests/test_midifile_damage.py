from __future__ import annotations

import errno
import os
import pickle
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midirnn.errors import MidiFileError
from midirnn.midifile import read_midi, write_midi
from midirnn.performance import Performance
from tests.midi_bytes import (
    chunk,
    event,
    header,
    meta,
    midi,
    note_off,
    note_on,
    pedal,
    program,
    rmid,
    smpte,
    sysex,
    tempo,
    track,
)

PERFORMANCE = Performance.from_notes([(0.0, 1.0, 60, 64)])

WHOLE = midi(
    track(meta(0, 0x03, b"Conductor"), tempo(0, 500_000), tempo(480, 250_000)),
    track(
        program(0, 5),
        pedal(0, 127),
        note_on(0, 60),
        event(0, 64, 64),
        sysex(200, b"\x7e\x7f\x09\x01\xf7"),
        event(0, 0xE0, 0, 64),
        note_off(480, 60),
        event(100, 64, 0),
        note_on(0, 67),
    ),
)
"""A small file with something of everything."""


def refusal(source: str | Path | bytes) -> MidiFileError:
    """The error that reading a source raises, once it is seen to be a good one."""
    with pytest.raises(MidiFileError) as caught:
        read_midi(source)
    name = "<bytes>" if isinstance(source, bytes) else str(source)
    error = caught.value
    assert str(error).startswith(f"{name}: ")
    assert len(str(error).splitlines()) == 1
    assert (error.source, len(error.reason) > 5) == (name, True)
    return error


class TestBytesThatAreNoMidiFile:
    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (b"", "is empty (0 bytes)"),
            (b"\0" * 100, "is not a MIDI file (it does not begin with 'MThd')"),
            (b"RIFF\x10\0\0\0WAVEfmt ", "is not a MIDI file (it does not begin with 'MThd')"),
            (b"<!DOCTYPE html>", "is not a MIDI file (it does not begin with 'MThd')"),
            (b"MThd\0\0\0\6\0\1", "is cut off in its header (10 of 14 bytes)"),
            (chunk(b"MThd", b"\0\0\0\0") + bytes(9), "has a header of 4 bytes"),
            (header(7, 1, 480), "has MIDI file format 7; known are 0, 1 and 2"),
            (header(1, 1, 0), "has a time division of 0 ticks per quarter note"),
            (header(1, 1, smpte(26, 40)), "has an SMPTE division of 26 frames per second"),
            (header(1, 1, smpte(25, 0)), "and 0 ticks per frame"),
            (header(1, 1, 480), "is cut off: 0 of 1 tracks are there"),
            (header(1, 65_535, 480) + track() * 3, "is cut off: 3 of 65535 tracks are there"),
            (header(1, 1, 480) + track() + track()[:9], "is cut off: a chunk of 4 bytes has 1"),
            (header(1, 1, 480) + track() + track()[:5], "is cut off: 1 of 1 tracks are whole"),
            (b"RIFF\x10\0\0\0RMIDDISP\4\0\0\0text", "has no chunk 'data' in its RIFF wrapper"),
            (header(1, 1, 480) + b"MTrk\xff\xff\xff\xff\0", "a chunk of 4294967295 bytes has 1"),
            (b"MThd\xff\xff\xff\xff\0\1\0\1\1\xe0", "is cut off: 0 of 1 tracks are there"),
        ],
    )
    def test_the_reason_is_named(self, data: bytes, reason: str, tmp_path: Path) -> None:
        path = tmp_path / "damaged.mid"
        path.write_bytes(data)
        assert reason in refusal(path).reason
        assert reason in refusal(data).reason

    @pytest.mark.parametrize(
        ("events", "reason"),
        [
            (event(0, 60, 64), "data byte 0x3C where a status byte must be"),
            (event(0, 0x90, 60, 200), "data byte over 127"),
            (event(0, 0xC0, 200), "data byte over 127"),
            (event(0, 0xF1, 0), "status byte 0xF1, which no file may hold"),
            (event(0, 0xFE), "status byte 0xFE, which no file may hold"),
            (b"\xff\xff\xff\xff\x7f\x90\x3c\x40", "delta time over 268435455 ticks"),
            (b"\x00\xff\x01\xff\xff\xff\xff\x7f", "message of over 268435455 bytes"),
            (b"\x00\xf0\xff\xff\xff\xff\x7f", "message of over 268435455 bytes"),
            (b"\x00\xff\x01\xff\xff\xff\x7f", "is cut off inside a message of track 1"),
            (b"\x00\xf0\x7f", "is cut off inside a message of track 1"),
        ],
    )
    def test_the_reason_and_the_track_are_named(self, events: bytes, reason: str) -> None:
        error = refusal(midi(track(), track(events)))
        assert reason in error.reason
        assert "track 1" in error.reason

    @pytest.mark.parametrize(
        "events",
        [
            (note_on(0, 60), note_off(0x0FFFFFFF, 60)),
            (note_on(0, 60), meta(0x0FFFFFFF, 0x2F)),
            (note_on(0x0FFFFFFF, 60), note_off(1, 60)),
            (note_on(0, 60), note_off(1, 60), pedal(0x0FFFFFFF, 127)),
            (note_on(0, 36, channel=9), note_off(0x0FFFFFFF, 36, channel=9)),
            (tempo(0, 0xFFFFFF), note_on(0, 60), note_off(9_000_000, 60)),
        ],
    )
    def test_a_file_of_days_is_taken_for_damaged(self, events: tuple[bytes, ...]) -> None:
        assert "hours, over 24: it is damaged" in refusal(midi(track(*events), division=480)).reason

    def test_a_file_of_a_day_is_not(self) -> None:
        data = midi(track(note_on(0, 60), note_off(24 * 3600 * 960, 60)))
        assert read_midi(data).duration == 24 * 3600

    def test_a_tempo_of_no_time_at_all_is_damage(self) -> None:
        error = refusal(midi(track(), track(tempo(0, 0), note_on(0, 60), note_off(480, 60))))
        assert error.reason == (
            "is damaged: track 1 holds a tempo of 0 microseconds per quarter note"
        )

    def test_megabytes_of_one_number_are_refused_at_once(self) -> None:
        begun = time.process_time()
        refusal(midi(track(b"\xff" * 4_000_000)))
        refusal(midi(track(b"\x00\xff\x01" + b"\xff" * 4_000_000)))
        assert time.process_time() - begun < 2.0

    def test_an_error_can_be_sent_to_another_process(self) -> None:
        error = pickle.loads(pickle.dumps(refusal(b"")))
        assert (type(error), error.source, error.reason) == (
            MidiFileError,
            "<bytes>",
            "is empty (0 bytes)",
        )


class TestDamage:
    def test_the_whole_file_is_good(self) -> None:
        performance = read_midi(WHOLE)
        assert performance.pitch.tolist() == [60, 64]
        assert len(performance.pedal_time) == 1

    @pytest.mark.parametrize("file_format", [0, 1, 2])
    def test_a_file_cut_off_anywhere_is_refused(self, tmp_path: Path, file_format: int) -> None:
        data = WHOLE[:9] + bytes([file_format]) + WHOLE[10:]
        assert len(read_midi(data)) == 2
        path = tmp_path / "cut off.mid"
        for size in range(len(data)):
            path.write_bytes(data[:size])
            refusal(path)

    def test_a_wrapped_file_cut_off_anywhere_is_refused(self) -> None:
        data = rmid(WHOLE)
        assert len(read_midi(data)) == 2
        for size in range(len(data)):
            refusal(data[:size])

    def test_a_track_cut_off_anywhere_is_refused_or_read(self) -> None:
        # Here the chunk says that it is as short as it is: some of these are whole events.
        body = WHOLE[WHOLE.rindex(b"MTrk") + 8 :]
        for size in range(len(body)):
            self.survives(midi(track(body[:size], end=b"")))

    def test_a_file_with_any_byte_changed_is_refused_or_read(self) -> None:
        for position in range(len(WHOLE)):
            for flipped in (0x00, 0x01, 0x7F, 0x80, 0xFF):
                changed = bytes([WHOLE[position] ^ flipped])
                self.survives(WHOLE[:position] + changed + WHOLE[position + 1 :])

    @settings(max_examples=300)
    @given(
        st.lists(
            st.tuples(
                st.integers(0, len(WHOLE)), st.integers(0, 4), st.binary(min_size=0, max_size=4)
            ),
            max_size=6,
        )
    )
    def test_a_file_with_bytes_changed_taken_out_and_put_in_is_refused_or_read(
        self, changes: list[tuple[int, int, bytes]]
    ) -> None:
        data = WHOLE
        for position, taken_out, put_in in changes:
            data = data[:position] + put_in + data[position + taken_out :]
        self.survives(data)

    @settings(max_examples=300)
    @given(st.integers(0, 2), st.integers(0, 0xFFFF), st.lists(st.binary(max_size=80), max_size=3))
    def test_tracks_of_any_bytes_are_refused_or_read(
        self, file_format: int, division: int, bodies: list[bytes]
    ) -> None:
        tracks = (track(body, end=b"") for body in bodies)
        self.survives(midi(*tracks, file_format=file_format, division=division))

    @staticmethod
    def survives(data: bytes) -> None:
        """Read bytes that may be damaged: a performance that makes sense, or a good refusal."""
        try:
            performance = read_midi(data, drums=True)
        except MidiFileError:
            refusal(data)
            return
        assert all(performance.end > performance.start)
        assert all(performance.velocity > 0)
        assert performance.duration <= 24 * 3600
        performance.apply_sustain()


class TestPathsThatCannotBeRead:
    def test_a_missing_file(self, tmp_path: Path) -> None:
        assert refusal(tmp_path / "none.mid").reason == "there is no such file"

    def test_a_missing_folder(self, tmp_path: Path) -> None:
        assert refusal(str(tmp_path / "none" / "none.mid")).reason == "there is no such file"

    def test_a_folder(self, tmp_path: Path) -> None:
        assert refusal(tmp_path).reason == "is a folder, not a MIDI file"

    def test_a_file_taken_for_a_folder(self, tmp_path: Path) -> None:
        (tmp_path / "a.mid").write_bytes(WHOLE)
        path = tmp_path / "a.mid" / "b.mid"
        assert refusal(path).reason == "cannot be read (Not a directory)"

    def test_a_name_that_is_too_long(self, tmp_path: Path) -> None:
        reason = refusal(tmp_path / ("x" * 5000)).reason
        assert reason == "cannot be read (File name too long)"

    def test_a_file_that_is_not_ours(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "a.mid"

        def refuse(_: Path) -> bytes:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

        monkeypatch.setattr(Path, "read_bytes", refuse)
        assert refusal(path).reason == "cannot be read (Permission denied)"

    @pytest.mark.parametrize("name", ["two\nlines", "null\0byte", os.fsdecode(b"\xe9\xff")])
    def test_a_name_that_cannot_be_printed_is_quoted(self, tmp_path: Path, name: str) -> None:
        path = str(tmp_path / name)
        with pytest.raises(MidiFileError) as caught:
            read_midi(path)
        assert str(caught.value).startswith(f"{path!r}: ")
        assert str(caught.value).isprintable()
        assert caught.value.source == path


class TestWritingThatFails:
    @staticmethod
    def reason(path: Path | str) -> str:
        """Why a file cannot be written."""
        with pytest.raises(MidiFileError) as caught:
            write_midi(PERFORMANCE, path)
        assert caught.value.source == str(path)
        assert len(str(caught.value).splitlines()) == 1
        return caught.value.reason

    def test_into_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        path = tmp_path / "file" / "folder" / "a.mid"
        assert self.reason(path) == "cannot be written (Not a directory)"
        assert [file.name for file in tmp_path.iterdir()] == ["file"]

    def test_to_a_folder_that_may_not_be_written_to(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o555)
        try:
            if os.access(tmp_path, os.W_OK):
                pytest.skip("this user may write anywhere")
            assert self.reason(tmp_path / "a.mid") == "cannot be written (Permission denied)"
        finally:
            tmp_path.chmod(0o755)

    def test_onto_a_folder(self, tmp_path: Path) -> None:
        (tmp_path / "a.mid").mkdir()
        assert self.reason(tmp_path / "a.mid") == "cannot be written (Is a directory)"
        assert [file.name for file in tmp_path.iterdir()] == ["a.mid"]

    def test_to_a_name_with_a_null_byte(self, tmp_path: Path) -> None:
        assert "null byte" in self.reason(str(tmp_path / "a\0b.mid"))
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("step", "number"),
        [
            ("replace", errno.ENOSPC),
            ("replace", errno.EROFS),
            ("replace", errno.EACCES),
            ("mkdir", errno.EPERM),
        ],
    )
    def test_leaves_the_old_file_as_it_was_and_no_other(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, number: int
    ) -> None:
        path = tmp_path / "a.mid"
        path.write_bytes(b"the old file")

        def fail(*_: object, **__: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(Path, step, fail)
        assert self.reason(path) == f"cannot be written ({os.strerror(number)})"
        assert path.read_bytes() == b"the old file"
        assert list(tmp_path.iterdir()) == [path]

    def test_because_no_reader_would_take_it(self, tmp_path: Path) -> None:
        path = tmp_path / "a.mid"
        long = Performance.from_notes([(0.0, 1.0, 60, 64), (180_000.0, 180_001.0, 62, 64)])
        with pytest.raises(MidiFileError) as caught:
            write_midi(long, path)
        assert caught.value.reason == "cannot be written (it lasts 50 hours, over 24)"
        assert list(tmp_path.iterdir()) == []

    def test_by_an_interrupt_leaves_no_temporary_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(Path, "replace", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_midi(PERFORMANCE, tmp_path / "a.mid")
        assert list(tmp_path.iterdir()) == []

    def test_not_by_an_older_file_which_is_replaced_whole(self, tmp_path: Path) -> None:
        path = tmp_path / "a.mid"
        path.write_bytes(bytes(100_000))
        write_midi(PERFORMANCE, path)
        assert read_midi(path) == PERFORMANCE
        assert list(tmp_path.iterdir()) == [path]
