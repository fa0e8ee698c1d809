"""A session's log gives the same notes again; where it does not, the place is named."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midirnn.cli.replay import replay as replay_command
from midirnn.engines.adapters import hash_of
from midirnn.errors import RecordingError
from midirnn.live import LiveConfig, ManualClock, Session
from midirnn.live.base.messages import (
    Adopt,
    Begin,
    Close,
    Hear,
    HeardStep,
    Knobs,
    ModelSettings,
    Plan,
    Planned,
    Release,
    Reply,
    Request,
    Rest,
    Rewind,
    Save,
    Saved,
)
from midirnn.live.improviser.server import ModelServer
from midirnn.live.output.ledger import MODEL
from midirnn.live.recording.event_log import EventLog, Record, SessionLog, header, read_log
from midirnn.live.recording.replay import Answer, replay
from midirnn.midifile import read_midi
from midirnn.ports import MemoryOutput
from midirnn.sampling import Sampler, SamplingConfig
from tests.live.controls.test_console import clocks, turn
from tests.live.flaky import FlakyModel
from tests.live.stage import START_SECONDS, is_note_on, tiny_model, write_tiny_model


def tiny_server(settings: ModelSettings) -> ModelServer:
    model = tiny_model()
    sampler = Sampler(model.engine("numpy"), model.codec, settings.sampling, seed=settings.seed)
    return ModelServer(sampler, start_seconds=settings.start_seconds, channel=settings.channel)


def serve_tiny(settings: ModelSettings) -> Answer:
    return tiny_server(settings).handle


SETTINGS = ModelSettings("tiny", "numpy", seed=5, start_seconds=START_SECONDS)


class Evening:
    """A session as its log sees it: what was asked and answered, and what of it was sent."""

    def __init__(self, path: Path, settings: ModelSettings = SETTINGS, sha256: str = "") -> None:
        self.log = EventLog(path, header(settings, sha256, {}))
        self.settings = settings
        self.plan = 0
        self.last_sent = -1
        self.step = 0
        self.pitches: list[int] = []
        self.seconds = settings.start_seconds
        self.start()

    def start(self) -> None:
        self.log.started(self.settings, self.seconds)
        self.server = tiny_server(self.settings)

    def ask(self, request: Request, at_most: int | None = None) -> list[Reply]:
        """The replies, and no more of them than ``at_most``: then the request is broken off."""
        self.seconds += 0.001
        self.log.asked(request, self.seconds)
        replies = list(islice(self.server.handle(request), at_most))
        for reply in replies:
            self.log.answered(reply, self.seconds)
        return replies

    def rewind(self) -> None:
        self.plan += 1
        self.ask(Rewind(self.plan, self.last_sent))

    def hear(self, *pitches: int) -> None:
        self.rewind()
        self.ask(Hear((HeardStep(self.step, (), tuple((pitch, 20) for pitch in pitches)),)))

    def play(self, steps: int, at_most: int | None = None) -> None:
        """Plan on, and send all that was planned."""
        until = self.step + steps
        for reply in self.ask(Plan(self.last_sent, self.step, until, 1000), at_most):
            assert isinstance(reply, Planned)
            for event in reply.events:
                self.log.sent(event.message, event.seconds + 1e-4, event.seconds, MODEL)
                self.last_sent = event.number
                self.pitches.append(event.message[1])
                self.step = max(
                    self.step, round((event.seconds - self.settings.start_seconds) * 100)
                )

    def end(self) -> SessionLog:
        self.log.close()
        return read_log(self.log.path)


def an_evening(path: Path, **about: Any) -> Evening:
    evening = Evening(path, **about)
    evening.ask(Begin(0))
    evening.play(200)
    evening.hear(60, 64)
    evening.play(100, at_most=7)
    evening.rewind()
    evening.ask(Knobs(SamplingConfig(temperature=0.8)))
    evening.play(300)
    evening.rewind()
    evening.ask(Release(evening.step))
    evening.ask(Rest(evening.step + 400))
    return evening


def test_the_same_requests_give_the_same_notes(tmp_path: Path) -> None:
    log = an_evening(tmp_path / "log.jsonl").end()
    result = replay(log, serve_tiny)
    assert result.difference is None
    assert result.events > 50
    assert result.notes_sent == result.notes_as_planned > 20
    assert result.requests == len([record for record in log.records if record.kind == "ask"])


@settings(max_examples=12)
@given(
    st.lists(st.tuples(st.sampled_from(["hear", "play", "break"]), st.integers(1, 90)), max_size=8)
)
def test_whatever_happens_the_replay_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, int]]
) -> None:
    evening = Evening(tmp_path_factory.mktemp("log") / "log.jsonl")
    evening.ask(Begin(0))
    for act, number in acts:
        if act == "hear":
            evening.hear(number)
        elif act == "play":
            evening.play(number)
        else:
            evening.play(100, at_most=number % 8)
            evening.rewind()
    result = replay(evening.end(), serve_tiny)
    assert result.difference is None


def test_a_model_process_that_died_and_was_followed_by_another_is_replayed(tmp_path: Path) -> None:
    evening = an_evening(tmp_path / "log.jsonl")
    (saved,) = evening.ask(Save())
    assert isinstance(saved, Saved)
    evening.play(100, at_most=3)
    evening.start()
    evening.ask(Adopt(saved.state))
    evening.rewind()
    evening.play(300)
    result = replay(evening.end(), serve_tiny)
    assert result.difference is None
    assert result.restarts == 1


def test_a_state_that_was_never_saved_is_refused(tmp_path: Path) -> None:
    evening = Evening(tmp_path / "log.jsonl")
    (saved,) = evening.server.handle(Save())
    assert isinstance(saved, Saved)
    evening.ask(Adopt(saved.state))
    with pytest.raises(RecordingError, match="a state that was not saved before"):
        replay(evening.end(), serve_tiny)


def test_another_seed_or_other_knobs_are_found_out(tmp_path: Path) -> None:
    log = an_evening(tmp_path / "log.jsonl").end()
    for other in (replace(SETTINGS, seed=6), replace(SETTINGS, sampling=SamplingConfig(1.1))):
        result = replay(log, lambda _, other=other: serve_tiny(other))  # type: ignore[misc]
        assert result.difference is not None
        assert 0.0 <= result.difference.seconds < 0.1


def test_a_note_that_was_sent_but_not_planned_is_found_out(tmp_path: Path) -> None:
    evening = an_evening(tmp_path / "log.jsonl")
    evening.log.sent((0x9F, 61, 1), evening.seconds, 1003.25, MODEL)
    result = replay(evening.end(), serve_tiny)
    assert result.difference is not None
    assert "(159, 61, 1) sent, due at 1003.25" in str(result.difference)


def tuned_session(path: Path, mode: str = "autopilot") -> SessionLog:
    """The log of a session in which a clock was followed through two tempos and balances turned."""
    clock = ManualClock(START_SECONDS)
    model = FlakyModel(clock)
    model.settings = SETTINGS
    config = LiveConfig(clock="midi", guard=False, answer_seconds=6.0)
    with EventLog(path, header(SETTINGS, "", {})) as log:
        output = MemoryOutput(clock=clock.now)
        session = Session(model, output, mode, config, clock=clock, observer=log)
        # An answer that is on its way when the tempo changes still counts.
        events = [*clocks(100.0, 2.0, 5.0), *clocks(170.0, 5.0, 9.0), turn(3.0, "balance", 20)]
        for seconds, message in [*events, turn(6.5, "balance", 90)]:
            at = START_SECONDS + seconds
            clock.at(at, lambda at=at, message=message: session.receive(message, at))  # type: ignore[misc]
        if mode == "call_and_response":
            clock.at(START_SECONDS + 2.5, lambda: session.press("your_turn"))
        with session:
            session.run(12.0, sending_thread=False)
    return read_log(path)


def test_a_session_at_a_clocks_tempo_and_another_balance_is_replayed(tmp_path: Path) -> None:
    log = tuned_session(tmp_path / "log.jsonl")
    tuned = [record.value for record in log.records if record.kind == "tune"]
    assert len({delivery.rate for delivery in tuned}) == 2
    assert len({delivery.balance for delivery in tuned}) == 3
    result = replay(log, serve_flaky)
    assert result.difference is None
    assert result.notes_sent > 60
    assert 0 < result.notes_as_planned < result.notes_sent - 40


def test_an_answer_in_which_the_tempo_changes_is_replayed(tmp_path: Path) -> None:
    log = tuned_session(tmp_path / "log.jsonl", "call_and_response")
    asked = [record.value for record in log.records if record.kind == "ask"]
    assert len({request for request in asked if isinstance(request, Close)}) > 1
    assert replay(log, serve_flaky).difference is None


@pytest.mark.parametrize("part", ["due_seconds", "velocity"])
def test_at_a_tempo_too_a_note_that_was_not_due_like_that_is_found_out(
    tmp_path: Path, part: str
) -> None:
    log = tuned_session(tmp_path / "log.jsonl")
    records = list(log.records)
    place = next(
        n for n, r in enumerate(records) if r.kind == "out" and r.seconds > 1008.0 and note_on(r)
    )
    message, due_seconds, player = records[place].value
    if part == "velocity":
        message = (*message[:2], message[2] + 1)
    else:
        due_seconds += 1e-6
    records[place] = replace(records[place], value=(message, due_seconds, player))
    difference = replay(replace(log, records=records), serve_flaky).difference
    assert difference is not None
    assert "sent, due at" in str(difference)


def note_on(record: Record) -> bool:
    return is_note_on(record.value[0])


def serve_flaky(settings: ModelSettings) -> Answer:
    """The model that the session with a clock had."""
    return FlakyModel(ManualClock(settings.start_seconds)).server.handle


def test_an_event_that_is_a_microsecond_late_is_found_out(tmp_path: Path) -> None:
    log = an_evening(tmp_path / "log.jsonl").end()

    def late(settings: ModelSettings) -> Answer:
        handle = serve_tiny(settings)

        def answer(request: Request) -> Iterator[Reply]:
            for reply in handle(request):
                yield _late(reply) if isinstance(reply, Planned) else reply

        return answer

    def _late(reply: Planned) -> Planned:
        events = (replace(event, seconds=event.seconds + 1e-6) for event in reply.events)
        return replace(reply, events=tuple(events))

    assert replay(log, late).difference is not None


# The command.


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def logged(tmp_path: Path, tiny_folder: Path) -> Path:
    settings = replace(SETTINGS, model=str(tiny_folder))
    evening = an_evening(tmp_path / "log.jsonl", settings=settings, sha256=hash_of(tiny_folder))
    return _path(evening)


def _path(evening: Evening) -> Path:
    evening.end()
    return evening.log.path


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines(keepends=True)


def rewrite(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(lines), encoding="utf-8")


def test_the_command_says_that_all_is_the_same_and_writes_the_midi(
    logged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert replay_command(logged, output=tmp_path / "out.mid") == 0
    out = capsys.readouterr().out
    assert "identical:" in out
    performance = read_midi(tmp_path / "out.mid")
    assert len(performance) > 20
    assert {part.name for part in performance.parts} == {MODEL}


def test_the_command_names_the_place_of_a_difference_and_fails(
    logged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = lines(logged)
    place = next(n for n, line in enumerate(changed) if '"events": [{' in line)
    record = json.loads(changed[place])
    record["answer"]["events"][0]["message"][2] ^= 1
    changed[place] = json.dumps(record) + "\n"
    rewrite(logged, changed)
    assert replay_command(logged) == 1
    out = capsys.readouterr().out
    assert out.startswith("different at 0.0")
    assert "the log has PlannedEvent(" in out


def test_the_command_takes_a_log_that_was_cut_off(
    logged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = logged.read_bytes()
    logged.write_bytes(data[: len(data) * 2 // 3])
    assert replay_command(logged) == 0
    assert "cut off" in capsys.readouterr().out


def test_other_weights_are_refused(logged: Path) -> None:
    with pytest.raises(RecordingError, match="the weights of 'piano' are not those"):
        replay_command(logged, model="piano")


def test_without_the_model_the_midi_can_be_had(logged: Path, tmp_path: Path) -> None:
    changed = lines(logged)
    first = json.loads(changed[0])
    first["settings"]["model"] = "/nowhere"
    rewrite(logged, [json.dumps(first) + "\n", *changed[1:]])
    assert replay_command(logged, output=tmp_path / "out.mid", check=False) == 0
    assert len(read_midi(tmp_path / "out.mid")) > 20
