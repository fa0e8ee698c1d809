"""A check of this machine: its ports, and how long things take. Finishes in seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from midirnn.engines.load import Model
from midirnn.errors import MidirnnError, PortError
from midirnn.live.base.clock import MonotonicClock
from midirnn.live.base.messages import Begin, ModelSettings, Plan, PlannedEvent
from midirnn.live.model_process.process import ModelProcess
from midirnn.live.output.scheduler import Scheduler
from midirnn.live.output.sent import SentEvent
from midirnn.midievents import NOTE_OFF, NOTE_ON
from midirnn.ports import (
    MemoryOutput,
    Message,
    OutputPort,
    PortListing,
    RtMidiInput,
    open_input,
    open_output,
)
from midirnn.ports.base import InputCallback
from midirnn.sampling import Sampler

TIGHT_SECONDS, PACED_SECONDS, PAUSE_SECONDS = 0.4, 2.5, 0.01
WARM_UP_STEPS = 10

MESSAGES, GAP_SECONDS = 150, 0.006
"""How many messages are timed, and how far apart."""

ARRIVAL_SECONDS = 1.0
"""How long to wait for the last message."""

TOKENS_PER_SECOND = 40.0
"""The rate of tokens in piano music, from the training data sets."""

BURST_STEPS = 100
"""The look-ahead covers a burst of this many steps, each as slow as the slowest 5 %.

The single slowest step says little: it depends on what else the machine did at that moment.
"""

LOOKAHEADS = (1.0, 1.5, 2.0, 3.0, 4.0)
HEAVY_LOAD, MOST_LOAD = 0.4, 0.8
"""Shares of the time spent computing: above the first the load is heavy, above the second the model
cannot keep up."""

LATE_MS, SLOW_LOOP_MS = 5.0, 15.0
"""Above these, late notes are audible."""


@dataclass(frozen=True)
class Spread:
    """Statistics of some times, in milliseconds."""

    count: int
    median_ms: float
    p95_ms: float
    p99_ms: float
    worst_ms: float

    @classmethod
    def of(cls, milliseconds: Sequence[float]) -> Spread:
        """Return the statistics of at least one time."""
        return cls(len(milliseconds), *np.percentile(milliseconds, [50, 95, 99, 100]).tolist())

    def __str__(self) -> str:
        return f"median {self.median_ms:.2f} ms, 99% under {self.p99_ms:.2f}, at most " + (
            f"{self.worst_ms:.2f} ({self.count})"
        )


@dataclass
class Checkup:
    """Results of a check. What could not be measured is None, and ``why_not`` says why."""

    model: str
    engine: str = ""
    ports: list[dict[str, str]] = field(default_factory=list)
    systems_missing: dict[str, str] = field(default_factory=dict)
    step_tight: Spread | None = None
    step_paced: Spread | None = None
    lateness: Spread | None = None
    realtime: bool = False
    loopback: Spread | None = None
    loopback_lost: int = 0
    sound: str | None = None
    why_not: dict[str, str] = field(default_factory=dict)

    @property
    def load(self) -> float | None:
        """The share of its playing time that the model spends computing."""
        if self.step_paced is None:
            return None
        return TOKENS_PER_SECOND * self.step_paced.median_ms / 1e3

    @property
    def burst_seconds(self) -> float:
        """The duration of a burst of steps that are all as slow as the slowest 5 %."""
        return BURST_STEPS * self.step_paced.p95_ms / 1e3 if self.step_paced else 0.0

    @property
    def lookahead_seconds(self) -> float:
        """How far ahead to plan on this machine: enough for a burst of slow steps, if possible."""
        return next((s for s in LOOKAHEADS if s >= self.burst_seconds), LOOKAHEADS[-1])

    @property
    def can_play(self) -> bool:
        """True if the model keeps up with the music."""
        return self.load is not None and self.load <= MOST_LOAD

    def to_dict(self) -> dict[str, Any]:
        """Return the results as a dict for JSON."""
        about = asdict(self)
        return about | {
            "load": self.load,
            "burst_seconds": self.burst_seconds,
            "lookahead_seconds": self.lookahead_seconds,
            "can_play": self.can_play,
            "advice": advice(self),
        }


def advice(found: Checkup) -> list[str]:
    """Return advice on the results; none if all is well."""
    return [line for applies, line in _ADVICE if applies(found)]


_ADVICE: tuple[tuple[Callable[[Checkup], bool], str], ...] = (
    (
        lambda found: found.load is not None and found.load > MOST_LOAD,
        "the model is too slow here: use a smaller one, or pip install 'midirnn[fast]'",
    ),
    (
        lambda found: found.load is not None and HEAVY_LOAD < found.load <= MOST_LOAD,
        "the model takes much of the time: close other programs, or pip install 'midirnn[fast]'",
    ),
    (
        lambda found: not found.realtime,
        "sending does not run in real time: allow it with ulimit -r (on Linux, join the group "
        "audio or realtime, and log in again)",
    ),
    (
        lambda found: found.lateness is not None and found.lateness.p99_ms > LATE_MS,
        "notes are sent late: close other programs, or switch the processor's energy saving off",
    ),
    (
        lambda found: found.loopback is not None and found.loopback.p99_ms > SLOW_LOOP_MS,
        "the way through the MIDI system is slow: with JACK, a shorter period helps",
    ),
    (
        lambda found: found.loopback_lost > 0,
        "the MIDI system lost messages: with JACK, a longer period or real time (-R) helps",
    ),
    (
        lambda found: not found.ports and found.sound is None,
        "there is no MIDI port: plug in an instrument or start a synthesizer, or hear midirnn by "
        "itself: pip install 'midirnn[audio]', then midirnn live --audio",
    ),
    (
        lambda found: not found.ports and found.sound is not None,
        "there is no MIDI port: plug in an instrument, or hear midirnn with midirnn live --audio",
    ),
)


def examine(model: Model, engine: str, listing: PortListing, api: str | None = None) -> Checkup:
    """Examine this machine. Raises only errors of the model."""
    found = Checkup(model.name)
    found.ports = [asdict(row) for row in listing.ports]
    found.systems_missing = {failure.api: failure.reason for failure in listing.failures}
    stepping = model.engine(engine := model.playing_engine(engine))
    found.engine = stepping.name
    sampler = Sampler(stepping, model.codec, seed=0)
    found.step_tight = time_steps(sampler, TIGHT_SECONDS)
    found.step_paced = time_steps(sampler, PACED_SECONDS, PAUSE_SECONDS)
    _try(found, "lateness", lambda: _examine_sending(found, model, engine))
    _try(found, "loopback", lambda: _examine_loop(found, api))
    _try(found, "sound", lambda: _examine_sound(found))
    return found


def _try(found: Checkup, what: str, examination: Callable[[], None]) -> None:
    try:
        examination()
    except MidirnnError as error:
        found.why_not[what] = str(error)


def time_steps(sampler: Sampler[Any], seconds: float, pause_seconds: float = 0.0) -> Spread:
    """Time steps of the model, sampling included. With pauses between them, caches are cold."""
    clock = time.perf_counter
    for _ in range(WARM_UP_STEPS):
        sampler.next()
    end, milliseconds = clock() + seconds, []
    while (begun := clock()) < end:
        sampler.next()
        milliseconds.append(1e3 * (clock() - begun))
        if pause_seconds:
            time.sleep(pause_seconds)
    return Spread.of(milliseconds)


def _examine_sending(found: Checkup, model: Model, engine: str) -> None:
    """Time the sending thread while a model process steps as fast as it can."""
    settings = ModelSettings(str(model.folder), engine)
    with ModelProcess(settings, model.codec) as process:
        process.wait_until_ready()
        process.ask((Begin(0), Plan(-1, 0, 10**7, 10**6)))
        late_ms, not_realtime = time_sending()
    found.lateness = Spread.of(late_ms)
    found.realtime = not_realtime is None
    if not_realtime is not None:
        found.why_not["realtime"] = not_realtime


def time_sending() -> tuple[list[float], str | None]:
    """Return how late messages are sent, in ms, and why not in real time (None if it is)."""
    clock, sent, all_sent = MonotonicClock(), list[SentEvent](), threading.Event()

    def note(event: SentEvent) -> None:
        sent.append(event)
        if len(sent) == MESSAGES:
            all_sent.set()

    scheduler = Scheduler(MemoryOutput(), clock, max_note_seconds=60.0, on_sent=note)
    start = clock.now() + 0.05
    scheduler.add(
        PlannedEvent(number, start + number * GAP_SECONDS, _message(number))
        for number in range(MESSAGES)
    )
    scheduler.start()
    all_sent.wait(MESSAGES * GAP_SECONDS + ARRIVAL_SECONDS)
    scheduler.close()
    late = [1e3 * (event.seconds - event.due_seconds) for event in sent[:MESSAGES]]
    return late, scheduler.not_realtime


def _message(number: int) -> Message:
    """Return note-ons and note-offs of one pitch in turn, with different velocities."""
    return (NOTE_OFF if number % 2 else NOTE_ON, 60, 1 + number % 127)


def _examine_loop(found: Checkup, api: str | None) -> None:
    milliseconds, lost = time_loop(api)
    found.loopback_lost = lost
    if milliseconds:
        found.loopback = Spread.of(milliseconds)


def time_loop(api: str | None = None) -> tuple[list[float], int]:
    """Return how long messages take from one port to another, and how many were lost.

    Raises :class:`PortError` if no virtual port can be opened.
    """
    name = "midirnn checkup"
    return _time_way(
        lambda hear: open_input(name, hear, virtual=True, api=api),
        lambda ear: open_output(name, api=ear.api),
    )


def time_there_and_back(
    output: str, back: str | None = None, api: str | None = None
) -> list[float]:
    """Return how long messages take from an output to the input ``back`` that it is wired to.

    By default that is the input with the same name. Raises :class:`PortError` if there are no such
    ports, or if messages do not come back.
    """
    milliseconds, lost = _time_way(
        lambda hear: open_input(back or output, hear, api=api),
        lambda ear: open_output(output, api=api),
    )
    if lost:
        raise PortError(
            f"of {MESSAGES} messages to {output!r}, {lost} did not come back from "
            f"{back or output!r}: connect the one with the other, by a cable or in the instrument"
        )
    return milliseconds


def _time_way(
    open_ear: Callable[[InputCallback], RtMidiInput],
    open_voice: Callable[[RtMidiInput], OutputPort],
) -> tuple[list[float], int]:
    """Return how long messages take from the voice to the ear, in ms, and how many were lost.

    If any were lost, no times are returned.
    """
    arrived: list[float] = []
    sent: list[float] = []
    all_arrived = threading.Event()
    expected = {_message(number) for number in range(MESSAGES)}

    def hear(message: Message, seconds: float) -> None:
        if message in expected:  # an instrument may send other messages as well
            arrived.append(seconds)
            if len(arrived) == MESSAGES:
                all_arrived.set()

    with open_ear(hear) as ear, open_voice(ear) as voice:
        for number in range(MESSAGES):
            sent.append(time.monotonic())
            voice.send(_message(number))
            time.sleep(GAP_SECONDS)
        all_arrived.wait(ARRIVAL_SECONDS)
    if len(arrived) < MESSAGES:
        return [], MESSAGES - len(arrived)
    return [1e3 * (there - here) for here, there in zip(sent, arrived, strict=True)], 0


def _examine_sound(found: Checkup) -> None:
    from midirnn.audio.synthesizer import find_soundfont, load_fluidsynth

    load_fluidsynth()
    found.sound = f"FluidSynth with {find_soundfont().name}"
