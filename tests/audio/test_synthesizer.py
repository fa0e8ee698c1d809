"""The built-in synthesizer: what is sent sounds, and what is missing is named."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from midirnn.audio import synthesizer as audio
from midirnn.audio.synthesizer import Synthesizer, find_soundfont, load_fluidsynth
from midirnn.errors import MissingExtraError, OptionError, PortError
from midirnn.live.equipment import free_sound_file


@pytest.fixture
def synthesizer() -> Iterator[Synthesizer]:
    try:
        load_fluidsynth()
    except (MissingExtraError, PortError) as error:
        pytest.skip(str(error))
    with Synthesizer(sounding=False) as opened:
        yield opened


def level(synthesizer: Synthesizer, seconds: float = 0.3) -> float:
    """The root mean square of the next so many seconds, of 1 at full scale."""
    samples = synthesizer.render(seconds) / 32768.0
    return float(np.sqrt(np.mean(samples**2)))


def test_a_note_sounds_until_it_ends(synthesizer: Synthesizer) -> None:
    assert level(synthesizer) < 1e-3
    synthesizer.send((0x90, 60, 100))
    sounding = level(synthesizer)
    assert sounding > 0.01
    synthesizer.send((0x80, 60, 0))
    level(synthesizer, 3.0)
    assert level(synthesizer) < sounding / 20


@pytest.mark.parametrize("end", [(0x90, 60, 0), (0xB0, 120, 0), (0xFF,)])
def test_it_also_ends_by_other_messages(synthesizer: Synthesizer, end: tuple[int, ...]) -> None:
    synthesizer.send((0x90, 60, 100))
    sounding = level(synthesizer)
    synthesizer.send(end)
    level(synthesizer, 3.0)
    assert level(synthesizer) < sounding / 20


def test_the_pedal_holds_a_note(synthesizer: Synthesizer) -> None:
    for message in [(0xB0, 64, 127), (0x90, 60, 100), (0x80, 60, 0)]:
        synthesizer.send(message)
    level(synthesizer, 1.0)
    assert level(synthesizer) > 0.005


@pytest.mark.parametrize(
    ("pitches", "velocity"),
    [((36, 48, 55, 60, 64, 67, 72, 76), 110), (tuple(range(36, 84, 4)), 127)],
)
def test_loud_chords_do_not_clip(
    synthesizer: Synthesizer, pitches: tuple[int, ...], velocity: int
) -> None:
    for _ in range(4):
        for pitch in pitches:
            synthesizer.send((0x90, pitch, velocity))
        assert np.abs(synthesizer.render(0.3)).max() < 32767
        for pitch in pitches:
            synthesizer.send((0x80, pitch, 0))


def test_a_quiet_note_is_as_loud_again_some_seconds_after_a_loud_chord(
    synthesizer: Synthesizer,
) -> None:
    def note() -> float:
        synthesizer.send((0x90, 60, 40))
        found = level(synthesizer)
        synthesizer.send((0x80, 60, 0))
        level(synthesizer, 4.0)
        return found

    before = note()
    for pitch in range(36, 84, 4):
        synthesizer.send((0x90, pitch, 127))
        synthesizer.send((0x80, pitch, 0))
    level(synthesizer, 4.0)
    assert note() == pytest.approx(before, rel=0.1)


def test_music_is_15_decibels_louder_than_at_a_gain_of_0_6(synthesizer: Synthesizer) -> None:
    def loudness(gain: float | None) -> float:
        given = {} if gain is None else {"gain": gain}
        with Synthesizer(sounding=False, **given) as playing:
            found = []
            for pitch in (48, 60, 64, 67, 72, 76, 79):
                playing.send((0x90, pitch, 75))
                found.append(level(playing, 0.15) ** 2)
        return 10 * float(np.log10(np.mean(found)))

    assert loudness(None) - loudness(0.6) >= 15.0


def test_a_bend_raises_the_pitch(synthesizer: Synthesizer) -> None:
    def frequency() -> float:
        synthesizer.send((0x90, 69, 100))
        left = synthesizer.render(1.0)[::2]
        synthesizer.send((0xB0, 120, 0))
        level(synthesizer, 1.0)
        return float(np.fft.rfftfreq(len(left), 1 / audio.SAMPLE_RATE)[_peak(left)])

    plain = frequency()
    synthesizer.send((0xE0, 127, 127))
    assert 1.10 < frequency() / plain < 1.14  # two semitones


def _peak(samples: np.ndarray[tuple[int], np.dtype[np.int16]]) -> int:
    return int(np.argmax(np.abs(np.fft.rfft(samples * np.hanning(len(samples))))))


def test_what_no_synthesizer_plays_is_passed_over_and_nonsense_refused(
    synthesizer: Synthesizer,
) -> None:
    for message in [(0xF8,), (0xA0, 60, 3), (0xD0, 5), (0xF0, 1, 0xF7)]:
        synthesizer.send(message)
    with pytest.raises(PortError, match="not a MIDI message"):
        synthesizer.send((0x90, 60))
    synthesizer.close()
    with pytest.raises(PortError, match="is closed"):
        synthesizer.send((0x90, 60, 100))


def test_a_driver_that_is_not_there_is_named(synthesizer: Synthesizer) -> None:
    with pytest.raises(PortError, match=r"no way to the loudspeakers \(tried trumpet"):
        Synthesizer(driver="trumpet")


def test_a_file_can_be_the_loudspeaker(
    synthesizer: Synthesizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Synthesizer(driver="file") as opened:
        assert opened.driver == "file"
    assert (tmp_path / "fluidsynth.wav").exists()


def test_a_recording_of_the_sound_overwrites_no_file(
    synthesizer: Synthesizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert free_sound_file() == tmp_path / "fluidsynth.wav"
    (tmp_path / "fluidsynth.wav").write_bytes(b"a concert")
    path = free_sound_file()
    with Synthesizer(driver="file", path=path):
        pass
    assert path == tmp_path / "fluidsynth-2.wav"
    assert path.exists()
    assert (tmp_path / "fluidsynth.wav").read_bytes() == b"a concert"


def test_the_gain_makes_it_louder(synthesizer: Synthesizer) -> None:
    levels = []
    for gain in (0.6, 1.2, 2.4):
        with Synthesizer(sounding=False, gain=gain) as sounding:
            sounding.send((0x90, 60, 80))
            levels.append(level(sounding))
    assert levels[1] == pytest.approx(2 * levels[0], rel=0.1)
    assert levels[2] == pytest.approx(4 * levels[0], rel=0.1)


def test_a_font_that_is_wanted_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"there is no SoundFont .*piano\.sf2"):
        find_soundfont(tmp_path / "piano.sf2")


def test_the_best_font_is_found_and_pretty_midis_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audio, "FONT_FOLDERS", (str(tmp_path),))
    assert find_soundfont().name == "TimGM6mb.sf2"
    (tmp_path / "a.sf2").touch()
    assert find_soundfont().name == "a.sf2"
    (tmp_path / "FluidR3_GM.sf2").touch()
    assert find_soundfont().name == "FluidR3_GM.sf2"


def test_without_pyfluidsynth_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'midirnn\[audio\]'"):
        load_fluidsynth()


def test_without_the_library_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "fluidsynth", None)
    with pytest.raises(PortError, match=r"apt-get install fluidsynth .*brew.*choco"):
        load_fluidsynth()
