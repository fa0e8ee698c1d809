"""Advice on how to make MIDI heard."""

from __future__ import annotations

import sys

_SYNTHESIZERS = {
    "linux": "fluidsynth -a pulseaudio -m alsa_seq FONT.sf2 (with JACK: -a jack -m jack)",
    "darwin": "GarageBand, or fluidsynth -a coreaudio -m coremidi FONT.sf2",
    "win32": "any synthesizer or DAW, reached through a loopback driver such as loopMIDI",
}


def how_to_hear(output: str | None = None) -> str:
    """Say in one line why nothing sounds, and what to do about it."""
    connect = f"connect {output!r} to a synthesizer" if output else "it takes a synthesizer"
    example = _SYNTHESIZERS.get(sys.platform, _SYNTHESIZERS["linux"])
    alone = "without one, midirnn live --audio sounds by itself"
    return f"MIDI is silent by itself: {connect}, for example {example}; {alone}"
