"""A model with pedal tokens hears the performer's pedal and has its own, which never hangs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from midirnn.codecs import PedalCodec
from midirnn.codecs.pedal import PedalState
from midirnn.live import LiveConfig
from midirnn.live.base.messages import Adopt, Heard, HeardStep, ModelSettings, Save, Saved
from midirnn.live.improviser.server import ModelServer
from midirnn.live.input.listener import Listener
from midirnn.live.output.ledger import MODEL
from midirnn.live.recording.event_log import EventLog, from_plain, header, read_log, to_plain
from midirnn.live.recording.replay import Answer, replay
from midirnn.ports import Message
from midirnn.sampling import Sampler
from tests.live.output.test_scheduler import Desk
from tests.live.recovery.test_survival import Concert
from tests.live.stage import Stage, is_note_on, note, pedals_down, tiny_model

CODEC = PedalCodec()
UP, DOWN = range(388, 390)
BIN_64 = 16


def pedal(seconds: float, value: int, channel: int = 0) -> tuple[float, Message]:
    return seconds, (0xB0 | channel, 64, value)


def moves(sent: list[tuple[float, Message]], channel: int = 0) -> list[tuple[float, int]]:
    """When the pedal of a channel moved, and to what."""
    return [(at, m[2]) for at, m in sent if m[:2] == (0xB0 | channel, 64)]


# What is heard.


def listen(*messages: tuple[float, Message], until: float) -> list[HeardStep]:
    listener = Listener(CODEC, 0.0)
    for seconds, message in messages:
        listener.receive(message, seconds)
    heard = [step for steps, _ in listener.take() for step in steps]
    return heard + listener.advance(until)


def test_a_note_is_as_long_as_its_key_is_held_and_the_pedal_is_told_apart() -> None:
    played = [pedal(0.4, 127), *note(0.5, 0.6, 60, 64), pedal(1.0, 0)]
    assert listen(*played, until=2.0) == [
        HeardStep(40, (), (), (1,)),
        HeardStep(50, (), ((60, BIN_64),)),
        HeardStep(60, (60,), ()),
        HeardStep(100, (), (), (0,)),
    ]


def test_a_pedal_at_the_edge_of_its_travel_is_told_when_the_step_is_over() -> None:
    listener = Listener(CODEC, 0.0)
    for message in [pedal(0.5, 70), *note(0.501, 0.9, 60, 64)[:1], pedal(0.502, 50)]:
        listener.receive(message[1], message[0])
        list(listener.take())
        present = listener.present_step()
        assert present is None or present == HeardStep(50, (), ((60, BIN_64),))
    assert listener.advance(0.6) == [HeardStep(50, (), ((60, BIN_64),))]


# What is played.


def test_the_model_moves_the_pedal_of_its_channel_and_lets_go_of_it_in_the_end() -> None:
    stage = Stage("autopilot", LiveConfig(channel=3), codec=CODEC)
    stage.play(10.0)
    values = [value for _, value in moves(stage.sent, channel=2)]
    assert values.count(127) > 3
    assert values.count(0) > 3
    assert pedals_down(stage.output.messages) == set()


def test_pedal_out_leaves_a_model_alone_that_pedals_by_itself() -> None:
    played = [
        Stage("autopilot", LiveConfig(pedal_out=pedal_out), codec=CODEC).play(5.0)
        for pedal_out in (False, True)
    ]
    assert played[0] == played[1]


def test_while_the_model_plays_its_pedal_follows_that_of_the_performer() -> None:
    stage = Stage("shadow", codec=CODEC)  # which never moves a pedal by itself
    stage.perform([*note(0.1, 3.0, 60), pedal(1.0, 127), pedal(1.5, 0), pedal(1.8, 127)])
    stage.run(2.0)
    (down, _), (up, _), (again, _) = found = moves(stage.sent)
    assert [value for _, value in found] == [127, 0, 127]
    assert [down, up, again] == pytest.approx([1.0, 1.5, 1.8], abs=0.03)


@pytest.mark.parametrize("way", ["my_turn", "panic", "mode", "reset", "close"])
def test_however_the_model_falls_silent_its_pedal_goes_up_at_once(way: str) -> None:
    stage = Stage("autopilot", codec=CODEC)
    with stage.session:
        while not pedals_down(stage.output.messages):
            stage.run(0.1)
        if way == "close":
            stage.session.close()
        elif way == "mode":
            stage.session.turn("mode", "call_and_response")
        else:
            stage.session.press(way)
        began = stage.now
        stage.run(0.02)
        if way == "reset":  # and plays on
            assert 0 in [value for at, value in moves(stage.sent) if at >= began]
        else:
            assert pedals_down(stage.output.messages) == set()


def test_a_frozen_model_hears_the_pedal_go_up_and_not_down() -> None:
    stage = Stage("duet", codec=CODEC)
    stage.perform([*note(0.1, 0.2, 60), pedal(0.3, 127), pedal(0.8, 0), pedal(0.9, 127)])
    stage.run(0.5)
    stage.session.turn("freeze", True)
    stage.run(1.0)
    assert stage.planner.base.foot == 0


def test_of_a_phrase_in_echo_the_pedal_comes_back_too() -> None:
    stage = Stage("echo", LiveConfig(silence_seconds=0.5, echo_threshold=0.0), codec=CODEC)
    stage.perform([*note(0.1, 0.3, 60), pedal(0.2, 127), pedal(0.6, 0), *note(0.7, 0.9, 64)])
    sent = stage.play(3.0)
    start = next(at for at, message in sent if is_note_on(message))
    played = [(round(at - start, 2), value) for at, value in moves(sent) if at < 2.9]
    assert played == [(0.1, 127), (0.5, 0)]


# One channel for two.


def test_neither_lifts_the_pedal_that_the_other_holds_on_the_same_channel() -> None:
    desk = Desk()
    desk.plan(pedal(1.0, 127), pedal(2.0, 0))
    desk.scheduler.pass_on((0xB0, 64, 100), 0.0)
    desk.go_to(3.0)
    assert desk.output.sent == [pedal(0.0, 100), pedal(1.0, 127)]
    desk.scheduler.pass_on((0xB0, 64, 20), 3.0)
    desk.go_to(3.0)
    assert desk.output.sent[-1] == pedal(3.0, 20)


def test_a_pedal_that_a_dead_model_left_down_is_lifted() -> None:
    desk = Desk()
    desk.plan(pedal(1.0, 127))
    desk.scheduler.extend(1.5)
    desk.go_to(30.0)
    assert [message for _, message in desk.output.sent] == [(0xB0, 64, 127), (0xB0, 64, 0)]
    assert desk.scheduler.take_rescued()


# Recovery and recordings.


def test_when_the_model_dies_its_pedal_goes_up_and_another_model_pedals_on() -> None:
    concert = Concert("autopilot", codec=CODEC)
    with concert.session:
        while not pedals_down(concert.output.messages):
            concert.run(0.1)
        concert.model.kill()
        concert.run(0.02)
        assert pedals_down(concert.output.messages) == set()
        before = len(concert.output.messages)
        concert.run(8.0)
    assert concert.model.restarts == 1
    assert (0xB0, 64, 127) in concert.output.messages[before:]
    assert pedals_down(concert.output.messages) == set()


def server(settings: ModelSettings) -> ModelServer:
    model = tiny_model(CODEC)
    sampler = Sampler(model.engine("numpy"), model.codec, settings.sampling, seed=settings.seed)
    return ModelServer(sampler, start_seconds=settings.start_seconds, channel=settings.channel)


def test_a_model_that_takes_over_knows_the_pedal() -> None:
    settings = ModelSettings("tiny", "numpy")
    first, second = server(settings), server(settings)
    list(first.planner.hear([HeardStep(10, (), ((60, 20),), (1,))]))
    (saved,) = first.handle(Save())
    assert isinstance(saved, Saved)
    list(second.handle(Adopt(saved.state)))
    assert second.planner.base.foot == 1
    grammar = second.planner.base.sampler.grammar
    assert isinstance(grammar, PedalState)
    assert grammar.pedal == 1


def test_a_recording_with_pedals_is_replayed_bit_for_bit(tmp_path: Path) -> None:
    settings = ModelSettings("tiny", "numpy", start_seconds=1000.0)
    log = EventLog(tmp_path / "log.jsonl", header(settings, "", {}))
    stage = Stage("duet", codec=CODEC, observers=[log])
    log.started(settings, stage.start)
    stage.perform([*note(0.1, 0.2, 60), pedal(0.5, 127), *note(0.6, 0.7, 64), pedal(2.0, 0)])
    stage.play(4.0)
    log.close()
    read = read_log(log.path)
    answers = [record.value for record in read.records if record.kind == "answer"]
    assert any(isinstance(answer, Heard) and answer.lifts_pedal for answer in answers)

    def serve(settings: ModelSettings) -> Answer:
        return server(settings).handle

    result = replay(read, serve)
    assert result.difference is None
    assert result.notes_sent > 10
    performance = read.recording().performance()
    parts = [part.name for part in performance.parts]
    assert MODEL in {parts[part] for part in performance.pedal_part.tolist()}


def test_a_log_without_pedals_reads_as_those_of_earlier_versions_do() -> None:
    step = HeardStep(40, (), ((60, 20),))
    assert to_plain(step) == {
        "type": "HeardStep",
        "step": 40,
        "note_offs": [],
        "note_ons": [[60, 20]],
    }
    for logged in (step, replace(step, pedal=(0, 1)), Heard((60,), lifts_pedal=True)):
        assert from_plain(to_plain(logged)) == logged
