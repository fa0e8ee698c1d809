"""``midirnn live``: recording, the built-in synthesizer, and what a terminal shows."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from midirnn.audio import synthesizer as audio
from midirnn.cli import main as cli
from midirnn.live.output.ledger import MODEL, PERFORMER
from midirnn.live.recording.event_log import EventLog, read_log
from midirnn.live.recording.midi import notes_of
from midirnn.live.recovery import supervisor
from midirnn.midifile import read_midi
from midirnn.ports import InputCallback, MemoryInput, MemoryOutput, Message, claims, port_set
from tests.jack import JackServer
from tests.jack_fixture import jack_fixture
from tests.live.stage import is_note_on, sounding, write_tiny_model

LIMIT_SECONDS = 30.0
ENOUGH_NOTES = 25


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_model(tmp_path_factory.mktemp("tiny")))


@pytest.fixture
def output(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> MemoryOutput:
    """The output that is opened; whenever it is played on, the performer plays a note as well.

    After some notes a signal ends the session, however long a busy machine took for them.
    """
    inputs: list[MemoryInput] = []

    def open_input(name: str | None, callback: InputCallback, **_: object) -> MemoryInput:
        inputs.append(MemoryInput(callback, name="Fake Keys"))
        return inputs[-1]

    def play_along(message: Message, seconds: float) -> None:
        if is_note_on(message) and len(output.sent) % 10 == 1:
            inputs[0].feed((0x90, 100, 64))
            inputs[0].feed((0x80, 100, 0))
        if sum(map(is_note_on, output.messages)) == ENOUGH_NOTES and is_note_on(message):
            os.kill(os.getpid(), signal.SIGINT)

    output = MemoryOutput(name="Fake Synth", on_send=play_along)
    # A machine that is busy with other things must not make the model seem to hang.
    monkeypatch.setattr(supervisor, "STALL_SECONDS", LIMIT_SECONDS)
    folder = tmp_path_factory.mktemp("claims")  # tests run side by side
    monkeypatch.setattr(claims, "claims_folder", lambda: folder)
    monkeypatch.setattr(port_set, "open_output", lambda name, **_: output)
    monkeypatch.setattr(port_set, "open_input", open_input)
    return output


def play(model: str, *argv: str, seconds: float = LIMIT_SECONDS) -> int:
    options = ["--mode", "autopilot", "--model", model, "--seed", "1", "--engine", "numpy"]
    return cli.main(["live", *options, "-i", "keys", "--seconds", str(seconds), *argv])


def lines_on(word: str, err: str) -> list[str]:
    """What was told about it; a busy machine may have more to tell."""
    return [line for line in err.splitlines() if word in line]


def test_a_recording_has_both_players_and_a_log_that_replays(
    output: MemoryOutput, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "my recordings"
    assert play(model, "--record", str(folder)) == 0
    log, midi = sorted(folder.iterdir())
    assert (log.suffix, midi.suffix) == (".jsonl", ".mid")
    assert f"recorded: {midi}, {log.name}" in capsys.readouterr().out
    performance = read_midi(midi)
    sent = len([message for message in output.messages if is_note_on(message)])
    assert notes_of(performance, MODEL) == sent > 5
    assert notes_of(performance, PERFORMER) >= 1
    header = read_log(log).header
    assert header["mode"] == "autopilot"
    assert header["settings"]["seed"] == 1
    assert header["live"]["channel"] == 1
    assert header["versions"]["midirnn"]
    assert cli.main(["replay", str(log)]) == 0
    assert "identical" in capsys.readouterr().out


def test_a_place_for_the_music_that_cannot_be_written_is_told_before_the_log_is_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["replay", "none.jsonl", "-o", "a.txt"]) == 1
    line = capsys.readouterr().err
    assert line.endswith(
        "a.txt cannot be written (its name must end in .mid or .midi or .kar or .rmi)\n"
    )


def test_nothing_is_recorded_unless_asked_for(
    output: MemoryOutput, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert play(model, seconds=0.5) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_line_and_the_concert_goes_on(
    output: MemoryOutput, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert play(model, "--record", str(tmp_path / "file" / "folder"), "--quiet") == 0
    (line,) = lines_on("record", capsys.readouterr().err)
    assert "cannot record to" in line
    assert "The music goes on without a recording" in line
    assert any(is_note_on(message) for message in output.messages)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_disk_that_fills_up_is_one_line_and_the_concert_goes_on(
    output: MemoryOutput,
    model: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make = EventLog.__init__

    def fill(log: EventLog, *arguments: object, **options: object) -> None:
        make(log, *arguments, **options)  # type: ignore[arg-type]
        log._file.close()
        log._file = Path("/dev/full").open("w", buffering=1)  # noqa: SIM115

    monkeypatch.setattr(EventLog, "__init__", fill)
    assert play(model, "--record", str(tmp_path), "--quiet") == 0
    (line,) = lines_on("record", capsys.readouterr().err)
    assert "No space left on device. The music goes on" in line
    assert any(is_note_on(message) for message in output.messages)


class FakeSynthesizer(MemoryOutput):
    """In place of FluidSynth: what it was asked for, and what it was sent."""

    made: list[FakeSynthesizer] = []  # noqa: RUF012

    def __init__(
        self, soundfont: Path | None = None, *, driver: str | None = None, **options: object
    ) -> None:
        super().__init__(name="FluidSynth (a.sf2)")
        self.asked = (soundfont, driver)
        self.made.append(self)


def test_the_built_in_synthesizer_takes_the_place_of_an_output(
    output: MemoryOutput,
    model: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(FakeSynthesizer, "made", [])
    monkeypatch.setattr(audio, "Synthesizer", FakeSynthesizer)
    argv = ["--audio", "--soundfont", "b.sf2", "--audio-driver", "jack"]
    assert play(model, *argv, seconds=4.0) == 0
    (synthesizer,) = FakeSynthesizer.made
    assert synthesizer.asked == (Path("b.sf2"), "jack")
    assert any(is_note_on(message) for message in synthesizer.messages)
    assert sounding(synthesizer.messages) == set()
    assert synthesizer.closed
    assert output.messages == []
    out = capsys.readouterr().out
    assert "output: FluidSynth (a.sf2), channel 1" in out
    assert "silent by itself" not in out


def test_sound_that_goes_into_a_file_is_told(
    output: MemoryOutput,
    model: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(audio, "Synthesizer", FakeSynthesizer)
    monkeypatch.chdir(tmp_path)
    for driver, told in (("file", True), ("alsa", False)):
        assert play(model, "--audio", "--audio-driver", driver, seconds=0.2) == 0
        line = f"the sound is written to {tmp_path / 'fluidsynth.wav'} and not heard"
        assert (line in capsys.readouterr().out.splitlines()) is told


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--audio", "-o", "synth"], "--audio plays in place of a MIDI output"),
        (["--soundfont", "a.sf2"], "--soundfont and --audio-driver are for --audio"),
        (["--audio", "--soundfont", "nowhere.sf2"], "there is no SoundFont nowhere.sf2"),
    ],
)
def test_wrong_sound_options_are_told_in_one_line(
    output: MemoryOutput,
    model: str,
    capsys: pytest.CaptureFixture[str],
    argv: list[str],
    message: str,
) -> None:
    pytest.importorskip("fluidsynth", reason="the last of them asks FluidSynth")
    assert play(model, *argv) == 1
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


# A terminal, for real.


jack_server = jack_fixture()


def test_a_terminal_shows_the_session_until_ctrl_c(jack_server: JackServer, model: str) -> None:
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "midirnn", "live", "--virtual", "--api", "jack"]
    process = subprocess.Popen(
        [*command, "--mode", "autopilot", "--model", model, "--no-guard"],
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    shown = bytearray()

    def read() -> None:
        with contextlib.suppress(OSError):  # the other end is closed
            while data := os.read(leader, 65536):
                shown.extend(data)

    reading = threading.Thread(target=read)
    reading.start()
    try:
        deadline = time.monotonic() + LIMIT_SECONDS
        while shown.count(b"planned ahead") < 10 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT_SECONDS) == 0
    finally:
        process.kill()
        process.wait()
        reading.join(LIMIT_SECONDS)
        os.close(leader)
    text = shown.decode(errors="replace")
    assert text.count("planned ahead") >= 10
    for words in ("autopilot", "midirnn out", "temperature", "surprise", "99% under"):
        assert words in text
    assert text.rstrip().endswith("\x1b[?25h")  # the cursor is shown again
