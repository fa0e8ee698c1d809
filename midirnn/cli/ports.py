"""``midirnn ports``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from midirnn.ports import PortListing

_SYNTHESIZERS = {
    "linux": "fluidsynth -a pulseaudio -m alsa_seq FONT.sf2 (with JACK: -a jack -m jack)",
    "darwin": "GarageBand, or fluidsynth -a coreaudio -m coremidi FONT.sf2",
    "win32": "any synthesizer or DAW, reached through a loopback driver such as loopMIDI",
}


def ports(
    *, api: Annotated[str | None, Parameter(help="Only of alsa, jack, coremidi or winmm.")] = None
) -> None:
    """List the MIDI inputs and outputs of this machine.

    Messages come from an input and are sent to an output. A MIDI system that does not answer is
    named with the reason.
    """
    from midirnn.ports import list_ports

    listing = list_ports(api)
    for line in _lines(listing):
        print(line)


def _lines(listing: PortListing) -> list[str]:
    """The listing, and advice where there is nothing to open."""
    lines: list[str] = []
    for direction in ("input", "output"):
        rows = [row for row in listing.ports if row.direction == direction]
        lines.append(f"{direction}s:" if rows else f"{direction}s: none")
        lines += [f"  {row.api:<9} {row.name}" for row in rows]
    if listing.failures:
        lines.append("not available:")
        for failure in listing.failures:
            hint = f" ({failure.hint})" if failure.hint else ""
            lines.append(f"  {failure.api:<9} {failure.reason}{hint}")
    if not listing.ports:
        lines += _advice()
    return lines


def _advice() -> list[str]:
    """How to come by ports."""
    return [
        "There is no MIDI port. Plug in a keyboard, start a synthesizer, or let midirnn make ports "
        "of its own: midirnn live --virtual",
        how_to_hear(),
    ]


def how_to_hear(output: str | None = None) -> str:
    """Why nothing sounds, and what to do about it, in one line."""
    connect = f"connect {output!r} to a synthesizer" if output else "it takes a synthesizer"
    example = _SYNTHESIZERS.get(sys.platform, _SYNTHESIZERS["linux"])
    alone = "without one, midirnn live --audio sounds by itself"
    return f"MIDI is silent by itself: {connect}, for example {example}; {alone}"
