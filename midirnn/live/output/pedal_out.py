"""Long notes sent as short ones under the sustain pedal.

The model was trained on notes lengthened by the pedal, and plays its own as long. That sounds
right, but a pianist does not play like that, and some instruments resonate only under a pedal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from midirnn.midievents import CONTROL_CHANGE, NOTE_OFF, NOTE_ON, SUSTAIN
from midirnn.ports.base import Message, OutputPort

FINGER_SECONDS = 0.5
"""A note that has sounded for this long when another begins is handed over to the pedal."""

LINGER_SECONDS = 0.15
"""From this long after a note held by the pedal has ended, the next onset changes the pedal."""

FULL_PEDAL = 127


@dataclass
class _Channel:
    """What sounds on a channel: when each held key went down, and the keys held by the pedal."""

    fingers: dict[int, float] = field(default_factory=dict)
    caught: set[int] = field(default_factory=set)
    ended_at: float | None = None
    other_pedal: int = 0


class PedalOutput(OutputPort):
    """An output that wraps another and plays long notes with the sustain pedal.

    The rule for each channel: When a note begins, each older note that has sounded for
    ``FINGER_SECONDS`` is *caught*: the pedal goes down and its key goes up. The pedal goes up when
    all caught notes have ended, or before the first onset that comes ``LINGER_SECONDS`` after one
    of them has ended, as a pianist changes the pedal with the harmony: what was still caught then
    ends early. Under the pedal other notes ring on until it goes up. Every note-on gets its
    note-off, no note hangs when all have ended, and no key goes up later than it would have.

    A sustain pedal that is sent through it (such as the performer's) keeps its own effect.
    """

    def __init__(self, output: OutputPort, clock: Callable[[], float]) -> None:
        self._output = output
        self._clock = clock
        self._channels: dict[int, _Channel] = {}

    @property
    def name(self) -> str:
        """The name of the wrapped output."""
        return self._output.name

    @property
    def present(self) -> bool:
        """True while the wrapped output is present."""
        return self._output.present

    def send(self, message: Sequence[int]) -> None:
        """Send a message, with the pedal applied."""
        kind, channel = message[0] & 0xF0, message[0] & 0x0F
        state = self._channels.setdefault(channel, _Channel())
        if kind == NOTE_ON and message[2]:
            self._begin(state, tuple(message))
        elif kind in (NOTE_OFF, NOTE_ON):
            self._end(state, tuple(message))
        elif kind == CONTROL_CHANGE and message[1] == SUSTAIN:
            state.other_pedal = message[2]
            if not state.caught:
                self._output.send(message)
        else:
            self._output.send(message)

    def _begin(self, state: _Channel, message: Message) -> None:
        now, channel, pitch = self._clock(), message[0] & 0x0F, message[1]
        if state.ended_at is not None and now - state.ended_at >= LINGER_SECONDS:
            self._lift(state, channel)
        state.caught.discard(pitch)
        if pitch in state.fingers:
            self._output.send((NOTE_OFF | channel, pitch, 0))
        self._output.send(message)
        state.fingers[pitch] = now
        for older, since in list(state.fingers.items()):
            if now - since >= FINGER_SECONDS:
                self._catch(state, channel, older)

    def _catch(self, state: _Channel, channel: int, pitch: int) -> None:
        """Hand a note over to the pedal."""
        if not state.caught:
            self._output.send((CONTROL_CHANGE | channel, SUSTAIN, FULL_PEDAL))
        state.caught.add(pitch)
        self._output.send((NOTE_OFF | channel, pitch, 0))
        del state.fingers[pitch]

    def _end(self, state: _Channel, message: Message) -> None:
        pitch = message[1]
        if pitch not in state.caught:
            # Either a finger's note, or one that a pedal change has ended already. Then a second
            # note-off does no harm; in the first case a note would hang without it.
            self._output.send(message)
            state.fingers.pop(pitch, None)
            return
        state.caught.remove(pitch)
        state.ended_at = self._clock() if state.ended_at is None else state.ended_at
        if not state.caught:
            self._lift(state, message[0] & 0x0F)

    def _lift(self, state: _Channel, channel: int) -> None:
        """Lift the pedal, or set it to where the performer holds it."""
        self._output.send((CONTROL_CHANGE | channel, SUSTAIN, state.other_pedal))
        state.caught.clear()
        state.ended_at = None

    def close(self) -> None:
        """Close the wrapped output."""
        self._output.close()
