"""A generated piece, and where in it the new music begins."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from midirnn.midifile import to_pretty_midi
from midirnn.performance import Performance

if TYPE_CHECKING:
    from pretty_midi import PrettyMIDI


class Played(ABC):
    """Base class of results that hold a performance."""

    @property
    @abstractmethod
    def performance(self) -> Performance:
        """The music."""

    def to_pretty_midi(self) -> PrettyMIDI:
        """Return the music as a ``pretty_midi.PrettyMIDI``; see :func:`midirnn.to_pretty_midi`."""
        return to_pretty_midi(self.performance)


@dataclass(frozen=True)
class Generated(Played):
    """A generated piece.

    ``primer_seconds`` is where the primer ends; 0 without one, and for pieces without time.
    """

    piece: Any
    new_tokens: int
    new_seconds: float = 0.0
    primer_seconds: float = 0.0
    log_likelihood: float = 0.0
    """Of the new tokens, in nats, if the sampler measures it; see :class:`Sampler`."""
    own_part: bool = True
    """Whether the new notes are in a part of their own, the last one, and not in several."""

    @property
    def performance(self) -> Performance:
        """The piece, if the codec's pieces are performances."""
        assert isinstance(self.piece, Performance)
        return self.piece

    @property
    def continuation(self) -> Performance:
        """The new notes alone, moved to start at 0: those of the last part, or of all players."""
        if not self.own_part:
            is_new = self.performance.start >= self.primer_seconds
            return self.performance.select(is_new).shift(-self.primer_seconds)
        last = len(self.performance.parts) - 1
        new = self.performance.select(self.performance.part == last)
        own = new.control_part == last
        names = ("control_time", "control_number", "control_value")
        pedal = new.pedal_part == last
        pedals = ("pedal_time", "pedal_value", "pedal_shared")
        return new.replace(
            **{name: getattr(new, name)[own] for name in names},
            **{name: getattr(new, name)[pedal] for name in pedals},
            control_part=np.zeros(own.sum(), np.int32),
            pedal_part=np.zeros(pedal.sum(), np.int32),
            part=np.zeros(len(new), np.int32),
            parts=(new.parts[last],),
        ).shift(-self.primer_seconds)

    def summary(self) -> str:
        """Return how much is new, in words."""
        if not isinstance(self.piece, Performance):
            return f"{self.new_tokens} new tokens"
        notes = int((self.piece.start >= self.primer_seconds).sum())
        return f"{notes} new {'note' if notes == 1 else 'notes'} in {self.new_seconds:g} s"
