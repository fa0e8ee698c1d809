"""A stage for tests: a small model, a manual clock, ports in memory, a performer by schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from midirnn.codecs import Limits, PerformanceCodec
from midirnn.codecs.performance import GrammarState, TokenType
from midirnn.engines.base import StepEngine
from midirnn.engines.load import Model
from midirnn.engines.numpy_engine import NumpyEngine
from midirnn.engines.state import EngineState
from midirnn.live import LiveConfig, ManualClock, Mode, Session, Stance
from midirnn.live.base.observers import Observer, Observers
from midirnn.live.controls.console import Console
from midirnn.live.controls.scenes import Scenes
from midirnn.live.improviser.planner import Planner
from midirnn.live.model_process.link import LocalModel
from midirnn.models.checkpoint import expected_shapes, write_checkpoint
from midirnn.models.config import ModelConfig
from midirnn.ports import MemoryOutput, Message
from midirnn.sampling import Sampler, SamplerState, SamplingConfig
from midirnn.sampling.constraints.masks import Budget
from midirnn.sampling.repetition import Repetition
from midirnn.sampling.rests import Rest

START_SECONDS = 1000.0

Schedule = Iterable[tuple[float, Message]]
"""(seconds from the start, message)"""

Tokens: TypeAlias = "tuple[int, Tokens | None]"
"""The last token, and those before it."""


@cache
def tiny_model(codec: PerformanceCodec | None = None) -> Model:
    """A model of random weights that plays about ten notes a second."""
    used = codec or PerformanceCodec()
    rng = np.random.default_rng(0)
    config = ModelConfig(
        vocab_size=used.vocab_size, embedding_size=16, hidden_size=16, num_layers=1
    )
    weights = {
        name: (rng.standard_normal(shape) * 0.3).astype(np.float32)
        for name, shape in expected_shapes(config).items()
    }
    shifts = used.vocabulary.slice_of(TokenType.TIME_SHIFT)
    weights["output.bias"][shifts] += 1.0 - 0.1 * np.arange(shifts.stop - shifts.start)
    if TokenType.PEDAL in used.vocabulary.slices:
        weights["output.bias"][used.vocabulary.slice_of(TokenType.PEDAL)] += 3.0
    return Model("tiny", Path(), config, used, weights, {})


def write_tiny_model(folder: Path) -> Path:
    """The folder, which holds the tiny model."""
    model = tiny_model()
    write_checkpoint(folder, model.config, model.codec, model.weights, {})
    return folder


@dataclass(frozen=True)
class CheckedState(SamplerState):
    tokens: Tokens | None

    def __reduce__(self) -> tuple[Any, ...]:
        return checked_state, (
            self.engine,
            self.grammar,
            self.rng,
            self.repetition,
            self.rest,
            self.budget,
            list_of(self.tokens),
        )


def checked_state(
    engine: EngineState,
    grammar: GrammarState,
    rng: dict[str, Any],
    repetition: Repetition,
    rest: Rest,
    budget: Budget,
    tokens: list[int],
) -> CheckedState:
    link: Tokens | None = None
    for token in tokens:
        link = (token, link)
    return CheckedState(engine, grammar, rng, repetition, rest, budget, link)


def list_of(link: Tokens | None) -> list[int]:
    tokens: list[int] = []
    while link is not None:
        token, link = link
        tokens.append(token)
    return tokens[::-1]


class CheckingSampler(Sampler):
    """A sampler that hears nothing which its grammar forbids, and knows all that it has heard.

    How many notes may sound is for those that are drawn: all that a performer holds is heard. What
    it goes back on by :meth:`restore` it has not heard.
    """

    _tokens: Tokens | None = None

    @property
    def tokens(self) -> list[int]:
        """The tokens heard and drawn."""
        return list_of(self._tokens)

    def latest(self, count: int) -> list[int]:
        """The last of them, as many as that, if there are so many."""
        tokens, link = [], self._tokens
        while link is not None and len(tokens) < count:
            token, link = link
            tokens.append(token)
        return tokens[::-1]

    def hear(self, tokens: Iterable[int]) -> None:
        for token in tokens:
            grammar = self.codec.constraint(Limits(self.config.max_note_seconds))
            if not grammar.mask(self.grammar_state)[token]:
                what = self.codec.vocabulary.describe(token)
                raise AssertionError(f"the grammar forbids {what} after {self.latest(5)}")
            self._tokens = (token, self._tokens)
            super().hear([token])

    def snapshot(self) -> CheckedState:
        state = super().snapshot()
        return CheckedState(*(getattr(state, f.name) for f in fields(state)), self._tokens)

    def restore(self, state: SamplerState, *, restore_rng: bool = True) -> None:
        assert isinstance(state, CheckedState)
        self._tokens = state.tokens
        super().restore(state, restore_rng=restore_rng)


class WrappedEngine:
    """An engine that does something before each step."""

    def __init__(self, engine: StepEngine, before: Callable[[], None]) -> None:
        self._engine = engine
        self._before = before
        self.config = engine.config
        self.reset, self.logits = engine.reset, engine.logits
        self.snapshot, self.restore = engine.snapshot, engine.restore
        self.warm_up, self.precompute = engine.warm_up, engine.precompute

    def feed(self, token: int, held: npt.NDArray[np.bool_]) -> None:
        self._before()
        self._engine.feed(token, held)


class Notes(Observer):
    """An observer that keeps what was noted."""

    def __init__(self, notes: list[str]) -> None:
        self._notes = notes

    def noted(self, text: str, seconds: float) -> None:
        self._notes.append(text)


class Stage:
    """A session at a manual clock. Its times are seconds from the start.

    ``before_step`` runs before each step of the model: it may take time, or fail. Its weights are
    random, and it babbles: there is a ``guard`` only where one is asked for.
    """

    def __init__(
        self,
        mode: str | Mode,
        config: LiveConfig | None = None,
        *,
        codec: PerformanceCodec | None = None,
        sampling: SamplingConfig | None = None,
        seed: int = 0,
        start_seconds: float = START_SECONDS,
        guard: bool = False,
        on_notice: Callable[[str], None] = lambda text: None,
        scenes: Scenes | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        config = replace(config or LiveConfig(), guard=guard)
        model = tiny_model(codec)
        self.before_step: Callable[[], None] = lambda: None
        engine = WrappedEngine(NumpyEngine(model.config, model.weights), lambda: self.before_step())
        self.start = start_seconds
        self.clock = ManualClock(start_seconds)
        self.output = MemoryOutput(clock=self.clock.now)
        self.sampler = CheckingSampler(engine, model.codec, sampling, seed=seed)
        self.changes: list[tuple[float, Stance]] = []
        self.troubles: list[str] = []
        self.notes: list[str] = []
        self.session = Session(
            self.sampler,
            self.output,
            mode,
            config,
            clock=self.clock,
            on_change=lambda stance: self.changes.append((self.now, stance)),
            on_trouble=self.troubles.append,
            on_notice=on_notice,
            observer=Observers([Notes(self.notes), *observers]),
            console=Console(config, scenes=scenes),
        )

    @property
    def planner(self) -> Planner:
        """The planner of the model, which runs in this process."""
        assert isinstance(self.session.model, LocalModel)
        return self.session.model.server.planner

    @property
    def planned_until(self) -> float:
        """The time that the plan has reached."""
        return self.planner.seconds_of(self.planner.step)

    @property
    def model_pitches(self) -> list[int]:
        """The notes of the model that sound at the end of the plan."""
        return self.planner._stream.model_pitches

    def rewind(self) -> None:
        """The model is where the music is."""
        self.planner.rewind(self.session.scheduler.cut(), 0)

    @property
    def now(self) -> float:
        return round(self.clock.now() - self.start, 6)

    def perform(self, schedule: Schedule) -> None:
        """The performer will play this."""
        for seconds, message in schedule:
            at = self.start + seconds
            self.clock.at(at, lambda at=at, message=message: self.session.receive(message, at))  # type: ignore[misc]

    def run(self, seconds: float) -> None:
        """Play on for so long; the notes sound on at the end."""
        self.session.run(seconds, sending_thread=False)

    def play(self, seconds: float) -> list[tuple[float, Message]]:
        """What was sent in so many seconds and at the end."""
        with self.session:
            self.run(seconds)
        return self.sent

    @property
    def sent(self) -> list[tuple[float, Message]]:
        """(seconds from the start, message) of all that was sent."""
        return [(round(at - self.start, 6), message) for at, message in self.output.sent]


def is_note_on(message: Sequence[int]) -> bool:
    return message[0] & 0xF0 == 0x90 and message[2] > 0


def is_note_off(message: Sequence[int]) -> bool:
    return message[0] & 0xF0 == 0x80


def at_note_on(action: Callable[[], object]) -> Callable[[Message, float], None]:
    """What an output does for each message: the action when it is a note-on."""

    def on_send(message: Message, seconds: float) -> None:
        if is_note_on(message):
            action()

    return on_send


def note_ons(sent: Iterable[tuple[float, Message]]) -> list[float]:
    """The times of the note-ons."""
    return [seconds for seconds, message in sent if is_note_on(message)]


def sounding(messages: Iterable[Message]) -> set[tuple[int, int]]:
    """The (channel, pitch) that sound at the end; no note begins twice or ends unbegun."""
    notes: set[tuple[int, int]] = set()
    for message in messages:
        key = (message[0] & 0x0F, message[1])
        if is_note_on(message):
            assert key not in notes, f"{message} begins a note that sounds"
            notes.add(key)
        elif is_note_off(message):
            assert key in notes, f"{message} ends a note that does not sound"
            notes.remove(key)
    return notes


def pedals_down(messages: Iterable[Message]) -> set[int]:
    """The channels on which the sustain pedal is down at the end."""
    down: set[int] = set()
    for message in messages:
        if message[0] & 0xF0 == 0xB0 and message[1] == 64:
            (down.add if message[2] >= 64 else down.discard)(message[0] & 0x0F)
    return down


def note(start: float, end: float, pitch: int, velocity: int = 80) -> list[tuple[float, Message]]:
    """A note of the performer."""
    return [(start, (0x90, pitch, velocity)), (end, (0x80, pitch, 0))]
