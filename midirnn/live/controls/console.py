"""The console: turns knobs, pads and other commands into effects on a session.

The terminal display is in ``midirnn.live.view``.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from midirnn.codecs import PerformanceCodec
from midirnn.codecs.controls import Controls
from midirnn.codecs.style import Style
from midirnn.live.base.channel_messages import is_note_on, is_reset, is_system
from midirnn.live.base.config import LiveConfig
from midirnn.live.base.messages import (
    Begin,
    Close,
    Delivery,
    HeardStep,
    Knobs,
    Pace,
    PlannedEvent,
    Recall,
    Request,
    Store,
    TakeUp,
)
from midirnn.live.base.playing import LAST_SOUND_SECONDS, Following, Source
from midirnn.live.controls.clock_input import ClockInput
from midirnn.live.controls.commands import (
    TURNS,
    ChangeConfig,
    ChangeMode,
    ChangeModel,
    Command,
    Effect,
    LoadPreset,
    MakeGesture,
    Note,
    Panic,
    Press,
    Replan,
    Say,
    StorePreset,
    TakeUpTuned,
    Tell,
)
from midirnn.live.controls.following import StyleFollower
from midirnn.live.controls.knobs import KNOBS, PRESETS, Scale, Value
from midirnn.live.controls.map import ControlChange, ControlMap
from midirnn.live.controls.panel import ASKED_BY, MODEL_INPUTS, Panel, PitchClasses, pace_of
from midirnn.live.controls.presets import Before, PresetBank
from midirnn.live.controls.scenes import Scenes
from midirnn.live.controls.set_list import KEPT_KNOBS, Scene
from midirnn.live.controls.takeover import Takeover
from midirnn.live.modes import MODES, Mode, mode_name
from midirnn.live.output.delivery import delivered
from midirnn.live.recovery.guard import CollapseGuard
from midirnn.live.timing.beat_gate import BeatGate
from midirnn.live.timing.stretch import Stretch
from midirnn.live.timing.tempo import Beats, ClockSender, next_beat
from midirnn.midievents import PROGRAM_CHANGE
from midirnn.parts import DRUM_CHANNEL
from midirnn.performance import NUM_PITCHES
from midirnn.ports.base import Message
from midirnn.sampling.filters import SamplingConfig

PRIMED = "primed"
"""The name of the stored hidden state after the performer's latest playing."""

FOLLOWED_SECONDS = 1.0
"""The least time between two updates of the key that the performer plays in."""

WAITED_SECONDS = 0.5
"""While all keys of the register are held, the guard looks again after this long."""

NO_SUCH_INPUT = (
    "the knob {name} has no effect: this model was trained without control inputs (train one with "
    "--control-inputs)"
)

BEYOND_LIMITS = "the tempo is {bpm:g}: the MIDI clock that is sent stays at {sent:g}"

NOTHING_TO_BLEND = (
    "the knob blend has no effect: this model is not tuned (midirnn tune, or --tune-between-sets)"
)

CHANGES = ("reset", "undo", "untune")
"""The switches that change the model's state."""

MODEL_IS_LOST = "{what} is not possible now: the model is being started again"


class Console:
    """Knobs, presets, clock and guard of a session. Owns their state, and the queued commands.

    ``beats`` is a clock to follow other than MIDI clock and our own (Ableton Link). ``steerable``
    is True if the model has the inputs that density, loudness and key need, and ``tuned`` if there
    is a base model to blend it with.
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
        scenes: Scenes | None = None,
        tuned: bool = False,
    ) -> None:
        self.config = config or LiveConfig()
        self.panel = Panel(
            {"follow": self.config.follow, "blend": self.config.blend, **(values or {})}
        )
        self.scenes = scenes or Scenes()
        self.bank = PresetBank(self.scenes.names)
        self.guard = CollapseGuard()
        self.performer = PitchClasses()
        self._clock_input = ClockInput()
        self.clock_in = self._clock_input.follower
        bpm = self.config.clock_out_bpm
        self.clock_out = None if bpm is None else ClockSender(bpm)
        """The MIDI clock that is sent, if any."""
        self._beyond = False
        """True while the tempo that is followed is beyond the limits of the clock that is sent."""
        self.beats: Beats = beats or self.clock_out or self.clock_in
        self.gate = BeatGate(self._next_beat)
        self.stretch = Stretch(self.beats, self.config.reference_bpm)
        self._sampling = sampling or SamplingConfig()
        self._map = control_map or ControlMap()
        self._takeover = Takeover(
            self.panel, on=self.config.takeover and not self.config.controls_out
        )
        self._steerable = steerable
        self._tuned = tuned
        self._tunings: list[str] = []
        """The folders of the tuned models taken up in this session, the latest last."""
        self._commands: deque[Command] = deque()
        self._performed: deque[tuple[int, float]] = deque()
        self._played: deque[tuple[float, int]] = deque()
        self._asked: Knobs | None = None
        self._stand: tuple[int, float, Style | None, float, bool] | None = None
        """What the last request was made from: the number of turns of the knobs, the guard's
        factor, the style followed, how closely, and whether the model draws what it plays."""
        self._knobs_at = 0.0
        self._following = StyleFollower(PerformanceCodec(), self.config.follow_seconds)
        self._model_plays = False
        self._draws_freely = True
        self._connected = True
        self._ends_at = self._last_sound_at = math.inf
        """When the model's turn ends, and from when on no note begins in it."""

    def connect(self, codec: PerformanceCodec, *, steerable: bool = True) -> None:
        """Take over the model's codec, and whether it has control inputs."""
        self._steerable = self._steerable and steerable
        self._following = StyleFollower(codec, self.config.follow_seconds)

    def take_mode(self, mode: Mode) -> None:
        """Set the mode's knob to the mode that the session begins in."""
        if (name := mode_name(mode)) in MODES:
            self.panel.place("mode", name)

    def sample_like(self, sampling: SamplingConfig) -> None:
        """Take over the sampling settings that apply until a knob is turned."""
        self._sampling = sampling
        self._asked, self._stand = self.knobs(-math.inf), None

    # For any thread.

    def command(self, commands: Iterable[Command]) -> None:
        """Queue commands, in this order. Thread-safe."""
        self._commands.extend(commands)

    def take(self, message: Message, seconds: float) -> bool:
        """Queue a MIDI message's commands; return False if it is music. Thread-safe."""
        if is_system(message) and not is_reset(message):
            if self.config.clock == "midi":
                self._clock_input.put(message, seconds)
            return True
        if self.scenes.has_list and message[0] & 0xF0 == PROGRAM_CHANGE:
            self.command([LoadPreset(message[1] + 1)])
            return True
        changes = self._map.translate(message)
        self.command([change for change in changes if self._takeover.admits(change)])
        return bool(changes)

    def hear_performer(self, message: Message, seconds: float) -> None:
        """Queue a message that the model hears, for a key that follows it. Thread-safe."""
        if is_note_on(message) and message[0] & 0x0F != DRUM_CHANNEL:
            self._performed.append((message[1], seconds))

    def hear_sent(self, message: Message, seconds: float) -> None:
        """Queue a message that the model has played, for the guard. Thread-safe."""
        if is_note_on(message):
            self._played.append((seconds, message[1]))

    # In the session's thread.

    @property
    def frozen(self) -> bool:
        """True while the model does not hear the performer."""
        return self.panel.pressed("freeze")

    def begin(self, mode: Mode, step_of: Callable[[float], int], now: float) -> list[Request]:
        """Return the requests with which the model begins, on the beat if it waited for one."""
        self._model_plays = True
        self._draws_freely = mode.source is Source.MODEL
        self.guard.begin(now)
        self._knobs_at = now
        following: Following = getattr(mode, "following", Following.LATEST)
        self._following.begin(following, now)
        start = max(now, self.gate.beat or now)
        begin = Begin(
            step_of(start),
            mode.source.value,
            at_once=self.gate.beat is not None,
            echo_threshold=self.config.echo_threshold,
            chord_notes=self.config.shadow_notes,
            players=self.config.players,
            network=self.config.network,
            keeps=self._draws_freely and following is not Following.LATEST,
        )
        return [
            *(request for change in self._ask(now) for request in change.requests),
            Store(PRIMED),
            self._of_turn(begin, mode, step_of, start),
        ]

    def _of_turn(
        self, begin: Begin, mode: Mode, step_of: Callable[[float], int], start: float
    ) -> Begin:
        """Return the request with the phrase that is answered and the end of the answer, if any."""
        phrase_start = getattr(mode, "answered_from", None)
        if mode.source is Source.PHRASE and phrase_start is not None:
            begin = replace(begin, phrase_step=step_of(phrase_start))
        if (end := mode.changes_at()) != self._ends_at:  # else a restarted model goes on with it
            self._ends_at = end
            self._last_sound_at = end - min(LAST_SOUND_SECONDS, (end - start) / 2.0)
        for close in self.close(step_of):
            begin = replace(begin, **vars(close))
        return begin

    def close(self, step_of: Callable[[float], int]) -> list[Close]:
        """Return the request with the steps at which the music ends at this tempo, if it does."""
        if not self._draws or self._ends_at == math.inf:
            return []
        return [Close(step_of(self._ends_at), step_of(self._last_sound_at))]

    def end(self) -> None:
        """Take note that the model has stopped playing."""
        self._model_plays = False
        self.guard.end()
        self._following.end()

    def perform(self, steps: Sequence[HeardStep], now: float) -> None:
        """Take what the performer did, to follow their style."""
        self._following.hear(steps, now)

    def heard(self, *, notes: bool) -> list[Request]:
        """Return the requests after the model has heard the performer: store its hidden state."""
        return [Store(PRIMED)] if notes and self._model_plays else []

    @property
    def _draws(self) -> bool:
        """True while the model plays music of its own."""
        return self._model_plays and self._draws_freely

    @property
    def delivery(self) -> Delivery:
        """How the model's plan is played at present."""
        return Delivery(self.stretch.map.rate, self.panel.number("balance"))

    def delivered(self, event: PlannedEvent) -> PlannedEvent:
        """Return a planned event at its clock time and with the balance knob applied."""
        return delivered(event, self.stretch.map, self.panel.number("balance"))

    def step(self, now: float, *, connected: bool = True) -> Iterator[Effect]:
        """Yield the effects of all commands until now.

        Carry out each effect before taking the next. While the model is not ``connected``, what
        only it can do is refused: it would not hear of it.
        """
        self._connected = connected
        if self.config.clock == "midi":
            yield from self._clock_input.step(now)
        yield from self._lead_clock()
        if self.stretch.follow(now):
            yield Replan()
        for _ in range(len(self._commands)):  # a flood of more must not hold up the music
            yield from self._obey(self._commands.popleft(), now)
        while self._performed:
            note = self._performed.popleft()
            if not self.frozen:
                self.performer.hear(*note)
        yield from self._ask(now)

    def _lead_clock(self) -> Iterator[Effect]:
        """Send our clock at the tempo that is followed; say once if that is beyond its limits."""
        sender, bpm = self.clock_out, self.beats.bpm
        if sender is None or self.beats is sender or not bpm:
            return
        sender.set_bpm(bpm)
        if (is_beyond := sender.bpm != bpm) and not self._beyond:
            yield Say(BEYOND_LIMITS.format(bpm=bpm, sent=sender.bpm))
        self._beyond = is_beyond

    def look_after(
        self, now: float, held: frozenset[int] = frozenset()
    ) -> tuple[list[Effect], float]:
        """Return the guard's remedies for music that has gone wrong, and when to look again.

        While the performer has ``held`` every pitch of the register, the model waits for one: that
        is no silence. Looking takes up to 2 ms: do not call this while a note waits to be heard.
        """
        while self._played:
            self.guard.hear_note(*self._played.popleft())
        if not (self.config.guard and self._draws):
            return [], math.inf  # echoes and chords are as sparse as the performer's notes
        lowest, highest = self.panel.register
        if held.issuperset(range(lowest, highest + 1)):
            self.guard.wait(now)
            return [], now + WAITED_SECONDS
        density = self.panel["density"]
        asked = density if isinstance(density, float) and self._steerable else None
        remedy = self.guard.look(now, asked)
        if remedy is None:
            return [], self.guard.looks_at(now)
        back = ", and back to your music" if remedy.go_back else ""
        note = Note(f"{remedy.fault}: temperature x {remedy.temperature_factor:.2g}{back}")
        return [note, *([ChangeModel((Recall(PRIMED),))] if remedy.go_back else [])], now

    def knobs(self, now: float) -> Knobs:
        """Return the knobs' settings for the model."""
        sampling = self.panel.sampling(self._sampling)
        factor = self.guard.temperature_factor(now)
        if factor != 1.0:
            warm = min(max(sampling.temperature, 0.1) * factor, 10.0)
            sampling = replace(sampling, temperature=warm)
        controls = Controls()
        if self._steerable:
            controls = self.panel.controls(self.performer, *self._following.style(now))
        lowest, highest = self.panel.register
        pace = Pace()
        if self._draws:
            pace = pace_of(controls, beside=self._following.beside)
        return Knobs(
            sampling,
            controls,
            lowest,
            highest,
            pace,
            self.panel.number("blend"),
            waits_for_key=highest - lowest + 1 < NUM_PITCHES,
        )

    def _ask(self, now: float) -> Iterator[ChangeModel]:
        """Yield the request for the knobs and the performer's style, if they have changed."""
        style, share = self._following.style(now)
        factor = self.guard.temperature_factor(now)
        stand = self.panel.turns, factor, style, share, self._draws
        follows = self.panel["key"] == "performer"
        if (follows and now < self._knobs_at) or (not follows and stand == self._stand):
            return
        self._stand, asked = stand, self.knobs(now)
        if asked == self._asked:
            return
        self._asked, self._knobs_at = asked, now + FOLLOWED_SECONDS
        yield ChangeModel((asked,))

    def _obey(self, command: Command, now: float) -> Iterator[Effect]:
        """Yield the effects of a command."""
        if isinstance(command, ControlChange):
            yield from self._turn(command, now)
        elif isinstance(command, Press):
            yield from self._press(command.name, now)
        elif isinstance(command, StorePreset):
            yield from self._store(command.preset, now)
        elif isinstance(command, TakeUpTuned) and not self._connected:
            self._commands.append(command)  # it can wait for the model
        elif isinstance(command, TakeUpTuned):
            self._tunings.append(command.folder)
            yield ChangeModel((TakeUp(command.folder),))
            yield Tell(command.told)
        else:
            yield from self._load(command.preset, now)

    def _store(self, preset: int | str, now: float) -> Iterator[Effect]:
        if (number := self.scenes.number(preset, new=True)) is None:
            yield Say(self.scenes.unknown(preset))
            return
        if not self._connected:
            yield Say(MODEL_IS_LOST.format(what=f"storing {self.scenes.words(number)}"))
            return
        scene = Scene(str(preset), str(self.panel["mode"]), self._kept, self._following.latest)
        yield from _change([*self.bank.store(number), *self.scenes.store(number, scene)])
        yield Tell(f"{self.scenes.words(number)} stored")

    def _load(self, preset: int | str, now: float) -> Iterator[Effect]:
        if (number := self.scenes.number(preset)) is None:
            yield Say(self.scenes.unknown(preset))
            return
        if not self._connected:
            yield Say(MODEL_IS_LOST.format(what=f"loading {self.scenes.words(number)}"))
            return
        before, scene = None, self.scenes.of(number)
        if scene is not None:
            before = self._before({**self._kept, "mode": self.panel["mode"]})
        requests = self.bank.load(number, before)
        yield from _change(requests)
        if requests and scene:
            yield from self._take_up(scene, now)
        yield Tell(f"{self.scenes.words(number)} {'loaded' if requests else 'is empty'}")

    def _before(self, knobs: Mapping[str, Value] | None = None) -> Before:
        """Return what undoing the next change restores besides the model's state."""
        return Before(self._following.latest, self._following.heard_at, knobs or {})

    def _take_up(self, scene: Scene, now: float) -> Iterator[Effect]:
        """Take over the knobs, style and mode of a preset of the set list."""
        if scene.style is not None:
            self._following.recall(scene.style, now)
        yield from self._turn_all({**scene.knobs, "mode": scene.mode}, now)

    def _turn_all(self, knobs: Mapping[str, Value], now: float) -> Iterator[Effect]:
        for name, value in knobs.items():
            yield from self._turn(ControlChange(name, value), now)

    @property
    def _kept(self) -> dict[str, Value]:
        """The knobs as a preset of a set list keeps them."""
        return self.panel.kept(KEPT_KNOBS, self._sampling)

    def _turn(self, change: ControlChange, now: float) -> Iterator[Effect]:
        """Yield the effects of turning a knob."""
        name, value = change.name, change.value
        is_new = self.panel.turn(change)
        if name == "mode":
            yield ChangeMode(str(value))
        elif not is_new:
            return
        elif name in MODEL_INPUTS and not self._steerable:
            yield Say(NO_SUCH_INPUT.format(name=name))
        elif name == "blend" and not (self._tuned or self._tunings):
            yield Say(NOTHING_TO_BLEND)
        elif name in ASKED_BY:
            self._knobs_at = now
        elif name == "balance":
            yield Replan()
        elif name == "answer_seconds":
            assert value is None or isinstance(value, float)
            self.config = replace(self.config, answer_seconds=value)
            yield ChangeConfig(self.config)
        elif name == "crossfade" and not self._connected:
            yield Say(MODEL_IS_LOST.format(what="a crossfade"))
        elif name == "crossfade":
            share = self.panel.number(name)
            requests = self.bank.crossfade(share)
            yield from _change(requests)
            done = f"crossfade: {share:.0%} of preset 2, the rest of preset 1"
            yield Tell(done if requests else "crossfade needs presets 1 and 2: store them first")
        elif KNOBS[name].scale is Scale.SWITCH and value:
            yield from self._press(name, now)

    def _press(self, name: str, now: float) -> Iterator[Effect]:
        """Yield the effects of pressing a switch."""
        if name in TURNS:
            yield MakeGesture(TURNS[name])
        elif name == "panic":
            yield Panic()
            yield Tell("panic: the model is silent until you play or give it the turn")
        elif name in CHANGES and not self._connected:
            yield Say(MODEL_IS_LOST.format(what=name))
        elif name == "reset":
            requests = self.bank.reset(self._before())
            self._following.forget()
            self.performer = PitchClasses()
            yield from _change(requests)
            yield Tell("reset: the model has forgotten everything")
        elif name == "undo":
            before, requests = self.bank.before, self.bank.undo()
            yield from _change(requests)
            if before is not None:
                self._following.recall(before.style, now, before.heard_at)
                yield from self._turn_all(before.knobs, now)
            yield Tell("undone" if requests else "there is nothing to undo")
        elif name == "untune":
            yield from self._untune()
        elif name in PRESETS:
            act = self._store if self.panel.pressed("store") else self._load
            yield from act(PRESETS[name], now)

    def _untune(self) -> Iterator[Effect]:
        """Yield the effects of going back to the model before it was last tuned in this session."""
        if not self._tunings:
            yield Tell("the model was not tuned in this session")
            return
        self._tunings.pop()
        yield ChangeModel((TakeUp(self._tunings[-1] if self._tunings else None),))
        yield Tell("the model is as it was before it was last tuned")

    def _next_beat(self, seconds: float) -> float:
        every = self.config.on_beat
        return seconds if every is None else next_beat(self.beats, seconds, every)


def _change(requests: Sequence[Request]) -> list[Effect]:
    return [ChangeModel(tuple(requests))] if requests else []
