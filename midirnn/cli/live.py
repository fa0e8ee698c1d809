"""``midirnn live``."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

from midirnn.cli.flags import flag, with_flags
from midirnn.live.base.options import live_config, live_options, read_options, renamed
from midirnn.live.modes import MODES

CONFIG = flag(
    "config",
    Path | None,
    None,
    help="TOML file with any of these options, one per line: silence_seconds = 0.5. Flags override "
    "the file.",
)
LEARN = flag(
    "learn",
    str | None,
    None,
    group="Controllers",
    help="Wait for the controller that you move next, assign it to this knob, and exit.",
)
QUIET = flag(
    "quiet",
    bool,
    False,
    name=["--quiet", "-q"],
    negative="",
    show_default=False,
    help="Print only errors.",
)
MODE_HELP = " ".join(f"{name}: {mode.summary}" for name, mode in MODES.items())


@with_flags(live_options().values(), CONFIG, QUIET, LEARN, help_of={"mode": MODE_HELP})
def live(**given: Any) -> None:
    """Play along: listen to a MIDI input, answer on an output.

    End it with Ctrl-C, SIGTERM or SIGHUP: every note gets its note-off, and the exit code is 0.
    `midirnn ports` lists the ports.
    """
    from midirnn.cli.status import Status
    from midirnn.live.equipment import make_python_punctual
    from midirnn.live.rig import Rig
    from midirnn.live.signals import EndSignals, stop_process
    from midirnn.live.view.keys import Keys, TerminalKeys

    file, knob = given.pop("config", None), given.pop("learn", None)
    status = Status(given.pop("quiet", False))
    options = renamed(read_options(file) if file else {}, status.tell)
    config = live_config(options | renamed(given, status.tell))
    if knob is not None:
        _learn(knob, config, status)
        return
    with EndSignals() as signals, Rig(config, report=status) as rig:
        make_python_punctual()
        with status.showing(rig):
            session = rig.session
            with TerminalKeys(Keys(session), status.tell) as keys:
                pause = partial(session.pause, keys.around(stop_process))
                rig.run(while_running=signals.running(session.stop, pause))
    status.end()
    guard = rig.session.console.guard
    if guard.acted:
        status.tell(guard.report())


def _learn(knob: str, config: Any, status: Any) -> None:
    """Learn which controller moves a knob, on the input of the configuration."""
    from midirnn.live.controls.learn import learn
    from midirnn.ports.port_set import PortSet

    limit = math.inf if config.seconds is None else config.seconds
    with PortSet(virtual=config.virtual, api=config.api, tell=status.tell) as ports:
        learn(
            knob,
            lambda hear: ports.open_input(config.input, hear),
            status.tell,
            path=config.controls,
            seconds=limit,
        )
