"""What a performance tells beside its notes: its instruments, tempos and signatures."""

from __future__ import annotations

import math
from dataclasses import dataclass

from midirnn.errors import OptionError

DRUM_CHANNEL = 9
"""The channel of drums, which players call channel 10 (General MIDI)."""

DENOMINATORS = (1, 2, 4, 8, 16, 32, 64, 128)
"""The denominators of time signatures."""

MAX_NUMERATOR = 255
MAX_SHARPS = 7
"""The most sharps, or flats, of a key signature."""


@dataclass(frozen=True)
class Part:
    """One instrument of a performance, with a sustain pedal of its own.

    ``program`` is 0 to 127, ``channel`` 0 to 15.
    ``bank`` is what CC 0 and 32 select, as one number of 14 bits.
    """

    program: int = 0
    channel: int = 0
    name: str = ""
    bank: int = 0

    def __post_init__(self) -> None:
        limits = {"program": 127, "channel": 15, "bank": 16383}
        for name, most in limits.items():
            value = getattr(self, name)
            if not 0 <= value <= most:
                raise OptionError(f"a part has {name} {value}; allowed are 0 to {most}")

    @property
    def is_drum(self) -> bool:
        """True if the part is on the drum channel."""
        return self.channel == DRUM_CHANNEL


@dataclass(frozen=True, slots=True)
class Tempo:
    """A tempo from ``seconds`` on, in quarter notes per minute."""

    seconds: float
    bpm: float

    def __post_init__(self) -> None:
        if not (0.0 <= self.seconds < math.inf and 0.0 < self.bpm < math.inf):
            raise OptionError(
                f"a tempo is {self.bpm} bpm at {self.seconds} s; allowed are above 0 bpm, "
                "from 0 s on"
            )


@dataclass(frozen=True)
class TimeSignature:
    """A time signature from ``seconds`` on: 6/8 has numerator 6 and denominator 8."""

    seconds: float
    numerator: int
    denominator: int

    def __post_init__(self) -> None:
        _check_seconds("time", self.seconds)
        if not 1 <= self.numerator <= MAX_NUMERATOR or self.denominator not in DENOMINATORS:
            raise OptionError(
                f"a time signature is {self.numerator}/{self.denominator}; allowed are numerators "
                f"of 1 to {MAX_NUMERATOR}, and denominators of {', '.join(map(str, DENOMINATORS))}"
            )


@dataclass(frozen=True)
class KeySignature:
    """A key signature from ``seconds`` on; ``sharps`` is negative for flats."""

    seconds: float
    sharps: int
    minor: bool = False

    def __post_init__(self) -> None:
        _check_seconds("key", self.seconds)
        if not -MAX_SHARPS <= self.sharps <= MAX_SHARPS:
            raise OptionError(
                f"a key signature has {self.sharps} sharps; allowed are {-MAX_SHARPS} (flats) to "
                f"{MAX_SHARPS}"
            )


def _check_seconds(kind: str, seconds: float) -> None:
    """Raise :class:`OptionError` for a signature at a time that cannot be."""
    if not 0.0 <= seconds < math.inf:
        raise OptionError(f"a {kind} signature is at {seconds} s; allowed are finite times from 0")


Signature = TimeSignature | KeySignature
