"""The options of a live session, each declared once.

The command line's flags, the file of ``--config`` and the Python API all come from the fields of
:class:`LiveConfig`; see ``midirnn.live.base.options``.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from midirnn.codecs.ensemble import MOST_SEATS
from midirnn.errors import OptionError
from midirnn.sampling.filters import SamplingConfig

CLOCKS = ("nothing", "midi", "link")
"""The clocks that the model can follow."""

PHRASE_ENDS = ("silence", "pedal_up", "pedal_down", "switch")
"""What can end the performer's phrase."""

PLAYING, SOUND, CONTROLLERS, SAMPLING = "Playing", "Sound", "Controllers", "Sampling"
"""The groups of options in the help. Some options belong to none."""


def _about(
    group: str = "",
    *,
    low: float = -math.inf,
    high: float = math.inf,
    choices: tuple[str, ...] = (),
    flags: tuple[str, ...] = (),
    old_values: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Describe a field: its group in the help, what is allowed, and flags other than its name.

    ``old_values`` are still accepted, but now belong to another option.
    """
    return {
        "group": group,
        "low": low,
        "high": high,
        "choices": choices,
        "flags": flags,
        "old_values": old_values,
    }


@dataclass(frozen=True)
class LiveConfig:
    """How a session is set up and how the model plays along.

    :class:`~midirnn.live.session.Session` reads the options about playing;
    :class:`~midirnn.live.rig.Rig`, which also opens ports and starts the model, reads all of them.
    """

    silence_seconds: float = field(default=1.0, metadata=_about(PLAYING, low=0.05, high=60.0))
    """Your phrase ends after this many seconds of silence."""
    answer_seconds: float | None = field(
        default=None, metadata=_about(PLAYING, low=0.1, high=24 * 3600.0)
    )
    """Length of an answer in seconds. [as long as your phrase]"""
    channel: int = field(default=1, metadata=_about(PLAYING, low=1, high=16))
    """MIDI channel to play on, 1 to 16."""
    lookahead_seconds: float = field(default=1.0, metadata=_about(PLAYING, low=0.05, high=10.0))
    """How many seconds ahead the model plans. More is safer on a slow machine."""
    phrase_end: str = field(default="silence", metadata=_about(PLAYING, choices=PHRASE_ENDS))
    """What ends your phrase: silence, pedal_up, pedal_down or switch (only the foot switch)."""
    on_beat: float | None = field(default=None, metadata=_about(PLAYING, low=0.0625, high=64.0))
    """Start answers only on every Nth beat: 1 for any beat, 4 for the start of a 4/4 bar. Needs
    --clock or --clock-out-bpm. [at once]"""
    program: int | None = field(default=None, metadata=_about(PLAYING, low=1, high=128))
    """Program (sound) to select on the channel at the start, 1 to 128. [unchanged]"""
    input_channels: tuple[int, ...] = field(default=(), metadata=_about(PLAYING, low=1, high=16))
    """MIDI channel to listen to, 1 to 16. Repeat the flag for several. [all]"""
    thru: bool | None = field(default=None, metadata=_about(PLAYING))
    """Send your own notes to the output as well. [on with --audio, else off]"""
    pedal_out: bool = field(default=False, metadata=_about(PLAYING))
    """Send long notes as short ones held by the sustain pedal. (A model with pedal tokens uses the
    pedal anyway.)"""
    output_latency_ms: float = field(default=0.0, metadata=_about(PLAYING, low=0.0, high=500.0))
    """Delay between a message to the instrument on the output and its sound. The model's notes are
    sent this much earlier. Measure it with: midirnn doctor --loopback."""
    shadow_notes: int = field(default=2, metadata=_about(PLAYING, low=1, high=8))
    """How many notes the mode shadow adds to each of your onsets."""
    echo_threshold: float = field(default=0.03, metadata=_about(PLAYING, low=0.0, high=1.0))
    """The mode echo keeps tokens of your phrase that are at least this probable (among tokens of
    the same kind): 0 keeps all of them, 1 none."""
    players: int = field(default=3, metadata=_about(PLAYING, low=1, high=MOST_SEATS - 1))
    """Number of players that join you in the mode ensemble, each on its own channel: the ones after
    --channel, except 10 (drums)."""
    network: str = field(default="ensemble", metadata=_about(PLAYING))
    """Name or folder of the model that decides what the players of the mode ensemble do."""
    follow: float = field(
        default=1.0, metadata=_about(PLAYING, low=0.0, high=1.0, old_values=CLOCKS)
    )
    """How closely the model keeps to the style of your last 15 seconds, 0 to 1: density, loudness,
    register, rhythm and so on. A knob that you have turned takes precedence."""
    follow_seconds: float = field(default=30.0, metadata=_about(PLAYING, low=1.0, high=3600.0))
    """In autopilot, seconds over which your style's influence fades after your last note."""
    clock: str = field(default="nothing", metadata=_about(PLAYING, choices=CLOCKS))
    """Clock to follow: nothing, midi (MIDI clock from the input) or link (Ableton Link)."""
    clock_out_bpm: float | None = field(
        default=None, metadata=_about(PLAYING, low=20.0, high=400.0)
    )
    """Send MIDI clock at this tempo. [no clock is sent]"""
    reference_bpm: float = field(default=120.0, metadata=_about(PLAYING, low=20.0, high=400.0))
    """Clock tempo at which the model plays at its original speed. At other tempos it plays faster
    or slower in proportion."""
    guard: bool = field(default=True, metadata=_about(PLAYING))
    """Notice when the model falls silent, loops or babbles, and bring it back."""

    input: str | None = field(default=None, metadata=_about(flags=("--input", "-i")))
    """MIDI input to listen to, or part of its name. [live: the only one, autopilot needs none; jam:
    none]"""
    output: str | None = field(default=None, metadata=_about(flags=("--output", "-o")))
    """MIDI output to play on, or part of its name. [live: the only one; jam: none]"""
    virtual: bool = field(default=False, metadata=_about())
    """Open virtual ports, named by --input and --output, for other programs to connect to."""
    api: str | None = field(default=None, metadata=_about())
    """MIDI system to use: alsa, jack, coremidi or winmm. [the first that works]"""
    mode: str = field(default="call_and_response", metadata=_about())
    """How performer and model take turns."""
    model: str = field(default="piano", metadata=_about())
    """Name of a model that comes with midirnn, or the folder of a model or training run."""
    blend: float = field(default=1.0, metadata=_about(low=0.0, high=1.0))
    """Share of a tuned model, 0 to 1; the rest is the model it was tuned from."""
    tune_between_sets: bool = field(default=False, metadata=_about())
    """Tune the model to your playing while nobody plays. Needs --record and the extra train."""
    engine: str = field(default="auto", metadata=_about())
    """What runs the model: native (C++, int8), onnxruntime (int8), numpy (exact), or auto, the
    fastest that is ready. The first session on a machine with a C++ compiler compiles native in the
    background, for the next session."""
    keep_warm: bool = field(default=True, metadata=_about())
    """Keep one processor core busy while there is music: reactions are a third faster, but a laptop
    gets warmer."""
    spare: bool = field(default=True, metadata=_about())
    """Keep a second model process loaded, which takes over at once if the first one dies. It takes
    as much memory as the first (about 100 MB)."""
    seed: int | None = field(default=None, metadata=_about(low=0))
    """Random seed. The same seed makes the same choices. [random, and printed]"""
    seconds: float | None = field(default=None, metadata=_about(low=0.01))
    """Stop after this many seconds. [play until Ctrl-C]"""
    record: Path | None = field(default=None, metadata=_about())
    """Folder to record into: a MIDI file, and an event log for midirnn replay. [no recording]"""

    audio: bool = field(default=False, metadata=_about(SOUND))
    """Play through the loudspeakers with FluidSynth instead of a MIDI output."""
    soundfont: Path | None = field(default=None, metadata=_about(SOUND))
    """SoundFont (.sf2 file) for FluidSynth. [the best that is installed]"""
    audio_gain: float = field(default=3.6, metadata=_about(SOUND, low=0.01, high=10.0))
    """Volume of --audio. It is lowered briefly where loud chords would be distorted."""
    audio_driver: str | None = field(default=None, metadata=_about(SOUND))
    """Audio driver of FluidSynth, such as alsa or jack. [the first that works]"""

    controls: Path | None = field(default=None, metadata=_about(CONTROLLERS))
    """Control map: a TOML file that says which controller moves which knob. [the one that --learn
    wrote, or the default map]"""

    takeover: bool = field(default=True, metadata=_about(CONTROLLERS))
    """Soft takeover: if a knob was changed elsewhere (by a preset, a web page, OSC), its controller
    moves it only after reaching its value, so that it does not jump."""
    controls_out: str | None = field(default=None, metadata=_about(CONTROLLERS))
    """MIDI output, or part of its name, to which to send the knobs' values: for motor faders, LED
    rings and pads. [none]"""

    set_list: Path | None = field(default=None, metadata=_about(CONTROLLERS))
    """File of presets, each with the model's state, knobs, mode and followed style. It is created
    when you store the first preset. Program changes load its presets. [presets are lost when the
    session ends]"""

    osc: int | None = field(default=None, metadata=_about(CONTROLLERS, low=1, high=65_534))
    """UDP port at which to listen for Open Sound Control, such as 9000. [no OSC]"""
    osc_host: str = field(default="127.0.0.1", metadata=_about(CONTROLLERS))
    """Address at which to listen for OSC; 0.0.0.0 also accepts other computers on the network."""
    osc_to: str | None = field(default=None, metadata=_about(CONTROLLERS))
    """Where to send OSC, as HOST:PORT. [this computer, one port above --osc]"""

    sampling: SamplingConfig = field(default_factory=SamplingConfig, metadata={"group": SAMPLING})
    """How tokens are sampled."""

    @property
    def passes_on(self) -> bool:
        """True if the performer's own notes are sent to the output as well."""
        return self.audio if self.thru is None else self.thru

    def __post_init__(self) -> None:
        clock: object = self.follow
        if clock in CLOCKS:  # the former name of the option clock
            object.__setattr__(self, "clock", clock)
            object.__setattr__(self, "follow", 1.0)
            warnings.warn(f"follow = {self.clock} is now called clock", DeprecationWarning, 3)
        for part in fields(self):
            check_option(part.name, getattr(self, part.name))
        if self.clock == "midi" and self.clock_out_bpm is not None:
            raise OptionError(
                "clock_out_bpm sends a clock and clock = midi receives one: choose one of them"
            )
        if self.audio and self.output is not None:
            raise OptionError("--audio plays in place of a MIDI output: leave out --output")
        if self.osc is None and self.osc_to is not None:
            raise OptionError("--osc-to is for --osc, which says where to listen")
        if self.tune_between_sets and self.record is None:
            raise OptionError("--tune-between-sets needs --record: what is learned is kept there")
        if not self.audio and (self.soundfont or self.audio_driver):
            raise OptionError("--soundfont and --audio-driver are for --audio")


def check_option(name: str, value: Any) -> None:
    """Raise :class:`OptionError` if an option of :class:`LiveConfig` may not have that value."""
    about = LiveConfig.__dataclass_fields__[name].metadata
    choices, low, high = (about.get(key) for key in ("choices", "low", "high"))
    if choices and value not in choices:
        raise OptionError(f"{name} is {value!r}; allowed are {', '.join(choices)}")
    for number in value if isinstance(value, tuple) else (value,):
        is_number = isinstance(number, int | float) and not isinstance(number, bool)
        if is_number and not (math.isfinite(number) and low <= number <= high):
            allowed = f"allowed are {low:g} to {high:,.10g}"
            if high == math.inf:
                allowed = f"it must be at least {low:g}"
            raise OptionError(f"{name} is {number:g}; {allowed}")
