"""What a rig adds to a session as its configuration asks: OSC, Ableton Link, an ensemble."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from midirnn.engines.adapters import hash_of
from midirnn.engines.load import find_model
from midirnn.live.base.clock import MonotonicClock
from midirnn.live.base.config import LiveConfig
from midirnn.live.timing.tempo import Beats

if TYPE_CHECKING:
    from midirnn.live.osc.port import OscPort

SWITCH_SECONDS = 0.0005
"""How long Python lets another thread run before it switches to the one that sends."""

SOUND_FILE = "fluidsynth.wav"
"""The file that FluidSynth's driver ``file`` writes to, unless there is one already."""


def with_ensemble(config: LiveConfig) -> LiveConfig:
    """Return the configuration with the absolute path of its network, as recordings need it.

    Raises a :class:`MidirnnError` if there is no such ensemble.
    """
    from midirnn.codecs import EnsembleCodec
    from midirnn.ensemble import Seats, load_network

    network = load_network(config.network)
    assert isinstance(network.codec, EnsembleCodec)
    Seats(config.players).check(network.codec)
    path = Path(config.network)
    return replace(config, network=str(path.resolve())) if path.exists() else config


def open_osc(port: int, config: LiveConfig, warn: Callable[[str], None]) -> OscPort:
    """Open the OSC port. Its notes are heard whichever MIDI channels are listened to."""
    from midirnn.live.osc.port import OscPort

    channels = config.input_channels
    channel = channels[0] - 1 if channels else 0
    return OscPort(port, host=config.osc_host, to=config.osc_to, channel=channel, warn=warn)


def free_sound_file() -> Path:
    """Return an unused path for FluidSynth's driver ``file`` to write to."""
    first = Path(SOUND_FILE).absolute()
    others = (first.with_stem(f"{first.stem}-{number}") for number in range(2, 10_000))
    return next(path for path in (first, *others) if not path.exists())


def join_link(config: LiveConfig, stack: ExitStack) -> Beats | None:
    """Join the Ableton Link session, if configured. Closing the stack leaves it."""
    if config.clock != "link":
        return None
    from midirnn.live.timing.link import LinkBeats

    bpm = config.clock_out_bpm or config.reference_bpm
    return stack.enter_context(LinkBeats(MonotonicClock(), bpm))


def about_session(config: LiveConfig) -> dict[str, Any]:
    """Return what the first line of a log says about a session, apart from the model."""
    live = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in asdict(config).items()
    }
    network = hash_of(find_model(config.network))
    return {"mode": config.mode, "live": live, "network_sha256": network}


def make_python_punctual() -> None:
    """Set up this process to send on time. For the command line, before a session runs."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()  # loaded objects are never scanned again: that would hold up every thread
