"""Tuning between sets: started while nobody plays, stopped for the performer, taken up, undone."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from midirnn import read_midi
from midirnn.cli.main import main
from midirnn.errors import OptionError
from midirnn.live import LiveConfig, Stance, between_sets
from midirnn.live.base.messages import Prepare, Request, TakeUp
from midirnn.live.between_sets import BetweenSets, Tuning
from midirnn.live.controls.commands import ChangeModel, Command, Press, TakeUpTuned, Tell
from midirnn.live.controls.console import Console
from midirnn.live.output import scheduler
from midirnn.live.rig import Rig
from midirnn.ports import MemoryInput, MemoryOutput
from tests.live.stage import write_tiny_model
from tests.live.tunings import write_tuned

PRINTED = "nats per token   before  after\nyour playing, kept aside   2.400   2.350  -0.050\n"


@pytest.fixture(autouse=True)
def no_realtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "go_first", lambda: None)  # not permitted everywhere


class FakeTuning:
    """A tuning that ends when it is told to."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.arguments = list(arguments)
        self.is_done, self.error = False, None
        self.went_on: list[bool] = []
        self.ended = False

    def go_on(self, on: bool) -> None:
        self.went_on.append(on)

    def result(self) -> tuple[str, str | None]:
        return PRINTED, self.error

    def end(self) -> None:
        self.ended = True


class FakeSession:
    """A session of which is known what it was asked."""

    def __init__(self) -> None:
        self.stance: Stance | None = Stance.LISTENS
        self.asked: list[Request] = []
        self.commands: list[Command] = []

    def ask(self, *requests: Request) -> None:
        self.asked += requests

    def command(self, *commands: Command) -> None:
        self.commands += commands


class Evening:
    """A performer, and what is looked at from time to time."""

    def __init__(self, folder: Path) -> None:
        self.now = 100.0
        self.told: list[str] = []
        self.tunings: list[FakeTuning] = []
        self.session = FakeSession()
        self.place = folder / "evening"
        self.tuner = BetweenSets(
            "piano",
            self.place,
            self.now,
            tell=self.told.append,
            now=lambda: self.now,
            start=self.start,
        )

    def start(self, arguments: Sequence[str]) -> Any:
        self.tunings.append(FakeTuning(arguments))
        return self.tunings[-1]

    def play(self, notes: int) -> None:
        for number in range(notes):
            self.tuner.performed((0x90, 60 + number % 12, 80), self.now)
            self.now += 0.1
            self.tuner.performed((0x80, 60 + number % 12, 0), self.now)

    def look(self, after: float) -> None:
        self.now += after
        self.tuner.look(self.session)


@pytest.fixture
def evening(tmp_path: Path) -> Iterator[Evening]:
    evening = Evening(tmp_path)
    yield evening
    evening.tuner.end()


def test_it_begins_when_a_set_is_over_and_learns_what_was_played(
    evening: Evening, tmp_path: Path
) -> None:
    evening.play(1000)
    evening.look(after=1.0)
    assert not evening.tunings
    evening.look(after=between_sets.QUIET_SECONDS)
    [tuning] = evening.tunings
    assert tuning.arguments[1:3] == ["-o", str(tmp_path / "evening-tuned-1")]
    assert len(read_midi(tuning.arguments[0])) == 1000
    assert "1000 notes" in evening.told[0]


def test_a_model_that_plays_all_the_time_is_not_waited_for(evening: Evening) -> None:
    evening.play(1000)
    evening.look(after=30.0)
    evening.tunings[0].is_done = True
    evening.session.stance = Stance.BOTH
    evening.play(2)
    for _ in range(3):
        evening.look(after=6.0)
    assert not evening.session.commands
    evening.look(after=6.0)
    assert len(evening.session.commands) == 1


def test_too_little_is_not_learned_from(evening: Evening) -> None:
    evening.play(999)
    evening.look(after=60.0)
    assert not evening.tunings


def test_it_stops_while_the_performer_plays_and_goes_on_after(evening: Evening) -> None:
    evening.play(1000)
    evening.look(after=30.0)
    evening.look(after=1.0)
    evening.play(3)
    evening.look(after=0.5)
    evening.look(after=30.0)
    assert evening.tunings[0].went_on == [True, False, True]


def test_what_it_learned_is_taken_up_between_two_phrases(evening: Evening, tmp_path: Path) -> None:
    evening.play(1000)
    evening.look(after=30.0)
    evening.tunings[0].is_done = True
    evening.play(2)
    evening.look(after=0.1)
    folder = str(tmp_path / "evening-tuned-1")
    assert evening.session.asked == [Prepare(folder)]
    evening.look(after=0.1)
    evening.session.stance = Stance.BOTH  # the model answers
    evening.look(after=5.0)
    assert not evening.session.commands
    evening.session.stance = Stance.LISTENS
    evening.look(after=0.1)
    [command] = evening.session.commands
    assert isinstance(command, TakeUpTuned)
    assert command.folder == folder
    assert "2.400 to 2.350" in command.told
    evening.look(after=60.0)
    assert len(evening.tunings) == 1  # there is nothing new to learn


def test_after_another_set_it_learns_again_from_all(evening: Evening, tmp_path: Path) -> None:
    evening.play(1000)
    evening.look(after=30.0)
    evening.tunings[0].is_done = True
    for _ in range(2):
        evening.look(after=1.0)
    evening.play(500)
    evening.look(after=30.0)
    assert evening.tunings[1].arguments[2] == str(tmp_path / "evening-tuned-2")
    assert len(read_midi(evening.tunings[1].arguments[0])) == 1500


def test_a_tuning_that_does_not_help_is_told_and_changes_nothing(evening: Evening) -> None:
    evening.play(1000)
    evening.look(after=30.0)
    evening.tunings[0].error = "tuning did not help: your playing is unlike itself"  # type: ignore[assignment]
    evening.tunings[0].is_done = True
    evening.look(after=1.0)
    evening.look(after=1.0)
    assert evening.told[-1].startswith("the model is not tuned: tuning did not help")
    assert not evening.session.asked
    assert not evening.session.commands


@pytest.mark.parametrize("what", ["TemporaryDirectory", "start"])
def test_a_tuning_that_cannot_be_started_is_told_and_another_is_tried_later(
    evening: Evening, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def fail(*arguments: Any, **options: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        if what == "start":
            patch.setattr(evening.tuner, "_start", fail)
        else:
            patch.setattr(between_sets.tempfile, what, fail)
        evening.play(1000)
        evening.look(after=30.0)
        evening.look(after=30.0)
    assert evening.told == ["the model is not tuned: No space left on device"]
    assert evening.tuner._folder is None
    evening.play(500)
    evening.look(after=30.0)
    assert len(evening.tunings) == 1
    assert "1500 notes" in evening.told[1]


def test_the_end_of_the_session_ends_the_tuning(evening: Evening, tmp_path: Path) -> None:
    evening.play(1000)
    evening.look(after=30.0)
    evening.tuner.begin(evening.session)
    evening.tuner.end()
    assert evening.tunings[0].ended
    assert not Path(evening.tunings[0].arguments[0]).exists()
    assert not list(tmp_path.iterdir())


def test_the_knob_goes_back_tuning_by_tuning() -> None:
    console = Console()

    def effects(command: Command) -> list[Any]:
        console.command([command])
        return [e for e in console.step(0.0) if isinstance(e, ChangeModel | Tell)]

    def taken_up(folder: str | None) -> ChangeModel:
        return ChangeModel((TakeUp(folder),))

    assert effects(TakeUpTuned("a", "tuned"))[:2] == [taken_up("a"), Tell("tuned")]
    assert effects(TakeUpTuned("b", "tuned"))[0] == taken_up("b")
    assert effects(Press("untune"))[0] == taken_up("a")
    assert effects(Press("untune"))[0] == taken_up(None)
    assert effects(Press("untune")) == [Tell("the model was not tuned in this session")]


def test_a_tuned_model_waits_for_the_model_process_to_be_back() -> None:
    console = Console()
    console.command([TakeUpTuned("a", "tuned")])
    for _ in range(3):
        assert not [e for e in console.step(0.0, connected=False) if isinstance(e, Tell)]
    found = [e for e in console.step(0.0) if isinstance(e, ChangeModel | Tell)]
    assert found == [ChangeModel((TakeUp("a"),)), Tell("tuned")]


def test_without_a_recording_there_is_nowhere_to_keep_it() -> None:
    with pytest.raises(OptionError, match="--tune-between-sets needs --record"):
        LiveConfig(tune_between_sets=True)


def wait_until(done: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 60.0
    while not done() and time.monotonic() < deadline:
        time.sleep(0.02)
    return done()


def test_a_session_is_tuned_recorded_and_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "base").mkdir()
    base = write_tiny_model(tmp_path / "base")

    class AtOnce(FakeTuning):
        def __init__(self, arguments: Sequence[str]) -> None:
            super().__init__(arguments)
            write_tuned(Path(arguments[2]), base)
            self.is_done = True

    monkeypatch.setattr(between_sets, "Tuning", AtOnce)
    monkeypatch.setattr(between_sets, "QUIET_SECONDS", 0.2)
    monkeypatch.setattr(between_sets, "PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(between_sets, "LEAST_NOTES", 3)
    told: list[str] = []

    class Report:
        def tell(self, line: str) -> None:
            told.append(line)

        warn = tell

        def change(self, stance: Stance) -> None:
            pass

    config = LiveConfig(
        model=str(base),
        engine="numpy",
        seed=1,
        spare=False,
        guard=False,
        record=tmp_path / "recordings",
        tune_between_sets=True,
        answer_seconds=1.0,
    )
    inputs: list[MemoryInput] = []

    def open_input(hear: Any) -> MemoryInput:
        inputs.append(MemoryInput(hear))
        return inputs[0]

    with Rig(config, output=MemoryOutput(), open_input=open_input, report=Report()) as rig:
        session = rig.session

        def perform() -> None:
            for pitch in (60, 64, 67, 72):
                now = time.monotonic()
                session.receive((0x90, pitch, 80), now)
                session.receive((0x80, pitch, 0), now + 0.01)
            wait_until(lambda: any("is tuned to your playing" in line for line in told))
            session.untune()
            wait_until(lambda: any("as it was before" in line for line in told))
            session.stop()

        performer = threading.Thread(target=perform)
        performer.start()
        rig.run(seconds=120.0)
        performer.join()
    assert any("is tuned to your playing" in line for line in told)
    assert any("as it was before" in line for line in told)
    [log] = (tmp_path / "recordings").glob("*.jsonl")
    assert "TakeUp" in log.read_text(encoding="utf-8")
    assert main(["replay", str(log)]) == 0


def test_a_tuning_that_fails_says_why_in_a_line() -> None:
    tuning = Tuning(["no-such-file.mid", "-o", "nowhere"])
    assert wait_until(lambda: tuning.is_done)
    printed, error = tuning.result()
    assert printed == ""
    assert error is not None
    assert "no-such-file.mid" in error


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")
def test_a_tuning_that_is_stopped_can_be_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    tuning = Tuning(["--help"])
    sent: list[int] = []
    original = tuning._process.send_signal
    monkeypatch.setattr(
        tuning._process, "send_signal", lambda number: (sent.append(number), original(number))
    )
    for on in (True, False, False, True, False):
        tuning.go_on(on)
    assert sent == [signal.SIGSTOP, signal.SIGCONT, signal.SIGSTOP]
    tuning.end()
    assert tuning.is_done
