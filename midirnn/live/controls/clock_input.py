"""The incoming MIDI clock: its tempo, and its Stop and Start, which the model obeys."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from midirnn.live.controls.commands import Effect, Hold, Say
from midirnn.live.timing.clock_check import ClockCheck
from midirnn.live.timing.tempo import ClockFollower
from midirnn.ports.base import Message
from midirnn.ports.midi_clock import CLOCK, CONTINUE, START, STOP


class ClockInput:
    """Feeds the clock's messages to a follower. Owns the queued messages, and checks them."""

    def __init__(self) -> None:
        self.follower = ClockFollower()
        self._check = ClockCheck()
        self._waiting: deque[tuple[Message, float]] = deque()

    def put(self, message: Message, seconds: float) -> None:
        """Queue a message of the clock. Thread-safe."""
        self._waiting.append((message, seconds))

    def step(self, now: float) -> Iterator[Effect]:
        """Yield the effects of the messages that have come in."""
        self._check.begin(now)
        while self._waiting:
            message, seconds = self._waiting.popleft()
            self.follower.feed(message, seconds)
            if message[0] == CLOCK:
                self._check.feed(seconds)
            elif message[0] == STOP:
                yield Hold(True)
            elif message[0] in (START, CONTINUE):
                yield Hold(False)
        self.follower.expire(now)
        if fault := self._check.fault(now):
            yield Say(fault)
