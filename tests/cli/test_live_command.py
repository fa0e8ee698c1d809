"""``midirnn live``: options reach the session, errors are one line, real ports carry it all."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from midirnn import live as live_room
from midirnn.cli import main as cli
from midirnn.cli.status import Status, stderr_as_lines
from midirnn.live import MODES, LiveConfig, Session, Stance
from midirnn.live.model_process import process as model_process
from midirnn.live.output import scheduler
from midirnn.live.recovery import supervisor
from midirnn.ports import (
    Ignored,
    InputCallback,
    MemoryInput,
    MemoryOutput,
    Message,
    claims,
    open_input,
    open_output,
    port_set,
)
from tests.jack import JackServer
from tests.jack_fixture import jack_fixture
from tests.live.stage import is_note_off, is_note_on, sounding, write_tiny_model

LIMIT_SECONDS = 30.0
ENDINGS: list[Message] = [(0xB0, 64, 0), (0xB0, 123, 0)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_model(tmp_path_factory.mktemp("tiny")))


class FakePorts:
    """Ports in memory in place of the machine's, and how they were asked for."""

    def __init__(self) -> None:
        self.output = MemoryOutput(name="Fake Synth")
        self.inputs: list[MemoryInput] = []
        self.asked: list[tuple[str, str | None, bool, str | None]] = []

    def open_output(
        self, name: str | None, *, virtual: bool = False, api: str | None = None
    ) -> MemoryOutput:
        self.asked.append(("output", name, virtual, api))
        return self.output

    def open_input(
        self,
        name: str | None,
        callback: InputCallback,
        *,
        virtual: bool = False,
        api: str | None = None,
        ignored: Ignored | None = None,
    ) -> MemoryInput:
        self.asked.append(("input", name, virtual, api))
        self.inputs.append(MemoryInput(callback, ignored=ignored, name="Fake Keys"))
        return self.inputs[-1]


@pytest.fixture
def fake_ports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakePorts:
    fake = FakePorts()
    monkeypatch.setattr(claims, "claims_folder", lambda: tmp_path)  # tests run side by side
    monkeypatch.setattr(port_set, "open_output", fake.open_output)
    monkeypatch.setattr(port_set, "open_input", fake.open_input)
    monkeypatch.setattr(scheduler, "go_first", lambda: None)  # not permitted everywhere
    # A machine that is busy with other things must not make the model seem to hang.
    monkeypatch.setattr(supervisor, "STALL_SECONDS", LIMIT_SECONDS)
    return fake


@pytest.fixture
def no_run(monkeypatch: pytest.MonkeyPatch) -> list[Session]:
    """The sessions that were to run."""
    sessions: list[Session] = []
    monkeypatch.setattr(live_room.Session, "run", lambda session, seconds: sessions.append(session))
    return sessions


def test_autopilot_plays_for_as_long_as_was_asked_and_releases_its_notes(
    fake_ports: FakePorts, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["live", "--mode", "autopilot", "--model", model, "--seconds", "1.5", "--seed", "1"]
    assert cli.main([*argv, "--channel", "3"]) == 0
    assert any(is_note_on(message) for message in fake_ports.output.messages)
    assert sounding(fake_ports.output.messages) == set()
    assert fake_ports.output.messages[-2:] == [(0xB2, 64, 0), (0xB2, 123, 0)]
    assert fake_ports.output.closed
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines() == [
        "input: none",
        "output: Fake Synth, channel 3",
        "autopilot: The model plays on its own without end, and takes up whatever you play into "
        f"its music. (model {model}, seed 1)",
        "playing",
    ]


def test_autopilot_listens_to_a_clock_that_it_is_to_follow(
    fake_ports: FakePorts, model: str, no_run: list[Session]
) -> None:
    argv = ["live", "--mode", "autopilot", "--model", model, "--clock", "midi"]
    assert cli.main(argv) == 0
    assert [what for what, *_ in fake_ports.asked] == ["output", "input"]


def test_follow_takes_a_number_and_still_the_name_of_a_clock(
    fake_ports: FakePorts, model: str, no_run: list[Session], capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["live", "--mode", "autopilot", "--model", model]
    assert cli.main([*argv, "--follow", "midi"]) == 0
    assert "--follow midi is now --clock midi" in capsys.readouterr().out
    assert cli.main([*argv, "--follow", "0.25", "--follow-seconds", "5"]) == 0
    old, new = (session.config for session in no_run)
    assert (old.clock, old.follow) == ("midi", 1.0)
    assert (new.clock, new.follow, new.follow_seconds) == ("nothing", 0.25, 5.0)
    assert cli.main([*argv, "--follow", "7"]) == 1
    assert "follow is 7; allowed are 0 to 1" in capsys.readouterr().err


def test_jam_takes_the_name_of_a_clock_for_follow_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun: list[LiveConfig] = []

    class NoJam:
        url = "http://127.0.0.1"

        def __init__(self, config: LiveConfig, *others: object, **options: object) -> None:
            begun.append(config)

        def __enter__(self) -> NoJam:
            return self

        def __exit__(self, *error: object) -> None: ...

        def run(self, signals: object) -> None: ...

    monkeypatch.setattr("midirnn.web.jam.Jam", NoJam)
    assert cli.main(["jam", "--no-open", "--follow", "link"]) == 0
    assert "--follow link is now --clock link" in capsys.readouterr().out
    assert [config.clock for config in begun] == ["link"]


@pytest.mark.parametrize("command", ["live", "jam"])
def test_the_help_has_no_old_values(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([command, "--help"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["--follow", "FLOAT"] in [row[1:3] for row in rows]
    words = [word for row in rows for word in row]
    assert "FLOAT|CHOICE" not in words


def test_a_follow_that_is_no_number_is_refused_in_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["live", "--follow", "often"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert 'for --follow: unable to convert "often" into float. See:' in line


def test_the_help_says_of_every_mode_what_it_does() -> None:
    arguments = cli.make_app()["live"].assemble_argument_collection()
    (told,) = [argument.parameter.help for argument in arguments if argument.name == "--mode"]
    assert [name for name, mode in MODES.items() if f"{name}: {mode.summary}" not in told] == []


def test_quiet_says_nothing(
    fake_ports: FakePorts, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["live", "--model", model, "--seconds", "0.1", "--quiet", "--virtual"]) == 0
    assert capsys.readouterr() == ("", "")


def test_ports_are_opened_as_they_were_named(
    fake_ports: FakePorts, no_run: list[Session], model: str
) -> None:
    argv = ["live", "--model", model, "-i", "keys", "-o", "synth", "--api", "jack"]
    assert cli.main([*argv, "--virtual"]) == 0
    assert cli.main(["live", "--model", model]) == 0
    assert cli.main(["live", "--model", model, "--mode", "autopilot"]) == 0
    assert cli.main(["live", "--model", model, "--mode", "autopilot", "-i", "keys"]) == 0
    assert fake_ports.asked == [
        ("output", "synth", True, "jack"),
        ("input", "keys", True, "jack"),
        ("output", None, False, None),
        ("input", None, False, None),
        ("output", None, False, None),
        ("output", None, False, None),
        ("input", "keys", False, None),
    ]
    assert all(port.closed for port in fake_ports.inputs)


def test_options_reach_the_session(
    fake_ports: FakePorts, no_run: list[Session], model: str
) -> None:
    options = "--silence-seconds 0.4 --answer-seconds 3 --channel 16 --temperature 0.5 --top-p 0.9"
    assert cli.main(["live", "--model", model, *options.split()]) == 0
    config = no_run[0].config
    assert (config.silence_seconds, config.answer_seconds, config.channel) == (0.4, 3.0, 16)


def test_flags_override_the_file(
    fake_ports: FakePorts, no_run: list[Session], model: str, tmp_path: Path
) -> None:
    path = tmp_path / "stage.toml"
    path.write_text("silence_seconds = 0.4\nchannel = 3\nthru = true\ntop_p = 0.5\n")
    flags = ["--channel", "1", "--no-thru", "--temperature", "0.7"]
    assert cli.main(["live", "--model", model, "--config", str(path), *flags]) == 0
    config = no_run[0].config
    assert (config.silence_seconds, config.channel, config.thru) == (0.4, 1, False)
    assert (config.sampling.top_p, config.sampling.temperature) == (0.5, 0.7)


def test_a_virtual_output_comes_with_how_to_hear_it_once(
    fake_ports: FakePorts,
    no_run: list[Session],
    model: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["live", "--model", model, "--virtual"]) == 0
    out = capsys.readouterr().out
    assert out.count("MIDI is silent by itself: connect 'Fake Synth' to a synthesizer") == 1
    assert cli.main(["live", "--model", model]) == 0
    assert "silent by itself" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--mode", "duel"], "there is no mode 'duel'; known are call_and_response, "),
        (["--channel", "17"], "channel is 17; allowed are 1 to 16"),
        (["--seconds", "0"], "seconds is 0; it must be at least 0.01"),
        (["--seconds", "inf"], "seconds is inf; it must be at least 0.01"),
        (["--seed", "-1"], "seed is -1; it must be at least 0"),
        (["--silence-seconds", "0"], "--silence-seconds is 0; allowed are 0.05 to 60"),
        (["--model", "nowhere"], "there is no model 'nowhere'"),
        (["--temperature", "-1"], "temperature is -1"),
    ],
)
def test_wrong_options_are_told_in_one_line(
    fake_ports: FakePorts, capsys: pytest.CaptureFixture[str], argv: list[str], message: str
) -> None:
    assert cli.main(["live", *argv]) in (1, 2)
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert fake_ports.asked == []


def test_a_port_that_is_not_there_is_told_in_one_line(
    model: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "midirnn-test-nobody")
    assert cli.main(["live", "--model", model, "-o", "synth", "--api", "jack"]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err == (
        "midirnn: error: no MIDI output matches 'synth'. Found: none (jack: no server is running). "
        "List them with: midirnn ports\n"
    )


def test_an_output_that_fails_ends_the_command_with_its_name_and_closes_the_ports(
    fake_ports: FakePorts, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_ports.output.fail("it was switched off")
    argv = ["live", "--model", model, "--mode", "autopilot", "-i", "keys", "--seconds", "120"]
    assert cli.main(argv) == 1
    err = capsys.readouterr().err
    assert err == ("midirnn: error: cannot send to MIDI output 'Fake Synth': it was switched off\n")
    assert fake_ports.output.closed
    assert fake_ports.inputs[0].closed


BROKEN = (
    "from midirnn.live.improviser.planner import Planner; Planner.hear = lambda *_: 1 / 0; "
    "from midirnn.live.model_process.child import main; main()"
)


def test_a_model_that_breaks_releases_its_notes_and_each_time_is_one_line(
    fake_ports: FakePorts, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def play_along(message: Message, seconds: float) -> None:
        if is_note_on(message):
            fake_ports.inputs[0].feed((0x90, 60, 64))

    monkeypatch.setattr(model_process, "COMMAND", (sys.executable, "-c", BROKEN))
    monkeypatch.setattr(supervisor, "MOST_LOSSES", 1)
    # A machine that is busy with other things must not make it seem to hang before it breaks.
    monkeypatch.setattr(supervisor, "STALL_SECONDS", LIMIT_SECONDS)
    monkeypatch.setattr(supervisor, "SHORT_LIFE_SECONDS", 4 * LIMIT_SECONDS)
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_SECONDS", 4 * LIMIT_SECONDS)

    def warn(status: Status, text: str) -> None:
        told.append(text)
        if len(told) == 2:
            os.kill(os.getpid(), signal.SIGINT)  # enough is seen

    told: list[str] = []
    monkeypatch.setattr(Status, "warn", warn)
    fake_ports.output._on_send = play_along
    argv = ["live", "--mode", "autopilot", "--model", model, "-i", "keys", "--seconds", "120"]
    assert cli.main(argv) == 0
    again, later = told
    assert again == "division by zero: it is started again"
    assert later.startswith("the model was lost 2 times in ")
    assert "(division by zero): it is tried again in " in later
    assert sounding(fake_ports.output.messages) == set()
    assert fake_ports.output.messages[-2:] == ENDINGS


def test_on_a_terminal_the_state_changes_in_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    status = Status(quiet=False)
    status.change(Stance.LISTENS)
    status.change(Stance.BOTH)
    status.end()
    assert capsys.readouterr().out == "\rlistening\rplaying  \n"


def test_what_a_library_writes_to_standard_error_becomes_lines_of_the_view(
    capfd: pytest.CaptureFixture[str],
) -> None:
    told: list[str] = []
    with stderr_as_lines(told.append):
        os.write(2, b"Cannot connect to server socket\n\njackd is not running\n")
    os.write(2, b"after\n")
    assert told == ["Cannot connect to server socket", "jackd is not running"]
    assert capfd.readouterr().err == "after\n"


# Through real ports, between processes.


jack_server = jack_fixture(scope="module")


class Heard(list[Message]):
    """A callback that collects, and can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._more = threading.Condition()

    def __call__(self, message: Message, seconds: float) -> None:
        with self._more:
            self.append(message)
            self._more.notify_all()

    def wait_until(self, true: Callable[[list[Message]], bool]) -> None:
        with self._more:
            assert self._more.wait_for(lambda: true(self), LIMIT_SECONDS), list(self)

    def wait_until_quiet(self, seconds: float = 0.3) -> None:
        """Wait until nothing sounds, and nothing has come for so many seconds."""
        deadline = time.monotonic() + LIMIT_SECONDS
        count = -1
        while len(self) > count or sounding(list(self)):
            assert time.monotonic() < deadline, (len(self), sounding(list(self)), self[-12:])
            count = len(self)
            time.sleep(seconds)


@contextmanager
def midirnn_live(*argv: str) -> Iterator[subprocess.Popen[str]]:
    """The command, as soon as it listens or plays."""
    with subprocess.Popen(
        [sys.executable, "-m", "midirnn", "live", "--virtual", "--api", "jack", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as process:
        limit = threading.Timer(2 * LIMIT_SECONDS, process.kill)
        limit.start()
        try:
            assert process.stdout is not None and process.stderr is not None
            if not any(line.strip() in ("listening", "playing") for line in process.stdout):
                pytest.fail(f"it ended or took too long: {process.stderr.read()}")
            yield process
        finally:
            limit.cancel()
            process.kill()


def end_of(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit code and what was written to stderr."""
    _, err = process.communicate(timeout=LIMIT_SECONDS)
    return process.returncode, err


def test_through_jack_it_answers_falls_silent_and_releases_all_when_terminated(
    jack_server: JackServer, model: str
) -> None:
    heard = Heard()
    options = ("--silence-seconds", "1", "--answer-seconds", "600", "--seed", "1")
    with (
        midirnn_live("--model", model, "-i", "ear", "-o", "voice", *options) as process,
        open_input("voice", heard, api="jack"),
        open_output("ear", api="jack") as keys,
    ):
        for pitch in (60, 64, 67):
            keys.send((0x90, pitch, 80))
            time.sleep(0.05)
            keys.send((0x80, pitch, 0))
        heard.wait_until(lambda messages: len([m for m in messages if is_note_on(m)]) > 3)
        keys.send((0x90, 72, 80))
        heard.wait_until_quiet()
        silent = len(heard)
        keys.send((0x80, 72, 0))
        heard.wait_until(lambda messages: len([m for m in messages[silent:] if is_note_on(m)]) > 3)

        process.send_signal(signal.SIGTERM)
        heard.wait_until(lambda messages: messages[-2:] == ENDINGS)
        assert end_of(process) == (0, "")
        assert sounding(list(heard)) == set()


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_through_jack_autopilot_ends_with_its_notes_released(
    jack_server: JackServer, model: str, name: str
) -> None:
    heard = Heard()
    with (
        midirnn_live("--model", model, "-o", "voice", "--mode", "autopilot") as process,
        open_input("voice", heard, api="jack"),
    ):
        heard.wait_until(lambda messages: len([m for m in messages if is_note_on(m)]) > 10)
        process.send_signal(getattr(signal, name))
        heard.wait_until(lambda messages: messages[-2:] == ENDINGS)
        assert end_of(process) == (0, "")
    offs = [message for message in heard if is_note_off(message)]
    assert offs


def test_through_jack_a_quiet_session_says_nothing(jack_server: JackServer, model: str) -> None:
    argv = ["--model", model, "--mode", "autopilot", "--virtual", "--api", "jack", "--seconds", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "midirnn", "live", *argv, "--quiet"],
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_through_jack_its_ports_are_listed_under_their_names(
    jack_server: JackServer, model: str
) -> None:
    with midirnn_live("--model", model) as process:
        listing = subprocess.run(
            [sys.executable, "-m", "midirnn", "ports", "--api", "jack"],
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
        ).stdout
        process.send_signal(signal.SIGTERM)
        assert end_of(process) == (0, "")
    inputs, outputs = listing.split("outputs:")
    assert re.search(r"jack +midirnn.*:midirnn out", inputs)
    assert re.search(r"jack +midirnn.*:midirnn in", outputs)
