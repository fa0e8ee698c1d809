"""The console, of knobs and pads: what the performer turns while playing, and what becomes of it.

What a terminal shows is elsewhere: ``monitor``, ``display`` and ``terminal``.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from midirnn.codecs.controls import Controls
from midirnn.live.base.channel_messages import is_system
from midirnn.live.base.config import LiveConfig
from midirnn.live.base.messages import Begin, Knobs, PlannedEvent, Recall, Request, Store
from midirnn.live.controls import (
    KNOBS,
    ControlChange,
    ControlMap,
    Panel,
    PitchClasses,
    Scale,
    Value,
)
from midirnn.live.controls.panel import MODEL_INPUTS
from midirnn.live.controls.presets import StateBank
from midirnn.live.modes import MODES, Gesture, Mode, Source
from midirnn.live.output.delivery import Delivery, delivered
from midirnn.live.recovery.guard import CollapseGuard
from midirnn.live.timing.beat_gate import BeatGate
from midirnn.live.timing.stretch import Stretch
from midirnn.live.timing.tempo import Beats, ClockFollower, ClockSender, next_beat
from midirnn.midievents import NOTE_ON
from midirnn.ports.base import Message
from midirnn.sampling.filters import SamplingConfig

MOODS = {f"mood_{slot}": slot for slot in range(1, 9)}
ASKED_BY = ("temperature", "top_p", "density", "loudness", "key", "lowest_pitch", "highest_pitch")
"""Knobs that are asked of the model."""

PRIMED = "primed"
"""The name of the state that the performer's playing has left the model in."""

FOLLOWED_SECONDS = 1.0
"""How often the model is told what key the performer plays in."""

NO_SUCH_INPUT = "this model was not trained with control inputs: it has no {name} knob"


class Instrument(Protocol):
    """What the console plays upon: a session, in whose thread all of this happens."""

    mode: Mode

    def change_model(self, requests: Sequence[Request], now: float) -> None:
        """Nothing; the model does this next, behind what has sounded."""
        ...

    def change_mode(self, name: str, now: float) -> None:
        """Nothing; the session is in a mode of that name."""
        ...

    def change_config(self, config: LiveConfig) -> None:
        """Nothing; this is the configuration from now on."""
        ...

    def gesture(self, gesture: Gesture, now: float) -> None:
        """Nothing; the mode knows that the performer did that."""
        ...

    def replan(self, now: float) -> None:
        """Nothing; what is planned is dropped and planned anew."""
        ...

    def panic(self, now: float) -> None:
        """Nothing; every note has ended, and the model rests until a key goes down."""
        ...


class Console:
    """Knobs, moods, clock and guard of a session. Owns where they stand, and what waits.

    ``beats`` is a clock to follow that neither comes in by MIDI nor is our own (Link, that is).
    ``steerable`` says whether the model has the inputs that density, loudness and key need.
    ``on_trouble`` is told what the performer must know, ``on_note`` what the guard has done.
    """

    def __init__(
        self,
        config: LiveConfig | None = None,
        sampling: SamplingConfig | None = None,
        *,
        control_map: ControlMap | None = None,
        values: dict[str, Value] | None = None,
        beats: Beats | None = None,
        steerable: bool = True,
        on_trouble: Callable[[str], None] = lambda text: None,
        on_note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.config = config or LiveConfig()
        self.panel = Panel(values)
        self.bank = StateBank()
        self.guard = CollapseGuard()
        self.performer = PitchClasses()
        self.clock_in = ClockFollower()
        bpm = self.config.clock_out_bpm
        self.clock_out = None if bpm is None else ClockSender(bpm)
        """The clock that is sent, if one is."""
        self.beats: Beats = beats or self.clock_out or self.clock_in
        self.gate = BeatGate(self._next_beat)
        self.stretch = Stretch(self.beats, self.config.reference_bpm)
        self.on_trouble = on_trouble
        self.on_note = on_note
        self._sampling = sampling or SamplingConfig()
        self._map = control_map or ControlMap()
        self._steerable = steerable
        self._changes: deque[ControlChange] = deque()
        self._performed: deque[tuple[int, float]] = deque()
        self._clocks: deque[tuple[Message, float]] = deque()
        self._played: deque[tuple[float, int]] = deque()
        self._asked: Knobs | None = None
        self._stand: tuple[int, float] | None = None
        """What the knobs were asked at: how often they had been turned, and the guard's factor."""
        self._knobs_at = 0.0
        self._model_plays = False
        self._draws_freely = True

    def connect(self, sampling: SamplingConfig) -> None:
        """Nothing; this is how the model draws while no knob is turned."""
        self._sampling = sampling
        self._asked, self._stand = self.knobs(-math.inf), None

    # For any thread.

    def take(self, message: Message, seconds: float) -> bool:
        """Whether the message is for the console, not for the model."""
        if is_system(message):
            if self.config.follow == "midi":
                self._clocks.append((message, seconds))
            return True
        changes = self._map.translate(message)
        self._changes.extend(changes)
        if not changes and len(message) == 3 and message[0] & 0xF0 == NOTE_ON and message[2]:
            self._performed.append((message[1], seconds))
        return bool(changes)

    def hear_sent(self, message: Message, seconds: float) -> None:
        """Nothing; the model has played that."""
        if message[0] & 0xF0 == NOTE_ON and message[2]:
            self._played.append((seconds, message[1]))

    # In the session's thread.

    @property
    def frozen(self) -> bool:
        """Whether the model does not hear the performer."""
        return self.panel.pressed("freeze")

    def begin(self, mode: Mode, step_of: Callable[[float], int], now: float) -> list[Request]:
        """What to ask so that the model begins to play, on the beat if it waited for one."""
        self._model_plays = True
        self._draws_freely = mode.source is Source.MODEL
        self.guard.begin(now)
        at_once = self.gate.beat is not None
        return [
            Store(PRIMED),
            Begin(
                step_of(max(now, self.gate.beat or now)),
                mode.source.value,
                at_once=at_once,
                echo_threshold=self.config.echo_threshold,
                chord_notes=self.config.shadow_notes,
            ),
        ]

    def end(self) -> None:
        """Nothing; the model plays no more."""
        self._model_plays = False
        self.guard.end()

    def heard(self, *, notes: bool) -> list[Request]:
        """What to ask when the model has heard the performer: to remember where that led it."""
        return [Store(PRIMED)] if notes and self._model_plays else []

    @property
    def delivery(self) -> Delivery:
        """What the model's plan is played with now."""
        return Delivery(self.stretch.map.rate, self.panel.number("balance"))

    def delivered(self, event: PlannedEvent) -> PlannedEvent:
        """A planned event at its time of the clock, and at the balance that is set."""
        return delivered(event, self.stretch.map, self.panel.number("balance"))

    def step(self, instrument: Instrument, now: float) -> None:
        """Nothing; what was turned until now has been done."""
        while self._clocks:
            self.clock_in.feed(*self._clocks.popleft())
        self.clock_in.expire(now)
        if self.clock_out is not None and self.beats is not self.clock_out and self.beats.bpm:
            self.clock_out.set_bpm(self.beats.bpm)
        if self.stretch.follow(now):
            instrument.replan(now)
        while self._performed:
            self.performer.hear(*self._performed.popleft())
        while self._changes:
            self._turn(self._changes.popleft(), instrument, now)
        self._ask(instrument, now)

    def look_after(self, instrument: Instrument, now: float) -> float:
        """The time to come again; where the model has gone astray, it is led back.

        Looking takes up to 2 ms: not while a note waits to be heard.
        """
        while self._played:
            self.guard.hear_note(*self._played.popleft())
        if not (self.config.guard and self._model_plays and self._draws_freely):
            return math.inf  # what follows the performer's notes is as sparse as they are
        density = self.panel["density"]
        asked = density if isinstance(density, float) and self._steerable else None
        remedy = self.guard.look(now, asked)
        if remedy is not None:
            back = ", and back to your music" if remedy.go_back else ""
            self.on_note(f"{remedy.fault}: temperature x {remedy.temperature_factor:.2g}{back}")
            if remedy.go_back:
                instrument.change_model([Recall(PRIMED)], now)
            return now
        return self.guard.looks_at(now)

    def knobs(self, now: float) -> Knobs:
        """What to ask of the model, the way that the knobs stand."""
        sampling = self.panel.sampling(self._sampling)
        factor = self.guard.temperature_factor(now)
        if factor != 1.0:
            warm = min(max(sampling.temperature, 0.1) * factor, 10.0)
            sampling = replace(sampling, temperature=warm)
        controls = self.panel.controls(self.performer) if self._steerable else Controls()
        lowest, highest = self.panel.register
        return Knobs(sampling, controls, lowest, highest)

    def _ask(self, instrument: Instrument, now: float) -> None:
        """Ask for what the knobs say, if that has changed."""
        stand = self.panel.turns, self.guard.temperature_factor(now)
        follows = self.panel["key"] == "performer"
        if (follows and now < self._knobs_at) or (not follows and stand == self._stand):
            return
        self._stand, asked = stand, self.knobs(now)
        if asked == self._asked:
            return
        self._asked, self._knobs_at = asked, now + FOLLOWED_SECONDS
        instrument.change_model([asked], now)

    def _turn(self, change: ControlChange, instrument: Instrument, now: float) -> None:
        """Do what a knob says."""
        name, value = change.name, change.value
        is_new = self.panel.turn(change)
        if name == "mode":
            if type(instrument.mode) is not MODES[str(value)]:
                instrument.change_mode(str(value), now)
            return
        if not is_new:
            return
        if name in MODEL_INPUTS and not self._steerable:
            self.on_trouble(NO_SUCH_INPUT.format(name=name))
        elif name in ASKED_BY:
            self._knobs_at = now
        elif name == "balance":
            instrument.replan(now)
        elif name == "answer_seconds":
            assert value is None or isinstance(value, float)
            self.config = replace(self.config, answer_seconds=value)
            instrument.change_config(self.config)
        elif name == "crossfade":
            instrument.change_model(self.bank.crossfade(self.panel.number(name)), now)
        elif KNOBS[name].scale is Scale.SWITCH and value:
            self._press(name, instrument, now)

    def _press(self, name: str, instrument: Instrument, now: float) -> None:
        """Do what a switch says that was pressed."""
        if name == "switch":
            instrument.gesture(Gesture.SWITCH, now)
        elif name == "panic":
            instrument.panic(now)
        elif name == "reset":
            instrument.change_model(self.bank.reset(), now)
        elif name == "undo":
            instrument.change_model(self.bank.undo(), now)
        elif name in MOODS:
            keeps = self.panel.pressed("store")
            act = self.bank.store if keeps else self.bank.recall
            instrument.change_model(act(MOODS[name]), now)

    def _next_beat(self, seconds: float) -> float:
        every = self.config.on_beat
        return seconds if every is None else next_beat(self.beats, seconds, every)
