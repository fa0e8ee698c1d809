"""The listener: turns MIDI messages into steps of the encoding and gestures."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from midirnn.codecs import PerformanceCodec
from midirnn.codecs.performance import TokenType
from midirnn.live.base.channel_messages import ModeMessages
from midirnn.live.base.messages import HeardStep
from midirnn.live.base.playing import Gesture, Performed
from midirnn.live.timing.stretch import TimeMap
from midirnn.midievents import CONTROL_CHANGE, NOTE_OFF, NOTE_ON, SUSTAIN, SUSTAIN_DOWN
from midirnn.parts import DRUM_CHANNEL
from midirnn.ports.base import Message

_PAST_BOUNDARY_SECONDS = 1e-4
"""A time this far after the boundary between two steps is never rounded to before it."""


class Listener:
    """Takes messages from a port's thread, and returns steps and gestures. Owns the encoder.

    Steps count from ``start_seconds`` in the model's own time, which ``time_map`` converts to. A
    step is returned when it is over, since only then are its tokens final; :meth:`present_step`
    returns its contents so far. Drums (channel 10) are not heard.
    """

    def __init__(
        self, codec: PerformanceCodec, start_seconds: float, time_map: TimeMap | None = None
    ) -> None:
        self._codec = codec
        self._start = start_seconds
        self._time = time_map or TimeMap(start_seconds)
        self._modes = ModeMessages()
        self._pedals_down: set[int] = set()
        self._held_by_pedal: set[int] = set()
        """The channels on which the pedal holds notes whose keys are up."""
        self._encoder = codec.stream_encoder()
        self._queue: deque[tuple[Message, float]] = deque()
        self._last_seconds = 0.0
        self._token_step = 0
        self._velocity_bin = 0
        self._keys: set[tuple[int, int]] = set()
        self._struck: dict[tuple[int, int], tuple[float, float]] = {}
        """When each key was struck, and the time that counts for it."""
        self._open_until_step = 0
        self._has_more = False

    def receive(self, message: Message, seconds: float) -> None:
        """Queue a message for :meth:`take`. Thread-safe."""
        self._queue.append((message, seconds))

    @property
    def keys_down(self) -> int:
        """The number of keys that are down."""
        return len(self._keys)

    @property
    def sounding(self) -> frozenset[int]:
        """The pitches that sound, those that the pedal holds included."""
        return self._encoder.sounding

    @property
    def has_news(self) -> bool:
        """True if messages are waiting."""
        return bool(self._queue)

    def take(self) -> Iterator[tuple[list[HeardStep], Performed | None]]:
        """Yield, for each waiting message, the steps that it ends and its gesture, if any."""
        while self._queue:
            message, seconds = self._queue.popleft()
            for single in self._modes.plain(message):
                yield self._feed(single, seconds)

    def advance(self, now: float) -> list[HeardStep]:
        """Return the steps that are over at that time."""
        return self._steps(self._encoder.advance(self._later(now)))

    def present_step(self) -> HeardStep | None:
        """Return the present step as it would be if it ended now; None if it has nothing new."""
        if not self._has_more or not self._encoder.has_news:
            return None
        self._has_more = False
        encoder = self._encoder.copy()
        before = self._token_step, self._velocity_bin
        step = self._codec.step(self._last_seconds)
        told = self._steps(encoder.advance((step + 1) / self._codec.steps_per_second))
        self._token_step, self._velocity_bin = before
        if not told or told[-1].step != step:
            return None
        # Pedal movements are told when the step is over: until then they may be reversed.
        present = replace(told[-1], pedal=())
        return present if present.note_offs or present.note_ons else None

    def closes_at(self) -> float:
        """Return when a step with something in it will be over; infinite without one."""
        step = self._codec.step(self._last_seconds)
        if step >= self._open_until_step:
            return math.inf
        boundary = (step + 0.5) / self._codec.steps_per_second
        return self._time.seconds(self._start + boundary) + _PAST_BOUNDARY_SECONDS

    def _later(self, seconds: float) -> float:
        """Return seconds since the start, but never earlier than the last such time."""
        self._last_seconds = max(self._last_seconds, self._time.musical(seconds) - self._start)
        return self._last_seconds

    def _counts_at(self, message: Message, seconds: float) -> float:
        """Return the time that counts for a message, in seconds since the start.

        If both ends of a note come late, they would fall on the same moment and the note would
        vanish. If it lasted at all, its end counts as just after its beginning.
        """
        own, at = self._time.musical(seconds) - self._start, self._later(seconds)
        kind = message[0] & 0xF0
        if kind not in (NOTE_ON, NOTE_OFF):
            return at
        key = message[0] & 0x0F, message[1]
        if kind == NOTE_ON and message[2]:
            self._struck[key] = own, at
        elif key in self._struck:
            begun, counted = self._struck.pop(key)
            if at <= counted and own > begun:
                at = self._last_seconds = math.nextafter(counted, math.inf)
        return at

    def _feed(self, message: Message, seconds: float) -> tuple[list[HeardStep], Performed | None]:
        since_start = self._counts_at(message, seconds)
        steps = self._steps(self._encoder.feed(since_start, message))
        gesture = self._gesture(message)
        if gesture is None:
            return steps, None
        self._has_more = True
        # A note that is shorter than a step ends in the next step.
        self._open_until_step = self._codec.step(since_start) + 2
        at = self._time.seconds(self._start + since_start)
        return steps, self.performed(at, gesture)

    def performed(self, seconds: float, gesture: Gesture) -> Performed:
        """Return a gesture together with what is held after it."""
        return Performed(seconds, gesture, len(self._keys), bool(self._held_by_pedal))

    def _gesture(self, message: Message) -> Gesture | None:
        """Return the gesture of a message, if it is one; keep track of the keys that are down."""
        kind, channel = message[0] & 0xF0, message[0] & 0x0F
        if channel == DRUM_CHANNEL or kind > CONTROL_CHANGE:
            return None
        if kind == CONTROL_CHANGE:
            return self._pedal(channel, message[2]) if message[1] == SUSTAIN else None
        if kind == NOTE_ON and message[2]:
            self._keys.add((channel, message[1]))
            return Gesture.KEY_DOWN
        if kind in (NOTE_ON, NOTE_OFF):
            self._lift((channel, message[1]))
            return Gesture.KEY_UP
        return None

    def _lift(self, key: tuple[int, int]) -> None:
        if key in self._keys and key[0] in self._pedals_down:
            self._held_by_pedal.add(key[0])
        self._keys.discard(key)

    def _pedal(self, channel: int, value: int) -> Gesture:
        """Return the gesture of the sustain pedal: down, up, or neither."""
        down = value >= SUSTAIN_DOWN
        if down == (channel in self._pedals_down):
            return Gesture.PEDAL
        if down:
            self._pedals_down.add(channel)
            return Gesture.PEDAL_DOWN
        self._pedals_down.discard(channel)
        self._held_by_pedal.discard(channel)
        return Gesture.PEDAL_UP

    def _steps(self, tokens: list[int]) -> list[HeardStep]:
        """Sort tokens of the encoder into what happens in each step."""
        happened: dict[int, tuple[list[int], list[tuple[int, int]], list[int]]] = {}
        for token in tokens:
            kind, value = self._codec.vocabulary.describe(token)
            if kind is TokenType.TIME_SHIFT:
                self._token_step += value
                continue
            if kind is TokenType.VELOCITY:
                self._velocity_bin = value
                continue
            offs, ons, pedal = happened.setdefault(self._token_step, ([], [], []))
            if kind is TokenType.NOTE_OFF:
                offs.append(value)
            elif kind is TokenType.NOTE_ON:
                ons.append((value, self._velocity_bin))
            else:
                pedal.append(value)
        return [
            HeardStep(step, tuple(offs), tuple(ons), tuple(pedal))
            for step, (offs, ons, pedal) in happened.items()
        ]
