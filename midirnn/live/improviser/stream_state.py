"""Snapshots of the shared stream, and the events of the model in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from midirnn.codecs.pedal import PEDAL_VALUES
from midirnn.live.improviser.pacing import Balance
from midirnn.live.improviser.phrase import Phrase
from midirnn.live.improviser.sources import TokenSource
from midirnn.midievents import CONTROL_CHANGE, NOTE_OFF, NOTE_ON, SUSTAIN
from midirnn.sampling import SamplerState
from midirnn.sampling.keeping import Keeping


@dataclass(frozen=True)
class StreamState:
    """Everything that the continuation depends on.

    ``foot`` is the position of the performer's pedal, ``pedal_sent`` that of the model's (0: up,
    1: down). Both stay 0 with a codec without pedal tokens.
    """

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
    last_sound_at: int | None
    keeping: Keeping
    keeps: bool
    foot: int = 0
    pedal_sent: int = 0

    @property
    def step(self) -> int:
        """The step of the last token."""
        return int(self.sampler.grammar.step) + self.lag


@dataclass(frozen=True)
class ModelNote:
    """A note that the model begins or ends in a step, and the state of the stream after it.

    ``velocity`` is 0 for an end.
    """

    step: int
    pitch: int
    velocity: int
    state: StreamState

    @property
    def message(self) -> tuple[int, int, int]:
        """The message on channel 1."""
        return (NOTE_ON if self.velocity else NOTE_OFF, self.pitch, self.velocity)


@dataclass(frozen=True)
class ModelPedal:
    """The model's pedal goes up (0) or down (1) in a step, and the stream's state after it."""

    step: int
    value: int
    state: StreamState

    @property
    def message(self) -> tuple[int, int, int]:
        """The message on channel 1."""
        return (CONTROL_CHANGE, SUSTAIN, PEDAL_VALUES[self.value])


ModelEvent: TypeAlias = ModelNote | ModelPedal


def pitches_of(events: Iterable[ModelEvent]) -> list[int]:
    """Return the pitches of the notes among the events."""
    return [event.pitch for event in events if isinstance(event, ModelNote)]


def lifts_pedal(events: Iterable[ModelEvent]) -> bool:
    """Return True if the model's pedal goes up with one of the events."""
    return any(isinstance(event, ModelPedal) and event.value == 0 for event in events)
