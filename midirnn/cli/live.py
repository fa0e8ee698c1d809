"""``midirnn live``."""

from __future__ import annotations

import math
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from midirnn.cli.ports import how_to_hear
from midirnn.errors import OptionError
from midirnn.sampling.filters import SamplingConfig

if TYPE_CHECKING:
    from midirnn.live import Stance

SWITCH_SECONDS = 0.0005
"""How long Python lets the model's thread run while a message is due in another."""


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
        str, Parameter(help="call_and_response answers your phrases; autopilot plays on and on.")
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
    seed: Annotated[
        int | None, Parameter(help="The same seed draws the same way. [drawn, and printed]")
    ] = None,
    silence_seconds: Annotated[
        float, Parameter(help="A phrase of yours ends after so much silence.")
    ] = 1.0,
    answer_seconds: Annotated[
        float | None, Parameter(help="How long an answer lasts. [as long as your phrase]")
    ] = None,
    channel: Annotated[int, Parameter(help="The channel to play on, 1 to 16.")] = 1,
    seconds: Annotated[float | None, Parameter(help="Stop after so long. [at Ctrl-C]")] = None,
    quiet: Annotated[
        bool,
        Parameter(name=["--quiet", "-q"], negative="", show_default=False, help="Say nothing."),
    ] = False,
    sampling: Annotated[SamplingConfig | None, Parameter(name="*", group="Sampling")] = None,
) -> None:
    """Play along: listen to a MIDI input, answer on an output.

    Ctrl-C ends it, and so do SIGTERM and SIGHUP; each note gets its note-off first, and the exit
    code is 0. `midirnn ports` lists what can be opened.
    """
    import secrets

    from midirnn.engines.load import load
    from midirnn.live import LiveConfig, Session
    from midirnn.live.modes import make_mode
    from midirnn.live.signals import EndSignals
    from midirnn.ports import open_input, open_output
    from midirnn.sampling import Sampler

    if seconds is not None and not 0.0 < seconds < math.inf:
        raise OptionError(f"--seconds is {seconds:g}; it must be over 0")
    if seed is not None and seed < 0:
        raise OptionError(f"--seed is {seed}; it must be 0 or more")
    config = LiveConfig(
        silence_seconds=silence_seconds, answer_seconds=answer_seconds, channel=channel
    )
    chosen = make_mode(mode, config)
    used_seed = secrets.randbelow(2**32) if seed is None else seed
    loaded = load(model)
    sampler = Sampler(loaded.engine(engine), loaded.codec, sampling, seed=used_seed)
    status = Status(quiet)
    with ExitStack() as stack:
        output = stack.enter_context(open_output(output_name, virtual=virtual, api=api))
        session = Session(sampler, output, chosen, config, on_change=status.change)
        heard = None
        if mode != "autopilot" or input_name is not None or virtual:
            heard = open_input(input_name, session.receive, virtual=virtual, api=api)
            stack.enter_context(heard)
        status.tell(f"input: {heard.name if heard else 'none'}")
        status.tell(f"output: {output.name}, channel {channel}")
        if virtual:
            status.tell(how_to_hear(output.name))
        status.tell(f"{mode}: {chosen.summary} (model {model}, seed {used_seed})")
        sys.setswitchinterval(SWITCH_SECONDS)
        # The session ends first: its notes are released while its ports are open.
        signals = stack.enter_context(EndSignals())
        stack.enter_context(session)
        with signals.running(session.stop):
            session.run(math.inf if seconds is None else seconds)
    status.end()


class Status:
    """Tells what goes on: lines, and on a terminal a last line that changes in place."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._in_place = sys.stdout.isatty()
        self._line = ""

    def tell(self, line: str) -> None:
        """Nothing; the line is printed, unless all is quiet."""
        if not self._quiet:
            print(line, flush=True)

    def change(self, stance: Stance) -> None:
        """Nothing; what the model does now is printed."""
        from midirnn.live import Stance

        words = {Stance.LISTENS: "listening", Stance.PLAYS: "playing", Stance.BOTH: "playing"}
        if self._quiet:
            return
        if self._in_place:
            print(f"\r{words[stance]:<{len(self._line)}}", end="", flush=True)
        else:
            print(words[stance], flush=True)
        self._line = words[stance]

    def end(self) -> None:
        """Nothing; the line that changes in place is ended."""
        if self._in_place and self._line and not self._quiet:
            print()
