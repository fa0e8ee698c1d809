"""Snapshots of the shared stream, and the notes of the model on its way."""

from __future__ import annotations

from dataclasses import dataclass

from midirnn.live.improviser.pacing import Balance
from midirnn.live.improviser.phrase import Phrase
from midirnn.live.improviser.sources import TokenSource
from midirnn.midievents import NOTE_OFF, NOTE_ON
from midirnn.sampling import SamplerState


@dataclass(frozen=True)
class StreamState:
    """Everything that the continuation depends on."""

    sampler: SamplerState
    lag: int
    performers: frozenset[int]
    onset_by: int
    last_note: int
    quiet_until: int
    source: TokenSource
    phrase: Phrase
    balance: Balance
    close_at: int

    @property
    def step(self) -> int:
        """The step of the last token."""
        return int(self.sampler.grammar.step) + self.lag


@dataclass(frozen=True)
class ModelNote:
    """A note that the model begins or ends in a step, and the state of the stream after it.

    ``velocity`` is 0 where it ends.
    """

    step: int
    pitch: int
    velocity: int
    state: StreamState

    @property
    def message(self) -> tuple[int, int, int]:
        """The message on channel 1."""
        return (NOTE_ON if self.velocity else NOTE_OFF, self.pitch, self.velocity)
