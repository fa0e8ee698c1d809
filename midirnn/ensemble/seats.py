"""Seats: the registers and the channels of the players of an ensemble."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from midirnn.codecs.ensemble import GESTURES, REGISTERS, EnsembleCodec
from midirnn.errors import OptionError
from midirnn.performance import Part

REACH = 9
"""How many semitones players go above and below the middle of their register."""

_CHANNELS = 16


@dataclass(frozen=True)
class Seats:
    """The players of an ensemble, numbered from the highest register, 0, to the lowest.

    A person has the first seat, and the network plays the next ``players`` ones; without a person,
    the first ``players``. Empty seats are silent.
    """

    players: int = 3
    """How many players the network has."""
    person: bool = True
    """Whether a person plays along."""

    def check(self, codec: EnsembleCodec) -> None:
        """Raise :class:`OptionError` if a network of this codec has too few seats."""
        most = codec.players - self.person
        if not 1 <= self.players <= most:
            beside = " beside yours" if self.person else ""
            raise OptionError(
                f"players is {self.players}; the network has seats{beside} for 1 to {most}"
            )

    @property
    def played(self) -> range:
        """The seats that the network plays."""
        return range(int(self.person), int(self.person) + self.players)


def pitches_of(seat: int, gesture: int) -> range:
    """Return the pitches that a player uses for a gesture."""
    middle = REGISTERS[seat]
    return (
        range(middle, middle + REACH) if GESTURES[gesture].high else range(middle - REACH, middle)
    )


@cache
def channel_of(seat: int, first: int = 0) -> int:
    """Return the channel (0 to 15) of a seat: ``first``, then the next ones, except drums."""
    others = ((first + number) % _CHANNELS for number in range(1, _CHANNELS))
    return [first, *(c for c in others if not Part(channel=c).is_drum)][seat]
