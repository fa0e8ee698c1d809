"""What ``midirnn live`` takes about playing and controllers, and how a controller is learned."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from midirnn.errors import OptionError

if TYPE_CHECKING:
    from midirnn.live import LiveConfig
    from midirnn.live.controls import Binding, ControlMap
    from midirnn.live.timing.tempo import Beats
    from midirnn.ports import InputCallback, InputPort, Message


@dataclass(frozen=True)
class PlayingConfig:
    """How the model plays along: the flags of ``LiveConfig``."""

    silence_seconds: Annotated[
        float, Parameter(help="A phrase of yours ends after so much silence.")
    ] = 1.0
    answer_seconds: Annotated[
        float | None, Parameter(help="How long an answer lasts. [as long as your phrase]")
    ] = None
    phrase_end: Annotated[
        str,
        Parameter(
            help="What ends your phrase: silence, pedal_up, pedal_down, or only the foot switch."
        ),
    ] = "silence"
    on_beat: Annotated[
        float | None,
        Parameter(help="Answers begin where so many beats of the clock divide. [at once]"),
    ] = None
    channel: Annotated[int, Parameter(help="The channel to play on, 1 to 16.")] = 1
    program: Annotated[
        int | None, Parameter(help="The sound to choose there, 1 to 128. [as it is]")
    ] = None
    input_channels: Annotated[
        tuple[int, ...],
        Parameter(negative="", help="The channels to listen to. [all]", show_default=False),
    ] = ()
    thru: Annotated[
        bool, Parameter(negative="", show_default=False, help="Send your own notes on, too.")
    ] = False
    pedal_out: Annotated[
        bool,
        Parameter(
            negative="",
            show_default=False,
            help="Send long notes as short ones under the sustain pedal.",
        ),
    ] = False
    shadow_notes: Annotated[int, Parameter(help="What shadow adds to each onset.")] = 2
    echo_threshold: Annotated[
        float, Parameter(help="How likely echo wants a note, to keep it: 0 keeps all, 1 none.")
    ] = 0.03
    follow: Annotated[
        str, Parameter(help="The clock to keep time with: nothing, midi or link.")
    ] = "nothing"
    clock_out_bpm: Annotated[
        float | None, Parameter(help="Send MIDI clock, at this tempo. [none is sent]")
    ] = None
    reference_bpm: Annotated[
        float, Parameter(help="At this tempo of the clock the model's time is not stretched.")
    ] = 120.0
    lookahead_seconds: Annotated[float, Parameter(help="How far ahead to plan.")] = 1.0
    guard: Annotated[bool, Parameter(help="Lead the model out of silence, loops and babble.")] = (
        True
    )

    def config(self) -> LiveConfig:
        """The configuration; :class:`OptionError` if something in it is not allowed."""
        from midirnn.live import LiveConfig

        return LiveConfig(**asdict(self))


@dataclass(frozen=True)
class ControlConfig:
    """What controllers turn."""

    controls: Annotated[
        Path | None,
        Parameter(help="A TOML file of what turns which knob. [that of --learn, if there is one]"),
    ] = None
    learn: Annotated[
        str | None,
        Parameter(
            help="Wait for the controller that is moved next, have it turn this knob from now on, "
            "and end."
        ),
    ] = None

    @property
    def path(self) -> Path:
        """The file of the control map."""
        from midirnn.live.controls import default_path

        return self.controls or default_path()

    def read(self) -> ControlMap:
        """The control map: that of the file, or the one that works out of the box."""
        from midirnn.live.controls import ControlMap

        if self.controls is None and not self.path.exists():
            return ControlMap()
        return ControlMap.read(self.path)


def join_link(config: LiveConfig, stack: ExitStack) -> Beats | None:
    """The beats of Ableton Link, if they are to be followed. The stack's end leaves the session."""
    from midirnn.live import MonotonicClock
    from midirnn.live.timing.link import LinkBeats

    if config.follow != "link":
        return None
    return stack.enter_context(
        LinkBeats(MonotonicClock(), config.clock_out_bpm or config.reference_bpm)
    )


def learn(
    control: ControlConfig,
    open_input: Callable[[InputCallback], InputPort],
    tell: Callable[[str], None],
    seconds: float = math.inf,
) -> None:
    """Nothing; the file says that what was moved next turns the knob.

    Raises :class:`OptionError` if nothing has moved after ``seconds``.
    """
    from midirnn.live.controls import ControlMap, Learner

    assert control.learn is not None
    learner = Learner(control.learn)
    path = control.path
    known = ControlMap.read(path) if path.exists() else ControlMap()
    moved = threading.Event()
    found: list[Binding] = []

    def hear(message: Message, at: float) -> None:
        binding = learner.feed(message)
        if binding is not None:
            found.append(binding)
            moved.set()

    heard = open_input(hear)
    tell(f"move what is to turn {learner.knob.name}, on {heard.name}")
    if not moved.wait(min(seconds, threading.TIMEOUT_MAX)):
        raise OptionError(f"nothing was moved on {heard.name!r} for {seconds:g} s")
    learned = known.bind(learner.knob.name, found[0])
    learned.write(path)
    tell(f"{found[0]} turns {learner.knob.name} (written to {path})")
    for name in sorted(set(known.bindings) - set(learned.bindings)):
        tell(f"nothing turns {name} any more")
