"""A person and several players: each on its own channel, recorded, replayed, every note ended."""

from __future__ import annotations

import json
import random
import time
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midirnn.cli.main import main
from midirnn.codecs.ensemble import REGISTERS
from midirnn.ensemble.seats import REACH
from midirnn.errors import CheckpointError, CodecError, OptionError
from midirnn.live import LiveConfig, ManualClock, Session
from midirnn.live.base.messages import Begin
from midirnn.live.output import scheduler
from midirnn.live.output.ledger import MODEL
from midirnn.live.recording.event_log import EventLog, SessionLog, header, read_log
from midirnn.live.recording.replay import replay
from midirnn.live.rig import Rig
from midirnn.ports import MemoryOutput, Message
from tests.live.flaky import FlakyModel
from tests.live.recording.test_replay import SETTINGS, Evening, serve_flaky, serve_tiny
from tests.live.stage import (
    START_SECONDS,
    Schedule,
    Stage,
    is_note_on,
    note,
    sounding,
    write_tiny_model,
)
from tests.live.test_rig import run_until_it_plays

PLAYERS = range(1, 4)
"""The channels, from 0, of three players beside a person on channel 1."""


def a_tune(seconds: float, seed: int = 0) -> list[tuple[float, Message]]:
    """What the performer plays: about three notes a second, with rests."""
    rng, at, played = random.Random(seed), 1.0, []
    while at < seconds:
        played += note(at, at + 0.25, rng.randint(60, 84))
        at += rng.choice((0.26, 0.3, 0.5, 2.0))
    return sorted(played)


def channels_of(messages: list[Message]) -> dict[int, list[int]]:
    """The pitches that were begun on each channel."""
    found = defaultdict(list)
    for message in messages:
        if is_note_on(message):
            found[message[0] & 0x0F].append(message[1])
    return found


def test_three_players_join_in_with_the_first_key_each_in_its_register_on_its_channel() -> None:
    stage = Stage("ensemble")
    stage.perform(a_tune(18.0))
    sent = stage.play(20.0)
    assert sent[0][0] >= 1.0
    found = channels_of([message for _, message in sent])
    assert sorted(found) == list(PLAYERS)
    for channel, pitches in found.items():
        assert len(pitches) > 5
        assert all(abs(pitch - REGISTERS[channel]) <= REACH for pitch in pitches)
    assert sounding(message for _, message in sent) == set()


@pytest.mark.parametrize("seed", range(3))
def test_the_ledger_has_each_players_notes_until_their_note_offs_were_sent(seed: int) -> None:
    stage = Stage("ensemble", seed=seed)
    stage.perform(a_tune(9.0, seed))
    with stage.session:
        for _ in range(20):
            stage.run(0.5)
            ledger = {n.key for n in stage.session.scheduler.sounding if n.owner == MODEL}
            assert ledger == sounding(stage.output.messages)
            assert len({channel for channel, _ in ledger}) == len(ledger)  # one note each
    assert sounding(stage.output.messages) == set()


def test_one_player_beside_the_performer_is_on_the_channel_after_the_first() -> None:
    stage = Stage("ensemble", LiveConfig(players=1, channel=9))
    stage.perform(a_tune(8.0))
    # The tenth channel is that of the drums.
    assert set(channels_of([m for _, m in stage.play(10.0)])) == {10}


def test_the_players_stop_and_go_on_when_they_are_told_whose_turn_it_is() -> None:
    stage = Stage("ensemble")
    stage.perform(note(0.5, 0.8, 72))
    with stage.session:
        stage.run(6.0)
        stage.session.press("my_turn")
        stage.run(0.1)
        assert sounding(stage.output.messages) == set()
        played = len(stage.sent)
        stage.run(3.0)
        assert len(stage.sent) == played
        stage.session.press("your_turn")
        stage.run(6.0)
        assert len(stage.sent) > played


def session_log(
    path: Path, schedule: Schedule, seconds: float, *, dies: bool = False
) -> SessionLog:
    clock = ManualClock(START_SECONDS)
    model = FlakyModel(clock)
    model.settings = SETTINGS
    with EventLog(path, header(SETTINGS, "", {})) as log:
        output, config = MemoryOutput(clock=clock.now), LiveConfig(guard=False)
        session = Session(model, output, "ensemble", config, clock=clock, observer=log)
        for at, message in schedule:
            when = START_SECONDS + at
            clock.at(when, lambda when=when, message=message: session.receive(message, when))  # type: ignore[misc]
        if dies:
            clock.at(START_SECONDS + seconds / 2, model.kill)
        with session:
            session.run(seconds, sending_thread=False)
        assert sounding(output.messages) == set()
    return read_log(path)


@pytest.mark.parametrize("dies", [False, True], ids=["one model", "a model that died"])
def test_a_session_with_the_performer_playing_is_replayed_bit_for_bit(
    tmp_path: Path, dies: bool
) -> None:
    log = session_log(tmp_path / "log.jsonl", a_tune(12.0), 14.0, dies=dies)
    result = replay(log, serve_flaky)
    assert result.difference is None
    assert result.notes_sent > 20
    assert result.restarts == int(dies)
    music = log.recording().performance()
    channels = {(part.name, part.channel) for part in music.parts}
    assert {("model", channel) for channel in PLAYERS} <= channels


def test_a_recorded_session_of_two_processes_is_replayed_by_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scheduler, "go_first", lambda: None)  # not permitted everywhere
    config = LiveConfig(
        mode="ensemble",
        model=str(write_tiny_model(tmp_path)),
        record=tmp_path / "takes",
        seed=1,
        spare=False,
    )
    output = MemoryOutput()
    with Rig(config, output=output) as rig:
        rig.session.receive((0x90, 72, 80), time.monotonic())
        run_until_it_plays(rig, output)
        assert sounding(output.messages) == set()
    (log,) = (tmp_path / "takes").glob("*.jsonl")
    assert main(["replay", str(log)]) == 0
    assert "identical:" in capsys.readouterr().out
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
    first = json.loads(lines[0]) | {"network_sha256": "0" * 64}
    log.write_text("".join([json.dumps(first) + "\n", *lines[1:]]), encoding="utf-8")
    assert main(["replay", str(log)]) != 0
    assert "the weights of the network 'ensemble' are not those" in capsys.readouterr().err


@settings(max_examples=8)
@given(
    st.lists(st.tuples(st.sampled_from(["hear", "play", "break"]), st.integers(60, 90)), max_size=9)
)
def test_whatever_is_broken_off_the_replay_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, int]]
) -> None:
    evening = Evening(tmp_path_factory.mktemp("log") / "log.jsonl")
    evening.ask(Begin(0, "ensemble"))
    for act, number in acts:
        if act == "hear":
            evening.hear(number)
        elif act == "play":
            evening.play(2 * number)
        else:
            evening.play(150, at_most=number % 8)
            evening.rewind()
    assert replay(evening.end(), serve_tiny).difference is None


def test_the_mode_can_be_changed_to_and_fro() -> None:
    stage = Stage("duet")
    stage.perform(a_tune(12.0))
    with stage.session:
        for mode, channels in (("duet", {0}), ("ensemble", set(PLAYERS)), ("duet", {0})):
            stage.session.set_mode(mode)
            before = len(stage.sent)
            stage.run(4.0)
            found = set(channels_of([m for _, m in stage.sent[before:]]))
            assert found and found <= channels
    assert sounding(stage.output.messages) == set()


@pytest.mark.parametrize("players", [0, 9])
def test_a_number_of_players_that_cannot_be_is_refused(
    players: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["live", "--mode", "ensemble", "--players", str(players)]) != 0
    line = f"midirnn: error: --players is {players}; allowed are 1 to 4\n"
    assert capsys.readouterr().err == line


def test_more_players_than_the_network_has_seats_are_refused() -> None:
    with pytest.raises(OptionError, match="players is 4; the network has seats beside yours for 1"):
        Rig(LiveConfig(mode="ensemble", players=4), output=MemoryOutput())


def test_a_network_that_is_none_is_refused() -> None:
    for network, error, text in (
        ("humanize", CheckpointError, "architecture 'humanizer'; only models of 'language_model'"),
        ("piano-small", CodecError, "'performance' has no gestures; an ensemble needs the codec"),
    ):
        with pytest.raises(error, match=text):
            Rig(LiveConfig(mode="ensemble", network=network), output=MemoryOutput())
