"""Sound files of performances, rendered by FluidSynth at the loudness of streamed music."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from midirnn.audio.synthesizer import SAMPLE_RATE, Synthesizer
from midirnn.errors import MissingExtraError, OptionError
from midirnn.files import one_line_errors, reason_of, write_file
from midirnn.midifile import from_pretty_midi, is_pretty_midi, midi_bytes, read_midi
from midirnn.performance import Performance

if TYPE_CHECKING:
    from pretty_midi import PrettyMIDI

Samples = npt.NDArray[np.float32]
"""Left and right samples, with full scale at 1; shape ``(N, 2)``."""

FORMATS = {".wav": "WAV", ".flac": "FLAC", ".mp3": "MP3"}
"""libsndfile's name of each file format, by the suffix of the file name."""

LOUDNESS = -16.0
"""LUFS (ITU-R BS.1770), as for music that is streamed to headphones."""

HIGHEST_PEAK = 0.89
"""About -1 dB of full scale, so that decoders of lossy formats do not clip either."""

TAIL_SECONDS = 3.0
"""Time for the last notes to die away."""

SHORTEST_SECONDS = 0.4
"""Loudness is measured in blocks of this length."""

Progress = Callable[[int, int], None]
"""Called with the seconds that are rendered so far, and with the total."""

_FULL_SCALE = 32768.0
_QUIET_GAIN = 1.0  # so that FluidSynth, which gives 16 bits, does not clip
_LIMITER_SECONDS = 0.02
_LIMITER_ROUNDS = 4


def render(
    performance: Performance | PrettyMIDI | str | os.PathLike[str],
    soundfont: Path | None = None,
    *,
    progress: Progress | None = None,
) -> Samples:
    """Return the sound of a performance, drums and controllers included, at -16 LUFS.

    The performance may be a ``pretty_midi.PrettyMIDI`` or the path of a MIDI file. The sample rate
    is 44.1 kHz; shape ``(N, 2)``. Peaks above -1 dB are turned down for some milliseconds. Raises a
    :class:`MidirnnError` if FluidSynth, a SoundFont or another library is missing, and
    :class:`OptionError` for a performance without notes.
    """
    performance = _as_performance(performance)
    if not len(performance):
        raise OptionError("there is nothing to hear: it has no notes")
    _sound_libraries()
    gain = _QUIET_GAIN
    while True:
        samples = _played(performance, soundfont, gain, progress)
        if np.abs(samples).max(initial=0.0) < 1.0 - 2 / _FULL_SCALE:
            return normalized(samples)
        gain /= 4


def _as_performance(given: Any) -> Performance:
    """Return a performance, a ``pretty_midi.PrettyMIDI`` or the music in a MIDI file."""
    if isinstance(given, Performance):
        return given
    if isinstance(given, str | os.PathLike):
        return read_midi(given, drums=True)
    if not is_pretty_midi(given):
        raise OptionError(
            f"the performance is of type {type(given).__name__}; allowed are a Performance, a "
            "pretty_midi.PrettyMIDI and the path of a MIDI file"
        )
    return from_pretty_midi(given, drums=True)


def write_sound(samples: Samples, path: Path) -> None:
    """Write a sound file atomically, in the format given by its suffix."""
    check_format(path)
    _, soundfile = _sound_libraries()
    buffer = io.BytesIO()
    try:
        soundfile.write(buffer, samples, SAMPLE_RATE, format=FORMATS[path.suffix.lower()])
    except soundfile.LibsndfileError as error:
        raise OptionError(f"{path} cannot be written ({reason_of(error)})") from error
    with one_line_errors(path, OptionError):
        write_file(path, buffer.getvalue())


def check_format(path: Path) -> None:
    """Raise :class:`OptionError` unless the file name has the suffix of a sound file."""
    if path.suffix.lower() not in FORMATS:
        raise OptionError(f"{path}: the name of a sound file must end in {', '.join(FORMATS)}")


def normalized(samples: Samples) -> Samples:
    """Return samples (N, 2) at a loudness of -16 LUFS, without clipping; silence stays silent."""
    meter = _sound_libraries()[0].Meter(SAMPLE_RATE)
    # Loudness is not measured below -70 LUFS.
    wanted = samples / max(float(np.abs(samples).max(initial=0.0)), 1e-9)
    for _ in range(_LIMITER_ROUNDS):  # limiting reduces the loudness a little
        loudness = meter.integrated_loudness(wanted)
        if not np.isfinite(loudness):
            break
        wanted = limited(wanted * 10 ** ((LOUDNESS - loudness) / 20))
    return wanted.astype(np.float32)


def limited(samples: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return samples (N, 2) with peaks above :data:`HIGHEST_PEAK` turned down, smoothly."""
    from scipy.ndimage import minimum_filter1d, uniform_filter1d

    peak = np.abs(samples).max(axis=1)
    needed = np.minimum(1.0, HIGHEST_PEAK / np.maximum(peak, 1e-9))
    if needed.min() >= 1.0:
        return samples
    width = 2 * round(_LIMITER_SECONDS * SAMPLE_RATE / 2) + 1
    # The mean of minima over windows that contain the sample is at most the gain it needs.
    gain = uniform_filter1d(minimum_filter1d(needed, width), width)
    result: npt.NDArray[np.float64] = samples * gain[:, None]
    return result


def _played(
    performance: Performance, soundfont: Path | None, gain: float, progress: Progress | None
) -> Samples:
    """Return what FluidSynth plays, including the decay of the last notes."""
    parts: list[npt.NDArray[np.int16]] = []
    total = int(performance.duration + TAIL_SECONDS) + 1
    seconds, shown = 0.0, -1
    with Synthesizer(soundfont, sounding=False, gain=gain, constant_gain=True) as synthesizer:
        for wait, message in _messages(performance):
            if wait:
                parts.append(synthesizer.render(wait))
                seconds += wait
                if progress is not None and int(seconds) != shown:
                    shown = int(seconds)
                    progress(min(shown, total), total)
            synthesizer.send(message)
        parts.append(synthesizer.render(max(TAIL_SECONDS, SHORTEST_SECONDS)))
    samples: Samples = np.concatenate(parts).reshape(-1, 2).astype(np.float32)
    samples /= np.float32(_FULL_SCALE)
    return samples


def _messages(performance: Performance) -> Iterator[tuple[float, list[int]]]:
    """Yield (seconds to wait, MIDI message); channels are as in a MIDI file."""
    import mido

    reached = 0.0
    done = 0.0
    for message in mido.MidiFile(file=io.BytesIO(midi_bytes(performance))):
        reached += message.time
        if message.is_meta:
            continue
        # Waits are rounded to whole samples; the rounding errors must not add up.
        wait = round((reached - done) * SAMPLE_RATE) / SAMPLE_RATE
        done += wait
        yield wait, message.bytes()


def _sound_libraries() -> tuple[Any, Any]:
    """Import pyloudnorm and soundfile. Raises an error that says what to install."""
    try:
        import pyloudnorm
        import soundfile
    except ImportError as error:
        library = error.name or "soundfile"
        raise MissingExtraError(library, "audio", "a sound file") from error
    return pyloudnorm, soundfile
