"""``midirnn ports``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from midirnn.ports import PortListing


def ports(
    *,
    api: Annotated[
        str | None,
        Parameter(help="List only ports of this MIDI system: alsa, jack, coremidi or winmm."),
    ] = None,
) -> None:
    """List the MIDI inputs and outputs of this machine.

    midirnn listens to an input and plays on an output. Choose them by part of their name, or by the
    number before it. A MIDI system that is not available is listed with the reason.
    """
    from midirnn.ports import list_ports

    listing = list_ports(api)
    for line in _lines(listing):
        print(line)


def _lines(listing: PortListing) -> list[str]:
    """Return the listing, and advice if there is nothing to open."""
    lines: list[str] = []
    for direction in ("input", "output"):
        rows = [row for row in listing.ports if row.direction == direction]
        lines.append(f"{direction}s:" if rows else f"{direction}s: none")
        lines += [f"{place:>4}  {row.api:<9} {row.name}" for place, row in enumerate(rows, 1)]
    if listing.failures:
        lines.append("not available:")
        for failure in listing.failures:
            hint = f" ({failure.hint})" if failure.hint else ""
            lines.append(f"  {failure.api:<9} {failure.reason}{hint}")
    if not listing.ports:
        lines += _advice()
    return lines


def _advice() -> list[str]:
    """Return advice on how to get ports."""
    from midirnn.ports.advice import how_to_hear

    return [
        "There is no MIDI port. Plug in a keyboard, start a synthesizer, or let midirnn make ports "
        "of its own: midirnn live --virtual",
        how_to_hear(),
    ]
