"""The rig: builds a session from its configuration, with ports, a model process and a recording.

It is used by the command line, web pages, tests and scripts::

    with Rig(LiveConfig(mode="duet", audio=True)) as rig:
        rig.run(seconds=60)
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from midirnn.codecs import require_playable
from midirnn.engines.load import ENGINES, load
from midirnn.errors import OptionError
from midirnn.live.base.config import LiveConfig
from midirnn.live.base.messages import ModelSettings
from midirnn.live.base.observers import Observer, Observers
from midirnn.live.base.playing import Source
from midirnn.live.controls.console import Console
from midirnn.live.controls.controls_out import ControlsOut
from midirnn.live.controls.map import ControlMap
from midirnn.live.controls.scenes import Scenes
from midirnn.live.controls.set_list import SetList
from midirnn.live.equipment import (
    about_session,
    free_sound_file,
    join_link,
    open_osc,
    with_ensemble,
)
from midirnn.live.model_process.process import ModelProcess
from midirnn.live.modes import make_mode
from midirnn.live.recording.event_log import EventLog
from midirnn.live.recording.recorder import recorded
from midirnn.live.report import NoReport, Report
from midirnn.live.session import Session
from midirnn.live.view.display import StageView
from midirnn.live.view.monitor import Monitor
from midirnn.live.view.units import UnitStream
from midirnn.ports.advice import how_to_hear
from midirnn.ports.base import InputCallback, InputPort, OutputPort
from midirnn.ports.claims import claimed
from midirnn.ports.port_set import PortSet
from midirnn.probing.watching import read_watched

if TYPE_CHECKING:
    from midirnn.live.between_sets import BetweenSets
    from midirnn.live.osc.port import OscPort

FILE_DRIVER = "file"
"""FluidSynth's driver that writes to a file instead of playing."""

OWN_OUTPUT = "the output is virtual: if midirnn itself is killed, nobody can end its notes there"


SHARED_OUTPUT = (
    "another midirnn plays on {name!r} already: notes may be struck twice. End one of them"
)

NO_BEAT = (
    "--on-beat has no effect without a clock: add --clock midi, --clock link or --clock-out-bpm 120"
)


class Rig:
    """A session with all that it needs. Owns its ports, model process and recording.

    Use it in a ``with`` statement: ``session`` is then ready to run, and the end of the statement
    releases every note. ``output`` is an open port to play on, by default the one that the
    configuration names. ``open_input`` is called with the session's callback and returns the port
    that calls it; by default that is the one that the configuration names, or none if ``output``
    was given and no input is named: then call ``session.receive`` with each message.
    ``observers`` are told all that happens, ``report`` what a user should know. Errors in the
    configuration are raised before a port is opened.
    """

    session: Session
    monitor: Monitor
    input: InputPort | None
    output: OutputPort

    def __init__(
        self,
        config: LiveConfig | None = None,
        *,
        output: OutputPort | None = None,
        open_input: Callable[[InputCallback], InputPort] | None = None,
        observers: Sequence[Observer] = (),
        report: Report | None = None,
    ) -> None:
        self.config = config = config or LiveConfig()
        self.mode = make_mode(config.mode, config)
        self.control_map = ControlMap.load(config.controls)
        if config.engine not in ENGINES:
            raise OptionError(
                f"there is no engine {config.engine!r}; known are {', '.join(ENGINES)}"
            )
        blend = 1.0 if config.tune_between_sets else config.blend  # there may be no tuned model yet
        self._model = load(config.model, blend=blend)
        require_playable(self._model.codec, "midirnn live")
        self.settings = ModelSettings(
            model=config.model,
            engine=self._model.playing_engine(config.engine),
            sampling=config.sampling,
            seed=secrets.randbelow(2**32) if config.seed is None else config.seed,
            channel=config.channel - 1,
            keep_warm=config.keep_warm,
            blend=config.blend,
            tunable=config.tune_between_sets,
        )
        usual = config.network == LiveConfig.network and config.players == LiveConfig.players
        if self.mode.source is Source.ENSEMBLE or not usual:  # the mode may change later
            self.config = config = with_ensemble(config)
        self._set_list = SetList.open(config.set_list, self._model) if config.set_list else None
        self._output = output
        self._open_input = open_input
        self._observers = observers
        self._report: Report = report or NoReport()
        self._log: EventLog | None = None
        self._osc: OscPort | None = None
        self._between: BetweenSets | None = None
        self._process: ModelProcess | None = None
        self._stack = ExitStack()

    def begin_loading(self) -> None:
        """Start the model's process before the rig is entered, so that it is ready sooner.

        Call :meth:`close` if the rig might not be entered.
        """
        if self._process is not None:
            return
        settings = self.settings = replace(self.settings, start_seconds=time.monotonic())
        self._process = self._stack.enter_context(
            ModelProcess(settings, self._model.codec, spare=self.config.spare)
        )

    def close(self) -> None:
        """Close everything that is open, as the end of the ``with`` statement does."""
        self._stack.close()

    def __enter__(self) -> Self:
        self.begin_loading()
        process, self._process = self._process, None
        assert process is not None
        with self._stack.pop_all() as stack:
            self._build(stack, process)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    def run(
        self,
        seconds: float | None = None,
        *,
        while_running: AbstractContextManager[object] | None = None,
    ) -> None:
        """Play for that many seconds, by default as configured; then end every note.

        ``while_running`` is entered around the loop, and exited before notes are ended.
        """
        limit = self.config.seconds if seconds is None else seconds
        with self.session, while_running or nullcontext():
            self.session.run(math.inf if limit is None else limit)

    def look(self, now: float) -> StageView:
        """Return what a terminal shows of the session at that clock time."""
        return self.monitor.view(now, self.session.view())

    def _build(self, stack: ExitStack, process: ModelProcess) -> None:
        """Put everything together, in order of dependency, while the process loads its weights."""
        config, report, settings = self.config, self._report, self.settings
        if config.osc is not None:
            self._osc = stack.enter_context(open_osc(config.osc, config, report.warn))
        ports = stack.enter_context(
            PortSet(virtual=config.virtual, api=config.api, tell=self._note)
        )
        self.output = self._open_output(ports, stack)
        if self._output is None and not (config.virtual or config.audio):
            if not stack.enter_context(claimed(self.output.name)):
                report.warn(SHARED_OUTPUT.format(name=self.output.name))
            process.protect(self.output)  # a port of our own would vanish with us
        self._log = stack.enter_context(
            recorded(
                config.record,
                settings,
                self._model.folder,
                about_session(config),
                tell=report.tell,
                warn=report.warn,
            )
        )
        self._between = self._make_between(settings.start_seconds)
        self.session = self._make_session(process, ports, stack)
        if self._between is not None:
            stack.callback(self._between.end)
            self._between.begin(self.session)
        self.input = self._listen(ports, stack)
        ports.watch()
        if self._controls_out is not None:
            stack.enter_context(self._controls_out)
        self._introduce()
        if self._osc is not None:
            report.tell(f"OSC: listens at {self._osc}")
            self._osc.serve(self.session, self.session.console.stretch.map)
        process.wait_until_ready()
        report.tell(
            f"{config.mode}: {self.mode.summary} (model {config.model}, seed {settings.seed})"
        )
        stack.enter_context(self.session)  # closed first, so that notes are released

    def _open_output(self, ports: PortSet, stack: ExitStack) -> OutputPort:
        if self._output is not None:
            return ports.keep("out", self._output)
        if not self.config.audio:
            return ports.open_output(self.config.output)
        from midirnn.audio.synthesizer import Synthesizer

        config = self.config
        path = free_sound_file() if config.audio_driver == FILE_DRIVER else None
        synthesizer = Synthesizer(
            config.soundfont, driver=config.audio_driver, gain=config.audio_gain, path=path
        )
        if path is not None:
            self._report.tell(f"the sound is written to {path} and not heard")
        return ports.keep("out", synthesizer)

    def _make_session(self, process: ModelProcess, ports: PortSet, stack: ExitStack) -> Session:
        config, settings, report = self.config, self.settings, self._report
        console = Console(
            config,
            control_map=self.control_map,
            beats=join_link(config, stack),
            steerable=self._model.config.control_inputs,
            scenes=Scenes(self._set_list, report.warn),
            tuned=self._model.base is not None,
        )
        if self._set_list is not None:
            stack.callback(self._set_list.close)
        self.monitor = Monitor(
            settings.start_seconds, settings.sampling, ports.seen, console.stretch.map
        )
        logs: list[Observer] = [] if self._log is None else [self._log]
        units = UnitStream(
            read_watched(self._model.folder, self._model.config), console.stretch.map
        )
        tellers: list[Observer] = [] if self._osc is None else [self._osc.teller]
        if self._between is not None:
            tellers.append(self._between)
        self._controls_out = self._open_controls_out(ports, console)
        shows: list[Observer] = [] if self._controls_out is None else [self._controls_out]
        return Session(
            process,
            self.output,
            self.mode,
            config,
            console=console,
            on_change=report.change,
            on_trouble=report.warn,
            on_notice=report.tell,
            observer=Observers([*logs, self.monitor, units, *tellers, *shows, *self._observers]),
            units=units,
        )

    def _make_between(self, start_seconds: float) -> BetweenSets | None:
        """Return the tuner between sets, if configured and if there is a recording."""
        if not self.config.tune_between_sets or self._log is None:
            return None
        from midirnn.live.between_sets import BetweenSets

        base = self._model.base or self._model
        place = self._log.path.with_suffix("").resolve()
        return BetweenSets(str(base.folder), place, start_seconds, tell=self._note)

    def _listen(self, ports: PortSet, stack: ExitStack) -> InputPort | None:
        """Open the input, if one is needed."""
        if self._open_input is not None:
            return ports.keep("in", self._open_input(self.session.receive))
        if self._output is not None and self.config.input is None:
            return None
        config, follows = self.config, self.config.clock == "midi"
        if not (config.mode != "autopilot" or config.input or config.virtual or follows):
            return None
        return ports.open_input(config.input, self.session.receive, clock=follows)

    def _open_controls_out(self, ports: PortSet, console: Console) -> ControlsOut | None:
        """Open the output that sends the knobs' values to a controller, if configured."""
        if self.config.controls_out is None:
            return None
        port = ports.open_output(self.config.controls_out)
        self._report.tell(f"controls: {port.name} is told where the knobs stand")
        return ControlsOut(
            port,
            self.control_map,
            lambda: console.panel.values,
            lambda: console.bank.kept,
            self._report.warn,
        )

    def _introduce(self) -> None:
        """Report the ports."""
        report, config = self._report, self.config
        report.tell(f"input: {self.input.name if self.input else 'none'}")
        report.tell(f"output: {self.output.name}, channel {config.channel}")
        if self._set_list is not None:
            report.tell(self._set_list.about())
        if config.on_beat is not None and config.clock == "nothing" and not config.clock_out_bpm:
            report.tell(NO_BEAT)
        if config.virtual and not config.audio and self._output is None:
            report.tell(how_to_hear(self.output.name))
            report.tell(OWN_OUTPUT)

    def _note(self, line: str) -> None:
        """Report a line, and write it to the recording."""
        self._report.tell(line)
        if self._log is not None:
            self._log.noted(line, time.monotonic())
