"""What stands around a live session: ports that outlive their devices, recording, the terminal."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from cyclopts import Parameter

from midirnn.errors import MidirnnError, OptionError, RecordingError

if TYPE_CHECKING:
    from midirnn.live import LiveConfig, Stance
    from midirnn.live.base.messages import ModelSettings
    from midirnn.live.recording.event_log import EventLog
    from midirnn.live.view.monitor import Monitor
    from midirnn.ports import InputCallback, InputPort, OutputPort, Port
    from midirnn.ports.lasting import LastingInput, LastingOutput

Tell = Callable[[str], None]
P = TypeVar("P", bound="Port")

RECORDING_NAME = "%Y-%m-%d-%H%M%S"
"""How recordings are called: by the time at which they begin."""

FILE_DRIVER, SOUND_FILE = "file", "fluidsynth.wav"
"""FluidSynth's way to no loudspeaker, and where it writes what would sound."""


@dataclass(frozen=True)
class SoundConfig:
    """How to hear the model without a synthesizer."""

    audio: Annotated[
        bool,
        Parameter(
            negative="",
            show_default=False,
            help="Play by FluidSynth through the loudspeakers, in place of a MIDI output.",
        ),
    ] = False
    soundfont: Annotated[
        Path | None, Parameter(help="Its sounds, a .sf2 file. [the best that is installed]")
    ] = None
    audio_driver: Annotated[
        str | None, Parameter(help="Its way to the loudspeakers, such as alsa. [one that works]")
    ] = None

    def check(self, output_name: str | None) -> None:
        """Raise :class:`OptionError` for flags that contradict each other or go unheard."""
        if self.audio and output_name is not None:
            raise OptionError("--audio plays in place of a MIDI output: leave out --output")
        if not self.audio and (self.soundfont or self.audio_driver):
            raise OptionError("--soundfont and --audio-driver are for --audio")


class Status:
    """Tells what goes on: lines or, once there is a ``monitor``, what the terminal shows.

    Without a monitor, on a terminal, the last line changes in place.
    """

    def __init__(self, quiet: bool) -> None:
        self.monitor: Monitor | None = None
        self.log: EventLog | None = None
        self._quiet = quiet
        self._in_place = sys.stdout.isatty()
        self._line = ""

    def tell(self, line: str) -> None:
        """Nothing; the line is printed, unless all is quiet."""
        if self.monitor is not None:
            self.monitor.tell(line)
        elif not self._quiet:
            print(line, flush=True)

    def note(self, line: str) -> None:
        """Nothing; the line is told, and stands in the log, if there is one."""
        self.tell(line)
        if self.log is not None:
            self.log.noted(line, time.monotonic())

    def warn(self, text: str) -> None:
        """Nothing; what went wrong is printed to standard error, quiet or not."""
        if self.monitor is not None:
            self.monitor.tell(text)
            return
        if self._in_place and self._line:
            print(flush=True)
        print(f"midirnn: {text}", file=sys.stderr, flush=True)

    def change(self, stance: Stance, mode: str) -> None:
        """Nothing; what the model does now is printed, or shown with the mode that it is in."""
        from midirnn.live import Stance

        words = {Stance.LISTENS: "listening", Stance.PLAYS: "playing", Stance.BOTH: "playing"}
        if self.monitor is not None:
            self.monitor.does(words[stance], mode)
        elif self._quiet:
            return
        elif self._in_place:
            print(f"\r{words[stance]:<{len(self._line)}}", end="", flush=True)
        else:
            print(words[stance], flush=True)
        self._line = words[stance]

    def leave_monitor(self) -> None:
        """Nothing; lines are printed again, since nothing more is drawn."""
        self.monitor, self._line = None, ""

    def end(self) -> None:
        """Nothing; the line that changes in place is ended."""
        if self._in_place and self._line and not self._quiet:
            print()


class StagePorts:
    """The ports of a session, closed with the stack. Those of the machine outlive their devices."""

    def __init__(self, stack: ExitStack, *, virtual: bool, api: str | None, tell: Tell) -> None:
        self._stack = stack
        self._virtual = virtual
        self._api = api
        self._tell = tell
        self._lasting: list[LastingInput | LastingOutput] = []
        self._others: list[tuple[str, str, bool]] = []

    def open_output(self, name: str | None) -> OutputPort:
        """The MIDI output of that name, opened."""
        from midirnn.ports import RtMidiOutput, open_output
        from midirnn.ports.lasting import LastingOutput

        port: OutputPort = open_output(name, virtual=self._virtual, api=self._api)
        if not isinstance(port, RtMidiOutput):
            return self._keep("out", port)

        def reopen(name: str, api: str) -> RtMidiOutput:
            return open_output(name, virtual=self._virtual, api=api)

        lasting = LastingOutput(port, reopen, virtual=self._virtual, tell=self._tell)
        self._lasting.append(lasting)
        return self._stack.enter_context(lasting)

    def open_input(
        self, name: str | None, callback: InputCallback, *, clock: bool = False
    ) -> InputPort:
        """The MIDI input of that name, opened; with ``clock`` it lets MIDI clock through."""
        from midirnn.ports import Ignored, RtMidiInput, open_input
        from midirnn.ports.lasting import HeldDown, LastingInput

        held = HeldDown(callback)
        ignored = Ignored(clock=not clock)
        port: InputPort = open_input(
            name, held, virtual=self._virtual, api=self._api, ignored=ignored
        )
        if not isinstance(port, RtMidiInput):
            return self._keep("in", port)

        def reopen(name: str, api: str) -> RtMidiInput:
            return open_input(name, held, virtual=self._virtual, api=api, ignored=ignored)

        lasting = LastingInput(port, reopen, held, virtual=self._virtual, tell=self._tell)
        self._lasting.append(lasting)
        return self._stack.enter_context(lasting)

    def open_synthesizer(self, sound: SoundConfig) -> OutputPort:
        """The built-in synthesizer, which sounds."""
        from midirnn.live.output.audio import Synthesizer

        synthesizer = Synthesizer(sound.soundfont, driver=sound.audio_driver)
        if sound.audio_driver == FILE_DRIVER:
            self._tell(f"the sound goes into {Path(SOUND_FILE).absolute()}, and is not heard")
        return self._keep("out", synthesizer)

    def watch(self) -> None:
        """Nothing; from now on it is noticed when a port vanishes or returns."""
        from midirnn.ports.watch import PortWatch

        systems = {port.api for port in self._lasting}
        if systems:
            api = systems.pop() if len(systems) == 1 else None
            self._stack.enter_context(PortWatch([port.look for port in self._lasting], api=api))

    def seen(self) -> tuple[tuple[str, str, bool], ...]:
        """(what, name, whether it is there) of each port."""
        words = {"input": "in", "output": "out"}
        lasting = [(words[port.direction], port.name, port.present) for port in self._lasting]
        return (*self._others, *lasting)

    def _keep(self, what: str, port: P) -> P:
        """The port, which does not vanish."""
        self._others.append((what, port.name, True))
        self._stack.enter_context(port)
        return port


@contextmanager
def recording(
    folder: Path | None,
    settings: ModelSettings,
    model_folder: Path,
    about: dict[str, Any],
    status: Status,
) -> Iterator[EventLog | None]:
    """The event log of a session, in that folder, with a MIDI file beside it at the end.

    None without a folder. One that cannot be written is told in one line, and keeps nobody from
    playing.
    """
    log = None if folder is None else _start_log(folder, settings, model_folder, about, status)
    if log is None:
        yield None
        return
    status.log = log
    try:
        with log:
            yield log
            log.noted("the end", time.monotonic())
    finally:
        status.log = None
        _write_midi(log.path, status)


def _start_log(
    folder: Path,
    settings: ModelSettings,
    model_folder: Path,
    about: dict[str, Any],
    status: Status,
) -> EventLog | None:
    from midirnn.live.recording.event_log import EventLog, free_path, header
    from midirnn.live.recording.replay import weights_sha256

    # Another folder may be the current one when it is played again.
    lasting = dataclasses.replace(settings, model=_lasting_name(settings.model, model_folder))
    first_line = header(lasting, weights_sha256(model_folder), about)
    try:
        path = free_path(folder, time.strftime(RECORDING_NAME))
        return EventLog(path, first_line, tell=status.warn)
    except RecordingError as error:
        status.warn(f"{error}. The music goes on without a recording")
        return None


def _lasting_name(model: str, folder: Path) -> str:
    return str(folder.resolve()) if Path(model).exists() else model


def _write_midi(log: Path, status: Status) -> None:
    """Write what the log holds as MIDI, beside it."""
    from midirnn.live.recording.event_log import read_log
    from midirnn.midifile import write_midi

    path = log.with_suffix(".mid")
    try:
        write_midi(read_log(log).recording().performance(), path)
    except MidirnnError as error:
        status.warn(f"{error}. Try again with: midirnn replay {log} -o FILE.mid")
        return
    status.tell(f"recorded: {path}, {log.name}")


def about_session(mode: str, config: LiveConfig) -> dict[str, Any]:
    """What a log's first line says of a session besides the model."""
    return {"mode": mode, "live": dataclasses.asdict(config)}
