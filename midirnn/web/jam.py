"""The jam: consecutive sessions that pages show and play."""

from __future__ import annotations

import secrets
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from midirnn.codecs import PedalCodec, PerformanceCodec
from midirnn.engines.load import pretrained_names
from midirnn.errors import MidirnnError
from midirnn.live.base.config import LiveConfig
from midirnn.live.base.playing import Stance
from midirnn.live.controls.knobs import KNOBS, Scale, Value
from midirnn.live.equipment import about_session
from midirnn.live.report import Report
from midirnn.live.rig import Rig
from midirnn.live.signals import EndSignals
from midirnn.ports.base import InputCallback, InputPort, Message, OutputPort, check_message
from midirnn.web import protocol
from midirnn.web.feed import Feed
from midirnn.web.performers import Performers
from midirnn.web.server_process import ServerProcess
from midirnn.web.silence import LOOK_SECONDS
from midirnn.web.state import Facts, about, state
from midirnn.web.takes import Keeper, Take

PORT = 8642
"""The default port of the page, if it is free."""

GATHER_SECONDS = 0.003
"""Messages within this time are sent to the pages together."""

BROWSER = "the browser"


class BrowserOutput(OutputPort):
    """An output for sessions whose model is heard only in the browser, by way of the feed."""

    @property
    def name(self) -> str:
        """The name of the port."""
        return BROWSER

    def send(self, message: Sequence[int]) -> None:
        """Check the message. Raises :class:`PortError` if it is not a MIDI message."""
        check_message(message)

    def close(self) -> None:
        """Do nothing."""


class BrowserInput(InputPort):
    """An input for sessions that are played only from the browser."""

    callback_error: BaseException | None = None

    @property
    def name(self) -> str:
        """The name of the port."""
        return BROWSER

    def close(self) -> None:
        """Do nothing."""


class Jam:
    """Sessions that pages show and play. Owns the server's process, the session and the takes.

    Use it in a ``with`` statement; :meth:`run` plays until the end. ``url`` is the address of the
    page. With ``shared`` every page may play, otherwise one at a time. ``port`` is that of the
    server: None prefers :data:`PORT`, 0 takes any free port.
    """

    def __init__(
        self,
        config: LiveConfig,
        report: Report,
        *,
        port: int | None = None,
        shared: bool = False,
        token: str | None = None,
    ) -> None:
        self.config = config
        self.token = token or secrets.token_urlsafe(16)
        self.feed = Feed()
        self._report = report
        self._rig: Rig | None = None
        self._next: LiveConfig | None = config
        self._prepared: Rig | None = None
        self._stopping = False
        self._over = threading.Event()
        self._state: protocol.Message = {}
        self._stack = ExitStack()
        self._performers = Performers(self._play, time.monotonic)
        self._server = ServerProcess(
            {
                "port": PORT if port is None else port,
                "spare": port is None,
                "token": self.token,
                "shared": shared,
            },
            on_message=self._take,
            on_start=self._greet,
            on_lost=self._lose_server,
        )

    @property
    def url(self) -> str:
        """The address of the page. Anyone who has it can open the page."""
        return f"http://127.0.0.1:{self._server.port}/?token={self.token}"

    @property
    def rig(self) -> Rig | None:
        """The present session's rig; None while one is being built."""
        return self._rig

    @property
    def takes(self) -> list[Take]:
        """The recorded takes."""
        return self._keeper.takes

    @property
    def server(self) -> ServerProcess:
        """The server's process."""
        return self._server

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            folder = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="midirnn-jam-", ignore_cleanup_errors=True)
            )
            self._keeper = Keeper(Path(folder), lambda: about_session(self.config), self.warn)
            stack.callback(lambda: self._keeper.close_log(time.monotonic()))
            stack.enter_context(self._server)  # it starts while the model is loaded
            stack.callback(self._over.set)
            self._prepare(self.config).begin_loading()
            stack.callback(self._close_prepared)
            for thread in (
                threading.Thread(target=self._feed_pages, name="midirnn page feed", daemon=True),
                threading.Thread(target=self._watch, name="midirnn page watch", daemon=True),
            ):
                thread.start()
            self._server.wait_until_listening()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    def run(self, signals: EndSignals) -> None:
        """Play until a signal, :meth:`stop`, or the end of the configured duration.

        Raises KeyboardInterrupt for a signal that comes while a model is loaded.
        """
        while self._next is not None and not self._stopping:
            signals.between()
            config, self._next = self._next, None
            rig, self._prepared = self._prepared or self._make_rig(config), None
            knobs = {} if self._rig is None else dict(self._rig.session.view().knobs)
            self._rig, self.config = None, config
            with rig:
                self._begin(rig, knobs)
                rig.run(while_running=signals.running(self.stop))
                self.feed.ended(rig.session.scheduler.last_sent, time.monotonic())
            self._keeper.close_log(time.monotonic())
            self._tell_takes()

    def stop(self) -> None:
        """Make :meth:`run` return soon. Thread-safe."""
        self._stopping = True
        if self._rig is not None:
            self._rig.session.stop()

    # Sessions.

    def _prepare(self, config: LiveConfig) -> Rig:
        """Make the rig of the next session. Raises an error for a bad config; opens nothing."""
        self._prepared, self._next = self._make_rig(config), config
        return self._prepared

    def _close_prepared(self) -> None:
        if self._prepared is not None:
            self._prepared.close()

    def _make_rig(self, config: LiveConfig) -> Rig:
        has_input = config.input is not None or config.virtual
        return Rig(
            config,
            output=None if _has_own_output(config) else BrowserOutput(),
            open_input=None if has_input else _open_browser_input,
            observers=[self.feed, self._keeper],
            report=self,
        )

    def _begin(self, rig: Rig, knobs: dict[str, Value]) -> None:
        """Begin a session, with the knobs as they were in the last one."""
        session = rig.session
        steps = session.model.codec.steps_per_second
        self.feed.follow(session.console.stretch.map, steps)
        sampling = self.config.sampling
        asked: dict[str, Value] = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "answer_seconds": self.config.answer_seconds,
        }
        stands = session.view().knobs
        for name, value in (asked | knobs).items():
            if KNOBS[name].scale is not Scale.SWITCH and name != "mode" and stands[name] != value:
                with suppress(MidirnnError):  # a flag allows values that the knob does not
                    session.turn(name, value)
        self._rig = rig
        if self._stopping:
            session.stop()

    def _change_model(self, name: str) -> None:
        """Continue with another model, in a new session with the same ports, knobs and mode."""
        rig = self._rig
        if rig is None or name == self.config.model:
            return
        mode = rig.session.view().mode
        if self.config.set_list is not None:
            self.tell("the set list is of the last model: what is stored now is not kept")
        self._prepare(replace(self.config, model=name, mode=mode, set_list=None))
        self.tell(f"loading the model {name}")
        rig.session.stop()

    # Requests of pages.

    def _take(self, message: protocol.Message) -> None:
        """Carry out a page's request, in the reading thread. A refusal is shown as a line."""
        kind, page = message["t"], message.get("page", "")
        if kind == "midi":
            self._performers.play(page, tuple(message["m"]), message["at"])
        elif kind == "gone":
            self._performers.leave(page)
        else:
            try:
                self._command(message)
            except MidirnnError as error:
                self.warn(str(error))

    def _command(self, message: protocol.Message) -> None:
        rig = self._rig
        if rig is None:
            return
        session = rig.session
        match message:
            case {"t": "turn", "knob": str(knob), "value": value}:
                session.turn(knob, value)
            case {"t": "press", "name": str(name)}:
                session.press(name)
            case {"t": "store", "preset": int(preset)}:
                session.store_preset(preset)
            case {"t": "load", "preset": int(preset)}:
                session.load_preset(preset)
            case {"t": "model", "name": str(name)}:
                self._change_model(name)
            case {"t": "record", "on": bool(on)}:
                self._record(on)

    def _record(self, on: bool) -> None:
        now = time.monotonic()
        if on:
            self._keeper.begin(now)
        elif self._keeper.end(now) is not None:
            self._tell_takes()

    def _tell_takes(self) -> None:
        takes = [
            {
                "number": t.number,
                "log": str(t.log),
                "start": t.start,
                "end": t.end,
                "offset": t.offset,
            }
            for t in self._keeper.takes
        ]
        self.feed.put({"t": "takes", "takes": takes})

    def _play(self, page: str, message: Message, seconds: float) -> None:
        rig = self._rig
        if rig is None:
            return
        if protocol.is_music(message):  # use a channel that the session listens to
            channel = (rig.config.input_channels or (1,))[0] - 1
            message = (message[0] | channel, *message[1:])
        with self.feed.playing(page):
            rig.session.receive(message, seconds)

    # Messages to pages.

    def tell(self, line: str) -> None:
        """Report a line of information."""
        self._report.tell(line)
        if self._rig is not None:  # pages show anyway what a rig reports while it is built
            self.feed.put({"t": "line", "text": line, "trouble": False})

    def warn(self, text: str) -> None:
        """Report a problem that is being dealt with."""
        self._report.warn(text)
        self.feed.put({"t": "line", "text": text, "trouble": True})

    def change(self, stance: Stance) -> None:
        """Report what the model does from now on."""
        self._report.change(stance)

    def _greet(self) -> None:
        """Send the current state to a server that has just started."""
        config = self.config
        playing = (PerformanceCodec.name, PedalCodec.name)
        models = [name for codec in playing for name in pretrained_names(codec)]
        self.feed.put(about(config, models, has_own_output=_has_own_output(config)))
        self._state = {}
        self._tell_takes()

    def _lose_server(self, why: str) -> None:
        self._performers.leave_all()
        self.warn(why)

    def _feed_pages(self) -> None:
        while not self._over.is_set():
            messages = self.feed.take(LOOK_SECONDS)
            if messages:
                self._over.wait(GATHER_SECONDS)
                self._server.send(messages + self.feed.take(0.0))

    def _watch(self) -> None:
        """Send the state when it has changed, and watch over the server."""
        facts = Facts()
        while not self._over.wait(LOOK_SECONDS):
            if self._server.silence.look() and self._performers.holding:
                self._performers.leave_all()
                self.feed.put({"t": "released"})  # in case the server goes on
            self._server.kill_if_hung()
            now = state(self._rig, self.config.model, self._keeper.recording_since, facts)
            if now != self._state:
                self._state = now
                self.feed.put(now)


def _has_own_output(config: LiveConfig) -> bool:
    """Return True if sessions play on an output beside the browser."""
    return config.output is not None or config.virtual or config.audio


def _open_browser_input(callback: InputCallback) -> InputPort:
    """Return the input for pages, which call the session directly."""
    return BrowserInput()
