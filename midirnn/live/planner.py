"""The planner: the model's notes ahead of time, and back to what has sounded.

It knows no clock and no port. What goes in and out is plain data (steps heard, the number of the
event sent last, planned events), so that it can run in a process of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from midirnn.live.listener import HeardStep
from midirnn.live.scheduler import PlannedEvent
from midirnn.live.stream import ModelNote, SharedStream, StreamState
from midirnn.sampling import Sampler


class Planner:
    """Draws the model's events ahead of time. Owns the stream and the snapshots behind the plan.

    ``start_seconds`` is the time of step 0, ``channel`` (0 to 15) what the notes are on. Before
    anything is heard or released while a plan is out, :meth:`rewind` takes the stream back to what
    has sounded of it.
    """

    def __init__(self, sampler: Sampler, *, start_seconds: float = 0.0, channel: int = 0) -> None:
        self._stream = SharedStream(sampler)
        self._steps_per_second = sampler.codec.steps_per_second
        self._start = start_seconds
        self._channel = channel
        self._number = 0
        self._base = self._stream.snapshot()
        self._planned: deque[tuple[int, StreamState]] = deque()

    @property
    def seconds(self) -> float:
        """The time that the plan has reached."""
        return self._seconds(self._stream.step)

    @property
    def model_pitches(self) -> list[int]:
        """What the model has sounding at the end of the plan."""
        return self._stream.model_pitches

    def begin(self, step: int) -> None:
        """Nothing; the model plays from that step on."""
        self._stream.begin(step)
        self._base = self._stream.snapshot()

    def draw(self, earliest_step: int) -> list[PlannedEvent]:
        """The events of the model's next token; mostly one or none."""
        return [self._plan(note) for note in self._stream.draw(earliest_step)]

    def forget(self, last_sent: int) -> None:
        """Nothing; what was sent up to that number will not be taken back."""
        while self._planned and self._planned[0][0] <= last_sent:
            self._base = self._planned.popleft()[1]

    def rewind(self, last_sent: int) -> None:
        """Nothing; the stream is where it was after the event sent last, or heard since."""
        self.forget(last_sent)
        self._planned.clear()
        self._stream.restore(self._base)

    def hear(self, steps: Iterable[HeardStep]) -> list[int]:
        """The pitches of the model that end by what the performer did, which is heard."""
        notes: list[ModelNote] = []
        for step in steps:
            notes += self._stream.write(step.step, step.note_offs, step.note_ons)
        return self._settle(notes)

    def release(self, step: int) -> list[int]:
        """The pitches of the model that sound: they have ended in that step."""
        return self._settle(self._stream.release(step))

    def rest(self, step: int) -> list[int]:
        """The pitches of the model that end by it; it rests until that step."""
        return self._settle(self._stream.rest(step))

    def _settle(self, notes: Sequence[ModelNote]) -> list[int]:
        """Go on from here, whatever is rewound."""
        self._base = self._stream.snapshot()
        return [note.pitch for note in notes]

    def _plan(self, note: ModelNote) -> PlannedEvent:
        status, pitch, velocity = note.message
        event = PlannedEvent(
            self._number, self._seconds(note.step), (status | self._channel, pitch, velocity)
        )
        self._planned.append((self._number, note.state))
        self._number += 1
        return event

    def _seconds(self, step: int) -> float:
        return self._start + step / self._steps_per_second
