"""``midirnn live``."""

from __future__ import annotations

import math
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from midirnn.cli.playing import ControlConfig, PlayingConfig, join_link, learn
from midirnn.cli.ports import how_to_hear
from midirnn.cli.stage import SoundConfig, StagePorts, Status, about_session, recording
from midirnn.errors import OptionError
from midirnn.live.modes import MODES
from midirnn.sampling.filters import SamplingConfig

SWITCH_SECONDS = 0.0005
"""How long Python lets another thread run while a message is due."""


def live(
    *,
    input_name: Annotated[
        str | None,
        Parameter(
            name=["--input", "-i"],
            help="The MIDI input to listen to, or a part of its name. [the only one; autopilot "
            "plays without one]",
        ),
    ] = None,
    output_name: Annotated[
        str | None,
        Parameter(
            name=["--output", "-o"],
            help="The MIDI output to play on, or a part of its name. [the only one]",
        ),
    ] = None,
    mode: Annotated[
        str,
        Parameter(help=" ".join(f"{name}: {mode.summary}" for name, mode in MODES.items())),
    ] = "call_and_response",
    virtual: Annotated[
        bool,
        Parameter(
            negative="",
            show_default=False,
            help="Open an input and an output of our own, under these names, to connect to.",
        ),
    ] = False,
    api: Annotated[
        str | None, Parameter(help="alsa, jack, coremidi or winmm. [the first that answers]")
    ] = None,
    model: Annotated[str, Parameter(help="A model's name, folder or training run.")] = "piano",
    engine: Annotated[
        str, Parameter(help="auto, numpy or onnxruntime; auto is onnxruntime where installed.")
    ] = "auto",
    keep_warm: Annotated[
        bool,
        Parameter(help="Occupy a processor while there is music: faster reactions, warmer laptop."),
    ] = True,
    seed: Annotated[
        int | None, Parameter(help="The same seed draws the same way. [drawn, and printed]")
    ] = None,
    seconds: Annotated[float | None, Parameter(help="Stop after so long. [at Ctrl-C]")] = None,
    record: Annotated[
        Path | None,
        Parameter(help="Record into this folder: MIDI, and a log to replay. [nothing is recorded]"),
    ] = None,
    quiet: Annotated[
        bool,
        Parameter(
            name=["--quiet", "-q"],
            negative="",
            show_default=False,
            help="Say nothing while all is well.",
        ),
    ] = False,
    sound: Annotated[SoundConfig | None, Parameter(name="*", group="Sound")] = None,
    playing: Annotated[PlayingConfig | None, Parameter(name="*", group="Playing")] = None,
    control: Annotated[ControlConfig | None, Parameter(name="*", group="Controllers")] = None,
    sampling: Annotated[SamplingConfig | None, Parameter(name="*", group="Sampling")] = None,
) -> None:
    """Play along: listen to a MIDI input, answer on an output.

    Ctrl-C ends it, and so do SIGTERM and SIGHUP; each note gets its note-off first, and the exit
    code is 0. `midirnn ports` lists what can be opened.
    """
    import gc
    import secrets
    import time

    from midirnn.engines.load import ENGINES, load
    from midirnn.live import MonotonicClock, Session
    from midirnn.live.base.messages import ModelSettings
    from midirnn.live.controls.console import Console
    from midirnn.live.model_process.process import ModelProcess
    from midirnn.live.modes import make_mode, mode_name
    from midirnn.live.recording.observers import Observers
    from midirnn.live.signals import EndSignals
    from midirnn.live.view.monitor import Monitor
    from midirnn.live.view.terminal import Terminal

    if seconds is not None and not 0.0 < seconds < math.inf:
        raise OptionError(f"--seconds is {seconds:g}; it must be over 0")
    if seed is not None and seed < 0:
        raise OptionError(f"--seed is {seed}; it must be 0 or more")
    status = Status(quiet)
    config = (playing or PlayingConfig()).config()
    chosen = make_mode(mode, config)
    controllers = control or ControlConfig()
    if controllers.learn is not None:
        with ExitStack() as stack:
            ports = StagePorts(stack, virtual=virtual, api=api, tell=status.tell)
            wait = math.inf if seconds is None else seconds
            learn(controllers, lambda hear: ports.open_input(input_name, hear), status.tell, wait)
        return
    control_map = controllers.read()
    if engine not in ENGINES:
        raise OptionError(f"there is no engine {engine!r}; known are {', '.join(ENGINES)}")
    settings = ModelSettings(
        model=model,
        engine=engine,
        sampling=sampling or SamplingConfig(),
        seed=secrets.randbelow(2**32) if seed is None else seed,
        start_seconds=time.monotonic(),
        channel=config.channel - 1,
        keep_warm=keep_warm,
    )
    hearing = sound or SoundConfig()
    hearing.check(output_name)
    loaded = load(model)
    with ExitStack() as stack:
        # It loads its weights while the ports are opened.
        process = stack.enter_context(ModelProcess(settings, loaded.codec))
        ports = StagePorts(stack, virtual=virtual, api=api, tell=status.note)
        if hearing.audio:
            output = ports.open_synthesizer(hearing)
        else:
            output = ports.open_output(output_name)
        if not (virtual or hearing.audio):  # one of our own would vanish with us
            process.protect(output)
        about = about_session(mode, config)
        log = stack.enter_context(recording(record, settings, loaded.folder, about, status))
        console = Console(
            config,
            control_map=control_map,
            beats=join_link(config, stack),
            steerable=loaded.config.control_inputs,
        )
        time_map = console.stretch.map
        monitor = Monitor(settings.start_seconds, mode, settings.sampling, ports.seen, time_map)
        session = Session(
            process,
            output,
            chosen,
            config,
            console=console,
            on_change=lambda stance: status.change(stance, mode_name(session.mode)),
            on_trouble=status.warn,
            on_notice=status.tell,
            observer=Observers([monitor] if log is None else [log, monitor]),
        )
        heard = None
        follows = config.follow == "midi"
        if mode != "autopilot" or input_name is not None or virtual or follows:
            heard = ports.open_input(input_name, session.receive, clock=follows)
        ports.watch()
        status.tell(f"input: {heard.name if heard else 'none'}")
        status.tell(f"output: {output.name}, channel {config.channel}")
        if virtual and not hearing.audio:
            status.tell(how_to_hear(output.name))
            status.tell(
                "the output is one of our own: if midirnn itself is killed, nobody can end its "
                "notes there"
            )
        process.wait_until_ready()
        status.tell(f"{mode}: {chosen.summary} (model {model}, seed {settings.seed})")
        sys.setswitchinterval(SWITCH_SECONDS)
        gc.collect()
        gc.freeze()  # what was loaded is never searched again: that would hold up every thread
        # The session ends first: its notes are released while its ports are open.
        signals = stack.enter_context(EndSignals())
        if sys.stdout.isatty() and not quiet:
            status.monitor = monitor
            stack.callback(status.leave_monitor)
            stack.enter_context(Terminal(monitor.view, MonotonicClock()))
        stack.enter_context(session)
        with signals.running(session.stop):
            session.run(math.inf if seconds is None else seconds)
    status.end()
    if console.guard.acted:
        status.tell(console.guard.report())
