"""Sound files: as loud as they should be, as long as the music, and whole or not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from midirnn.audio import rendering
from midirnn.audio.rendering import HIGHEST_PEAK, LOUDNESS, limited, normalized, render, write_sound
from midirnn.audio.synthesizer import SAMPLE_RATE, load_fluidsynth
from midirnn.errors import MidirnnError, OptionError
from midirnn.performance import Part, Performance

pyloudnorm = pytest.importorskip("pyloudnorm")
soundfile = pytest.importorskip("soundfile")
try:
    load_fluidsynth()
except MidirnnError as error:
    pytest.skip(str(error), allow_module_level=True)


def chords(velocity: int, seconds: float = 2.0, channel: int = 0) -> Performance:
    """Three-note chords, two a second."""
    starts = np.repeat(np.arange(0, seconds, 0.5), 3)
    return Performance(
        start=starts,
        end=starts + 0.4,
        pitch=np.tile([48, 64, 67], len(starts) // 3),
        velocity=np.full(len(starts), velocity),
        part=np.zeros(len(starts), np.int32),
        parts=(Part(channel=channel),),
    )


@pytest.mark.parametrize("velocity", [5, 60, 127])
def test_soft_and_loud_music_come_out_equally_loud_and_undistorted(velocity: int) -> None:
    samples = render(chords(velocity))
    assert pyloudnorm.Meter(SAMPLE_RATE).integrated_loudness(samples) == pytest.approx(
        LOUDNESS, abs=0.5
    )
    assert np.abs(samples).max() <= HIGHEST_PEAK + 1e-6


def test_it_lasts_as_long_as_the_music_and_the_notes_die_away() -> None:
    samples = render(chords(80))
    assert len(samples) / SAMPLE_RATE == pytest.approx(1.9 + rendering.TAIL_SECONDS, abs=0.02)
    level = np.sqrt((samples[-SAMPLE_RATE // 10 :] ** 2).mean())
    assert level < np.sqrt((samples[: SAMPLE_RATE // 2] ** 2).mean()) / 20


def test_drums_sound_too() -> None:
    drums, piano = (render(chords(80, channel=channel)) for channel in (9, 0))
    assert np.abs(drums - piano).max() > 0.1


def test_peaks_are_turned_down_and_the_rest_is_left_alone() -> None:
    samples = np.full((SAMPLE_RATE, 2), 0.1)
    samples[1000] = (3.0, -0.5)
    quieter = limited(samples)
    assert np.abs(quieter).max() <= HIGHEST_PEAK + 1e-12
    np.testing.assert_array_equal(quieter[5000:], samples[5000:])
    assert quieter[1000, 0] / quieter[1000, 1] == pytest.approx(-6.0)  # both sides alike


def test_silence_stays_silent() -> None:
    silence = np.zeros((SAMPLE_RATE, 2), np.float32)
    assert not normalized(silence).any()


def test_a_performance_without_notes_is_refused() -> None:
    with pytest.raises(OptionError, match="has no notes"):
        render(Performance())


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".WAV"])
def test_each_format_can_be_read_again(tmp_path: Path, suffix: str) -> None:
    samples = render(chords(80, 1.0))
    path = tmp_path / f"a{suffix}"
    write_sound(samples, path)
    read, rate = soundfile.read(path)
    assert rate == SAMPLE_RATE
    assert abs(len(read) - len(samples)) < 5000  # MP3 has whole frames
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_other_formats_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"must end in \.wav, \.flac, \.mp3"):
        write_sound(np.zeros((4, 2), np.float32), tmp_path / "a.ogg")
    with pytest.raises(OptionError, match=r"a\.wav cannot be written"):
        (tmp_path / "a.wav").mkdir()
        write_sound(np.zeros((4, 2), np.float32), tmp_path / "a.wav")
