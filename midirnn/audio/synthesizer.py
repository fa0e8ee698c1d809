"""Sound without an external synthesizer: an output that FluidSynth plays in this process."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from midirnn.audio.headroom import Headroom
from midirnn.errors import MissingExtraError, OptionError, PortError
from midirnn.midievents import (
    BEND,
    CONTROL_CHANGE,
    NOTE_OFF,
    NOTE_ON,
    PROGRAM_CHANGE,
    SYSTEM_RESET,
)
from midirnn.ports.base import OutputPort, check_message
from midirnn.ports.systems import quiet_stderr

BEND_CENTRE = 8192
SAMPLE_RATE = 44100
CHANNELS = 16
SETTINGS: dict[str, int | float] = {
    "synth.polyphony": 192,
    "audio.period-size": 256,
    "audio.periods": 3,
}
"""FluidSynth's settings: enough voices for a piano, and a latency of about 17 ms."""

DEFAULT_GAIN = 3.6
"""FluidSynth's gain at which recorded piano performances have an RMS level of about -20 dBFS.
:class:`Headroom` lowers it while loud chords would be distorted."""

DRIVERS: dict[str, tuple[str, ...]] = {
    "linux": ("pipewire", "pulseaudio", "alsa", "jack"),
    "darwin": ("coreaudio",),
    "win32": ("wasapi", "dsound"),
}
"""FluidSynth's audio drivers for the loudspeakers, in the order in which they are tried."""

FONT_FOLDERS = (
    "~/.local/share/soundfonts",
    "/usr/share/sounds/sf2",
    "/usr/share/sounds/sf3",
    "/usr/share/soundfonts",
    "/usr/local/share/soundfonts",
    "/opt/homebrew/share/soundfonts",
)
BEST_FONTS = ("FluidR3_GM.sf2", "FluidR3Mono_GM.sf3", "default-GM.sf2", "default-GM.sf3")
FONT_PATTERNS = ("*.sf2", "*.sf3")

INSTALL_LIBRARY = (
    "Install it with: apt-get install fluidsynth (Debian, Ubuntu), brew install fluid-synth "
    "(macOS), choco install fluidsynth (Windows)"
)


class Synthesizer(OutputPort):
    """An output port that plays sound. Owns FluidSynth's synthesizer and audio driver.

    ``driver`` is one of FluidSynth's audio drivers (default: the first of :data:`DRIVERS` that
    works), ``path`` the file that its driver ``file`` writes. With ``sounding`` false there is no
    driver, and :meth:`render` returns the sound. The gain is lowered while loud chords would be
    distorted, unless ``constant_gain`` is true.
    """

    def __init__(
        self,
        soundfont: Path | None = None,
        *,
        driver: str | None = None,
        sounding: bool = True,
        gain: float = DEFAULT_GAIN,
        constant_gain: bool = False,
        path: Path | None = None,
    ) -> None:
        fluidsynth = load_fluidsynth()
        self._library = fluidsynth
        font = find_soundfont(soundfont)
        self.driver: str | None = None
        self._closed = False
        self._headroom, self._gain = None if constant_gain else Headroom(gain), gain
        self._rendered_seconds = None if sounding else 0.0
        with quiet_stderr():
            self._synth = fluidsynth.Synth(
                samplerate=SAMPLE_RATE, channels=CHANNELS, gain=gain, **SETTINGS
            )
            if self._synth.sfload(str(font)) < 0:
                self._synth.delete()
                raise PortError(f"FluidSynth cannot read the SoundFont {font}")
        self._name = f"FluidSynth ({font.name})"
        for channel in range(CHANNELS):
            self._synth.program_change(channel, 0)
        if path is not None:
            self._synth.setting("audio.file.name", str(path))
        if sounding:
            self._start([driver] if driver else DRIVERS.get(sys.platform, DRIVERS["linux"]))

    @property
    def name(self) -> str:
        """The synthesizer and its SoundFont."""
        return self._name

    def send(self, message: Sequence[int]) -> None:
        """Play a message. Messages that no synthesizer plays, such as a clock, are ignored.

        Raises :class:`PortError` if it is not a MIDI message or the synthesizer is closed.
        """
        status, *data = check_message(message)
        if self._closed:
            raise PortError(f"{self._name} is closed")
        kind, channel = status & 0xF0, status & 0x0F
        if kind == NOTE_ON and data[1]:
            self._keep_headroom(data[1])
            self._synth.noteon(channel, data[0], data[1])
        elif kind in (NOTE_ON, NOTE_OFF):
            self._synth.noteoff(channel, data[0])
        elif kind == CONTROL_CHANGE:
            self._synth.cc(channel, data[0], data[1])
        elif kind == PROGRAM_CHANGE:
            self._synth.program_change(channel, data[0])
        elif kind == BEND:
            self._synth.pitch_bend(channel, data[0] + 128 * data[1] - BEND_CENTRE)
        elif status == SYSTEM_RESET:
            self._synth.system_reset()

    def render(self, seconds: float) -> Any:
        """Render N samples per channel, left and right interleaved, 16 bits; shape ``(2 N,)``."""
        if self._rendered_seconds is not None:
            self._rendered_seconds += seconds
        return self._synth.get_samples(round(seconds * SAMPLE_RATE))

    def close(self) -> None:
        """Close the synthesizer."""
        if not self._closed:
            self._closed = True
            with quiet_stderr():
                self._synth.delete()

    def _now(self) -> float:
        """Return the time in seconds: that of the rendered sound, if there is no driver."""
        return time.monotonic() if self._rendered_seconds is None else self._rendered_seconds

    def _keep_headroom(self, velocity: int) -> None:
        """Adjust the gain for a note-on."""
        if self._headroom is None:
            return
        gain = self._headroom.note_on(velocity, self._now())
        if gain != self._gain:
            self._gain = gain
            self._synth.setting("synth.gain", gain)

    def _start(self, drivers: Sequence[str]) -> None:
        """Connect to the loudspeakers with the first driver that works."""
        synth, tried = self._synth, []
        os.environ.setdefault("JACK_NO_START_SERVER", "1")  # trying JACK must not start a server
        for driver in drivers:
            with quiet_stderr() as printed:
                synth.setting("audio.driver", driver)
                # pyfluidsynth's own start() would open MIDI ports as well.
                make = self._library.new_fluid_audio_driver
                synth.audio_driver = make(synth.settings, synth.synth)
            if synth.audio_driver:
                self.driver = driver
                return
            synth.audio_driver = None
            tried.append(f"{driver}: {printed[-1].strip()}" if printed else driver)
        self.close()
        raise PortError(
            f"FluidSynth finds no way to the loudspeakers (tried {'; '.join(tried)}). Name one "
            "with --audio-driver, or play on a MIDI output"
        )


def load_fluidsynth() -> Any:
    """Load pyfluidsynth. Raises an error that says what to install."""
    if find_spec("fluidsynth") is None:
        raise MissingExtraError("pyfluidsynth", "audio", "sound")
    try:
        import fluidsynth
    except (ImportError, OSError) as error:
        raise PortError(f"sound needs the FluidSynth library. {INSTALL_LIBRARY}") from error
    if not hasattr(fluidsynth, "Synth"):
        raise PortError(
            "sound needs pyfluidsynth, but another package named fluidsynth is "
            "installed. Replace it with: pip uninstall fluidsynth; pip install pyfluidsynth"
        )
    return fluidsynth


def find_soundfont(wanted: Path | None = None) -> Path:
    """Return a SoundFont: the given one, the best that is installed, or pretty_midi's own.

    Raises :class:`OptionError` if there is none.
    """
    if wanted is not None:
        if not wanted.is_file():
            raise OptionError(f"there is no SoundFont {wanted}")
        return wanted
    font = next(_installed_fonts(), None)
    if font is None:
        raise OptionError(
            "no SoundFont is found. Install one, for example with: apt-get install "
            "fluid-soundfont-gm, or name a .sf2 file with --soundfont"
        )
    return font


def _installed_fonts() -> Iterator[Path]:
    """Yield the SoundFonts of this machine, the best first."""
    folders = [Path(folder).expanduser() for folder in FONT_FOLDERS]
    for name in BEST_FONTS:
        yield from (folder / name for folder in folders if (folder / name).is_file())
    for folder in folders:
        for pattern in FONT_PATTERNS:
            yield from sorted(folder.glob(pattern))
    pretty_midi = find_spec("pretty_midi")
    for place in (pretty_midi.submodule_search_locations if pretty_midi else None) or []:
        yield from sorted(Path(place).glob("*.sf2"))
