"""Two real processes: each is killed, and what sounded ends; what was asked can be asked again."""

from __future__ import annotations

import itertools
import math
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midirnn.engines.load import load
from midirnn.errors import CheckpointError, ModelLostError
from midirnn.live import LiveConfig, Session
from midirnn.live.base.messages import (
    Adopt,
    ModelSettings,
    Planned,
    PlannedEvent,
    Reply,
    Request,
    Save,
    Saved,
    Store,
)
from midirnn.live.base.observers import Observers
from midirnn.live.improviser.server import ModelServer
from midirnn.live.model_process.child import Aftermath
from midirnn.live.model_process.process import SEND_SECONDS, ModelProcess
from midirnn.live.recovery import supervisor
from midirnn.ports import MemoryOutput, Message, open_input
from tests.jack import JackServer
from tests.jack_fixture import need_jack
from tests.live.stage import is_note_on, sounding, write_tiny_model
from tests.ports.test_ports_come_and_go import Machine

LIMIT_SECONDS = 30.0

PIPE_BYTES = 1 << 16
"""What a pipe holds on Linux."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_model(tmp_path_factory.mktemp("tiny")))


class Diary(Observers):
    """An observer that writes down what was asked and answered, and when notes were sent."""

    def __init__(self) -> None:
        super().__init__()
        self.lives: list[list[Request]] = []
        self.replies: list[Reply] = []

    def started(self, settings: ModelSettings, seconds: float) -> None:
        self.lives.append([])

    def asked(self, request: Request, seconds: float) -> None:
        self.lives[-1].append(request)

    def answered(self, reply: Reply, seconds: float) -> None:
        self.replies.append(reply)


class Stand:
    """A session with a model process, running in a thread of its own."""

    def __init__(self, model: str, mode: str = "autopilot", *, engine: str = "numpy") -> None:
        self.settings = ModelSettings(
            model=model, engine=engine, seed=5, start_seconds=time.monotonic(), keep_warm=True
        )
        self.process = ModelProcess(self.settings, load(model).codec)
        self.output = MemoryOutput()
        self.diary = Diary()
        self.troubles: list[str] = []
        self.session = Session(
            self.process,
            self.output,
            mode,
            LiveConfig(guard=False),
            observer=self.diary,
            on_trouble=self.troubles.append,
        )
        self.thread = threading.Thread(target=self.session.run, args=(LIMIT_SECONDS,))

    def __enter__(self) -> Stand:
        self.process.wait_until_ready()
        self.session.__enter__()
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.session.stop()
        self.thread.join()
        self.session.close()
        self.process.close()

    def wait_for(self, what: Callable[[], bool]) -> float:
        """The time at which it was so."""
        return wait_for(what, lambda: self.output.messages[-20:])

    def onsets(self) -> int:
        return sum(is_note_on(message) for message in list(self.output.messages))


def wait_for(what: Callable[[], bool], else_show: Callable[[], object] = lambda: None) -> float:
    """The time at which it was so."""
    end = time.monotonic() + LIMIT_SECONDS
    while not what():
        assert time.monotonic() < end, else_show()
        time.sleep(0.001)
    return time.monotonic()


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSTOP"])
def test_a_model_process_that_is_killed_or_stopped_is_replaced_and_its_notes_end(
    model: str, name: str
) -> None:
    if not hasattr(signal, name):
        pytest.skip(f"this system has no {name}")
    with Stand(model) as stand:
        stand.wait_for(lambda: stand.onsets() > 10 and bool(stand.session.scheduler.sounding))
        first = stand.process.process_id
        os.kill(first, getattr(signal, name))
        killed = time.monotonic()
        noticed = stand.wait_for(lambda: bool(stand.troubles))
        silent = stand.wait_for(lambda: not stand.session.scheduler.sounding)
        released = [seconds for seconds, message in stand.output.sent if message[0] == 0x80]
        # One that is stopped is noticed when it has not answered for so long.
        patience = stand.session.interplay.supervisor.patience_seconds
        assert silent - killed < (1.0 if name == "SIGKILL" else patience + 2.0)
        assert released[-1] - noticed < 0.2
        onsets = stand.onsets()
        stand.wait_for(lambda: stand.onsets() > onsets + 5)
        assert stand.process.process_id != first
    assert sounding(message for message in stand.output.messages if message[0] < 0xB0) == set()
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


def test_the_spare_process_takes_over_at_once_and_another_becomes_the_spare(model: str) -> None:
    settings = ModelSettings(model, "numpy")
    with ModelProcess(settings, load(model).codec, spare=True) as process:
        first = process.process_id
        wait_for(lambda: process.has_spare)
        os.kill(first, signal.SIGTERM)
        wait_for(lambda: process.lost is not None)
        process.restart()
        assert process.ready
        assert process.lost is None
        assert process.process_id != first
        process.ask([Save()])
        wait_for(lambda: process.has_replies)
        wait_for(lambda: process.has_spare)


def test_a_spare_that_has_died_is_not_taken(model: str) -> None:
    settings = ModelSettings(model, "numpy")
    with ModelProcess(settings, load(model).codec, spare=True) as process:
        wait_for(lambda: process.has_spare)
        assert process._spare is not None
        dead = process._spare.process.pid
        os.kill(dead, signal.SIGTERM)
        wait_for(lambda: not process.has_spare)
        process.restart()
        assert process.process_id != dead
        process.wait_until_ready(LIMIT_SECONDS)


def test_no_spare_is_left_when_the_process_is_closed(model: str) -> None:
    process = ModelProcess(ModelSettings(model, "numpy"), load(model).codec, spare=True)
    wait_for(lambda: process.has_spare)
    assert process._spare is not None
    spare = process._spare.process.pid
    process.close()
    for number in (process.process_id, spare):
        with pytest.raises(ProcessLookupError):
            os.kill(number, 0)


def test_the_model_process_that_takes_over_knows_more_presets_than_a_pipe_holds(
    model: str,
) -> None:
    with Stand(model) as stand:
        stand.wait_for(lambda: stand.onsets() > 3)
        presets = itertools.count()

        def is_full() -> bool:
            stand.session.ask(Store(f"preset {next(presets)}"))
            time.sleep(0.05)
            saved = [reply for reply in list(stand.diary.replies) if isinstance(reply, Saved)]
            return bool(saved) and len(saved[-1].state) > PIPE_BYTES

        stand.wait_for(is_full)
        os.kill(stand.process.process_id, signal.SIGTERM)  # kills it everywhere
        stand.wait_for(lambda: bool(stand.troubles))
        onsets = stand.onsets()
        stand.wait_for(lambda: stand.onsets() > onsets + 5)
        assert len(stand.troubles) == 1, stand.troubles
    assert any(isinstance(request, Adopt) for request in stand.diary.lives[-1])


def test_a_model_process_that_takes_nothing_in_is_lost_before_it_holds_up_the_music(
    model: str,
) -> None:
    command = (sys.executable, "-c", "import time; time.sleep(60)")
    process = ModelProcess(ModelSettings(model), load(model).codec, command=command)
    begun = time.monotonic()
    process.ask([Adopt(bytes(2 * PIPE_BYTES))])
    assert SEND_SECONDS <= time.monotonic() - begun < LIMIT_SECONDS
    assert "takes no requests" in str(process.lost)
    process.restart()
    assert process.lost is None
    process.close()


def unfolded(value: Any) -> Any:
    """What something consists of, down to numbers and bytes; a saved state is read.

    Two states are equal that say the same, also where one holds an array twice that the other
    holds once: which it does depends on the steps that were found in the cache.
    """
    if isinstance(value, Saved):
        return "saved", unfolded(pickle.loads(value.state))
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if value is None or isinstance(value, int | float | str | bytes | type | np.generic):
        return value
    if isinstance(value, dict):
        return [unfolded(item) for item in value.items()]
    if isinstance(value, tuple | list):
        return [unfolded(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(map(unfolded, value))
    made_by, arguments, *state = value.__reduce_ex__(4)
    return made_by.__qualname__, unfolded(arguments), unfolded(state)


def test_what_a_model_process_was_asked_gives_the_same_when_it_is_asked_again_in_one_process(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "STALL_SECONDS", LIMIT_SECONDS)  # on a busy machine, too
    with Stand(model) as stand:
        for pitch in (60, 64, 67, 72, 60, 64):
            onsets = stand.onsets()
            stand.wait_for(lambda onsets=onsets: stand.onsets() > onsets + 3)  # type: ignore[misc]
            stand.session.receive((0x90, pitch, 80), time.monotonic())
            time.sleep(0.004)
            stand.session.receive((0x90, pitch + 5, 90), time.monotonic())
            time.sleep(0.03)
            stand.session.receive((0x80, pitch, 0), time.monotonic())
            stand.session.receive((0x80, pitch + 5, 0), time.monotonic())
    (asked,) = stand.diary.lives
    assert not any(isinstance(request, Adopt) for request in asked)
    server = ModelServer.load(stand.settings)
    again = [reply for request in asked for reply in server.handle(request)]
    planned = events_by_plan(stand.diary.replies)
    planned_again = events_by_plan(again)
    assert len(planned) > 6
    # A plan that was broken off is a part of the whole.
    for plan, events in planned.items():
        assert planned_again[plan][: len(events)] == events
    answers = [unfolded(r) for r in stand.diary.replies if not isinstance(r, Planned)]
    assert answers == [unfolded(r) for r in again if not isinstance(r, Planned)][: len(answers)]
    assert answers


def events_by_plan(replies: list[Reply]) -> dict[int, list[PlannedEvent]]:
    events: dict[int, list[PlannedEvent]] = {}
    for reply in replies:
        if isinstance(reply, Planned) and reply.events:
            events.setdefault(reply.plan, []).extend(reply.events)
    return events


def test_a_model_that_cannot_be_loaded_says_why(model: str, tmp_path: Path) -> None:
    settings = ModelSettings(model=str(tmp_path))
    with (
        ModelProcess(settings, load(model).codec) as process,
        pytest.raises(CheckpointError, match="holds no model"),
    ):
        process.wait_until_ready(LIMIT_SECONDS)


def test_a_model_process_that_dies_while_it_loads_is_told(model: str) -> None:
    command = (sys.executable, "-c", "")
    with (
        ModelProcess(ModelSettings(model), load(model).codec, command=command) as process,
        pytest.raises(ModelLostError, match="has died"),
    ):
        process.wait_until_ready(LIMIT_SECONDS)


def test_it_ends_with_the_session_and_leaves_no_process(model: str) -> None:
    process = ModelProcess(ModelSettings(model, engine="numpy"), load(model).codec)
    process.wait_until_ready(LIMIT_SECONDS)
    process.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process.process_id, 0)


SAYS_WHAT_IT_PROTECTS = """
from midirnn.live.model_process import child as model_child

def rescue(aftermath):
    print("protected:", aftermath.output.name, aftermath.output.api, file=model_child.sys.stderr)

model_child.Aftermath.rescue = rescue
model_child.main()
"""


@pytest.mark.parametrize("restarted", [False, True])
def test_the_model_process_learns_the_name_under_which_the_output_has_returned(
    model: str, capfd: pytest.CaptureFixture[str], restarted: bool
) -> None:
    command = (sys.executable, "-c", SAYS_WHAT_IT_PROTECTS)
    machine = Machine("Synth 20:0")
    with ModelProcess(ModelSettings(model, "numpy"), load(model).codec, command=command) as process:
        process.wait_until_ready(LIMIT_SECONDS)
        process.protect(machine.lasting)
        machine.see()
        machine.see("Synth 28:0")
        if restarted:
            process.restart()
            process.wait_until_ready(LIMIT_SECONDS)
        wait_for(lambda: process.waiting_since == math.inf)
        process._child._stdin.close()  # as if this process had died
        process._child.process.wait(LIMIT_SECONDS)
    assert "protected: Synth 28:0 alsa" in capfd.readouterr().err


def test_the_aftermath_ends_what_was_begun_and_silences_every_channel() -> None:
    aftermath, output = Aftermath(), MemoryOutput()
    events = (PlannedEvent(0, 1.0, (0x93, 60, 80)), PlannedEvent(1, 2.0, (0x83, 60, 0)))
    aftermath.note(Planned(0, events, 2.0, 2, done=True))
    aftermath.end_all(output)
    assert output.messages[0] == (0x83, 60, 0)
    assert [m for m in output.messages if m[1] == 123] == [(0xB0 | c, 123, 0) for c in range(16)]
    assert [m for m in output.messages if m[1] == 64] == [(0xB0 | c, 64, 0) for c in range(16)]


# The process that owns the ports, over a real MIDI system.


class Synth(list[Message]):
    """A callback that collects, and can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._more = threading.Condition()

    def __call__(self, message: Message, seconds: float) -> None:
        with self._more:
            self.append(message)
            self._more.notify_all()

    def wait_until(self, true: Callable[[], bool]) -> None:
        with self._more:
            assert self._more.wait_for(true, LIMIT_SECONDS), list(self)


@contextmanager
def midirnn_live(model: str, output: str) -> Iterator[subprocess.Popen[bytes]]:
    argv = ["live", "--mode", "autopilot", "--model", model, "--api", "jack", "-o", output]
    with subprocess.Popen(
        [sys.executable, "-m", "midirnn", *argv, "--seconds", "60", "--quiet"],
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_when_the_port_process_is_killed_the_model_process_ends_what_sounds(model: str) -> None:
    need_jack()
    synth = Synth()
    with (
        JackServer(period=1024),
        open_input("synth", synth, api="jack", virtual=True),
        midirnn_live(model, "synth") as process,
    ):
        synth.wait_until(lambda: sum(map(is_note_on, synth)) > 10 and bool(still_on(synth)))
        process.send_signal(signal.SIGKILL)
        process.wait()
        before = len(synth)
        synth.wait_until(lambda: (0xBF, 123, 0) in synth)
        assert len(synth) > before
        assert still_on(synth, with_all_notes_off=False) == set()


def still_on(messages: list[Message], *, with_all_notes_off: bool = True) -> set[int]:
    notes: set[int] = set()
    for message in messages:
        if is_note_on(message):
            notes.add(message[1])
        elif message[0] == 0x80:
            notes.discard(message[1])
        elif with_all_notes_off and message[:2] == (0xB0, 123):
            notes.clear()
    return notes
