"""The rig builds sessions: from a configuration, with ports of one's own, and from a script."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from midirnn.cli import main as cli
from midirnn.codecs import CODECS
from midirnn.errors import MidirnnError, OptionError, PortError
from midirnn.live import LiveConfig, Stance
from midirnn.live.base.observers import Observer
from midirnn.live.output import scheduler
from midirnn.live.rig import Rig
from midirnn.models.checkpoint import expected_shapes, write_checkpoint
from midirnn.models.config import ModelConfig
from midirnn.ports import MemoryInput, MemoryOutput, Message
from tests.codecs.characters import CharacterCodec
from tests.live.stage import is_note_on, sounding, write_tiny_model

SCRIPT = Path(__file__).parents[2] / "docs" / "examples" / "session_in_memory.py"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_model(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(autouse=True)
def no_realtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "go_first", lambda: None)  # not permitted everywhere


LIMIT_SECONDS = 60.0


def stop_when_it_plays(rig: Rig, output: MemoryOutput) -> None:
    """Stop the session once it has played a note, however busy the machine is."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not any(map(is_note_on, list(output.messages))) and time.monotonic() < deadline:
        time.sleep(0.01)
    rig.session.stop()


def run_until_it_plays(rig: Rig, output: MemoryOutput) -> None:
    watch = threading.Thread(target=stop_when_it_plays, args=(rig, output))
    watch.start()
    rig.run(seconds=LIMIT_SECONDS)
    watch.join()


class Reports:
    """A report that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.warnings: list[str] = []
        self.stances: list[Stance] = []
        self.tell, self.warn, self.change = (
            self.lines.append,
            self.warnings.append,
            self.stances.append,
        )


def test_a_session_plays_on_ports_of_its_caller_and_ends_its_notes(model: str) -> None:
    output, report = MemoryOutput(), Reports()
    config = LiveConfig(mode="autopilot", model=model, seed=1, channel=3)
    with Rig(config, output=output, report=report) as rig:
        assert rig.input is None
        run_until_it_plays(rig, output)
        assert sounding(output.messages) == set()
    assert any(is_note_on(message) for message in output.messages)
    assert {message[0] & 0x0F for message in output.messages} == {2}
    assert output.closed
    assert report.lines[:2] == ["input: none", "output: memory out, channel 3"]
    assert report.stances == [Stance.BOTH]
    assert report.warnings == []


def test_the_performer_is_heard_on_an_input_of_the_caller_and_by_observers(model: str) -> None:
    heard: list[Message] = []

    class Ears(Observer):
        def heard(self, message: Message, seconds: float) -> None:
            heard.append(message)

    output = MemoryOutput()
    config = LiveConfig(mode="duet", model=model, seed=1)
    with Rig(config, output=output, open_input=MemoryInput, observers=[Ears()]) as rig:
        assert isinstance(rig.input, MemoryInput)
        rig.input.feed((0x90, 60, 80))
        run_until_it_plays(rig, output)
    assert heard == [(0x90, 60, 80)]
    assert any(is_note_on(message) for message in output.messages)
    assert rig.input.closed


def test_a_session_is_recorded_where_the_configuration_says(model: str, tmp_path: Path) -> None:
    config = LiveConfig(mode="autopilot", model=model, record=tmp_path / "recordings")
    with Rig(config, output=MemoryOutput()) as rig:
        rig.run(seconds=0.5)
    suffixes = sorted(path.suffix for path in (tmp_path / "recordings").iterdir())
    assert suffixes == [".jsonl", ".mid"]


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda m: LiveConfig(mode="duel", model=m), OptionError, "there is no mode 'duel'"),
        (lambda m: LiveConfig(engine="abacus", model=m), OptionError, "no engine 'abacus'"),
        (lambda m: LiveConfig(model="nowhere"), MidirnnError, "no model 'nowhere'"),
        (
            lambda m: LiveConfig(model=m, controls=Path("nowhere.toml")),
            OptionError,
            "cannot read the control map nowhere.toml",
        ),
    ],
)
def test_what_is_not_allowed_is_told_before_anything_is_opened(
    model: str, make: Callable[[str], LiveConfig], error: type[MidirnnError], text: str
) -> None:
    with pytest.raises(error, match=text):
        Rig(make(model), output=MemoryOutput())


def test_a_model_of_another_codec_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(CODECS, "characters", CharacterCodec)
    codec = CharacterCodec()
    config = ModelConfig(codec.vocab_size, embedding_size=8, hidden_size=8, held_input=False)
    weights = {name: np.zeros(shape, np.float32) for name, shape in expected_shapes(config).items()}
    write_checkpoint(tmp_path, config, codec, weights, {})
    for command in ("live", "doctor"):
        assert cli.main([command, "--model", str(tmp_path)]) == 1
        assert capsys.readouterr().err == (
            "midirnn: error: the codec 'characters' has no notes to play; midirnn "
            f"{command} needs the codec 'pedal' or 'performance'\n"
        )


def test_what_was_opened_is_closed_when_the_input_cannot_be(model: str) -> None:
    output = MemoryOutput()

    def fail(callback: object) -> MemoryInput:
        raise PortError("there is no such input")

    with (
        pytest.raises(PortError, match="no such input"),
        Rig(LiveConfig(model=model), output=output, open_input=fail),
    ):
        raise AssertionError("it was built")
    assert output.closed


def test_a_script_of_twenty_lines_plays_a_session_of_its_own() -> None:
    assert len(SCRIPT.read_text(encoding="utf-8").splitlines()) <= 25
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    first, *_, last = done.stdout.splitlines()
    assert first == "mode: duet"
    assert int(last.split()[0]) > 10


# Commands, from any thread.


def test_any_thread_may_command_a_session_that_plays(model: str) -> None:
    output = MemoryOutput()
    failures: list[BaseException] = []
    with Rig(LiveConfig(mode="duet", model=model), output=output) as rig:
        session = rig.session
        done = threading.Event()

        def guarded(action: Callable[[int], object]) -> Callable[[], None]:
            def act() -> None:
                number = 0
                try:
                    while not done.wait(0.005):
                        action(number)
                        number += 1
                except BaseException as error:
                    failures.append(error)

            return act

        def press(number: int) -> None:
            session.store_preset(number % 8 + 1)
            session.load_preset((number + 3) % 8 + 1)
            session.turn("crossfade", number % 11 / 10)
            if number % 7 == 0:
                (session.reset, session.undo, session.answer, session.panic)[number // 7 % 4]()

        actions: list[Callable[[int], object]] = [
            lambda n: session.turn("temperature", 0.5 + n % 10 / 10),
            lambda n: session.turn("balance", 0.5 + n % 3),
            lambda n: session.set_mode(("duet", "autopilot", "shadow", "echo")[n // 50 % 4]),
            lambda n: session.freeze(n % 2 == 0),
            lambda n: session.receive((0x90 if n % 2 == 0 else 0x80, 40 + n // 2 % 40, 70), now()),
            lambda n: session.receive((0xB0, 20 + n % 8, n % 128), now()),
            lambda n: session.view(),
            press,
        ]
        now = rig.session._clock.now
        threads = [threading.Thread(target=guarded(action)) for action in actions]
        for thread in threads:
            thread.start()

        def calm_down() -> None:
            done.set()
            for thread in threads:
                thread.join()
            session.freeze(False)
            session.set_mode("autopilot")
            session.press("your_turn")  # which a panic or the foot switch took from the model
            session.turn("temperature", 3.21)  # once this has been done, so has all before it
            until = time.monotonic() + LIMIT_SECONDS / 2
            while session.view().knobs["temperature"] != 3.21 and time.monotonic() < until:
                time.sleep(0.01)
            stop_when_it_plays(rig, output)

        calm = threading.Timer(2.0, calm_down)
        calm.start()
        rig.run(seconds=LIMIT_SECONDS)
        calm.join()
        view = session.view()
    assert failures == []
    assert sounding(output.messages) == set()
    assert any(is_note_on(message) for message in output.messages)
    assert view.presets == frozenset(range(1, 9))
    assert (view.mode, view.frozen) == ("autopilot", False)
