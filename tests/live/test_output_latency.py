"""An instrument that takes its time: what is planned goes out earlier, to sound when it should."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midirnn.errors import OptionError
from midirnn.live import LiveConfig
from midirnn.live.base.observers import Observer
from midirnn.live.output.ledger import MODEL
from midirnn.live.recording.event_log import read_log
from midirnn.live.recording.replay import replay
from midirnn.live.rig import Rig
from midirnn.ports import Message, open_input
from tests.jack import JackServer
from tests.jack_fixture import jack_fixture
from tests.live.stage import Stage, is_note_on, note, note_ons, sounding, write_tiny_model

LATENCY_MS = 80.0
LATENCY_SECONDS = LATENCY_MS / 1e3


def solo(latency_ms: float) -> list[tuple[float, Message]]:
    """What is sent of ten seconds in autopilot."""
    config = LiveConfig(output_latency_ms=latency_ms, lookahead_seconds=1.0)
    return Stage("autopilot", config, seed=3).play(10.0)


def test_what_is_planned_is_sent_earlier_and_is_the_same() -> None:
    late, early = solo(0.0), solo(LATENCY_MS)
    pairs = list(zip(note_ons(late), note_ons(early), strict=False))
    assert len(pairs) > 20
    shifts = {round(there - here, 6) for there, here in pairs if there > 0.5}
    assert shifts == {LATENCY_SECONDS}
    played = [[m for s, m in sent if is_note_on(m) and s < 9.0] for sent in (late, early)]
    assert played[1][: len(played[0])] == played[0]


def test_the_first_note_of_an_answer_comes_as_soon_as_without() -> None:
    begun = {}
    for latency_ms in (0.0, LATENCY_MS):
        config = LiveConfig(output_latency_ms=latency_ms, silence_seconds=0.5)
        stage = Stage("call_and_response", config, seed=1)
        stage.perform(note(0.1, 0.4, 60) + note(0.4, 0.8, 64))
        begun[latency_ms] = note_ons(stage.play(6.0))[0]
    assert begun[LATENCY_MS] <= begun[0.0]
    assert begun[LATENCY_MS] >= 0.8 + 0.5  # not before the phrase is over


class Due(Observer):
    """When each message of the model sounded and was to sound."""

    def __init__(self) -> None:
        self.messages: list[tuple[float, float, Message]] = []

    def sent(self, message: Message, seconds: float, due_seconds: float, player: str) -> None:
        if player == MODEL:
            self.messages.append((seconds, due_seconds, message))

    @property
    def notes(self) -> list[tuple[float, Message]]:
        return [(due, message) for _, due, message in self.messages if is_note_on(message)]


@pytest.mark.parametrize("latency_ms", [0.0, LATENCY_MS, 500.0])
def test_notes_that_are_ended_at_once_are_not_late(latency_ms: float) -> None:
    due = Due()
    stage = Stage("autopilot", LiveConfig(output_latency_ms=latency_ms), observers=[due])
    stage.clock.at(stage.start + 3.0, lambda: stage.session.press("my_turn"))
    stage.play(4.0)
    ended_at = stage.start + 3.0 + latency_ms / 1e3
    ends = [sounds - due for sounds, due, _ in due.messages if sounds == pytest.approx(ended_at)]
    assert ends
    assert set(ends) == {0.0}


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["duet", "call_and_response", "autopilot", "shadow", "echo"]),
    st.sampled_from([5.0, 40.0, 500.0]),
    st.lists(st.tuples(st.floats(0.1, 4.0), st.floats(0.02, 1.0), st.integers(50, 70)), max_size=8),
)
def test_every_note_ends_whatever_is_played_meanwhile(
    mode: str, latency_ms: float, played: list[tuple[float, float, int]]
) -> None:
    stage = Stage(mode, LiveConfig(output_latency_ms=latency_ms, silence_seconds=0.3))
    stage.perform([event for at, length, pitch in played for event in note(at, at + length, pitch)])
    sent = stage.play(5.0)
    assert sounding(message for _, message in sent) == set()


@pytest.mark.parametrize("latency_ms", [-1.0, 501.0, float("nan")])
def test_latencies_that_no_instrument_has_are_refused(latency_ms: float) -> None:
    with pytest.raises(OptionError, match="0 to 500"):
        LiveConfig(output_latency_ms=latency_ms)


jack_server = jack_fixture(period=256)


def test_over_jack_notes_arrive_before_they_are_due(
    jack_server: JackServer, tmp_path: Path
) -> None:
    arrived: list[tuple[float, Message]] = []

    def hear(message: Message, seconds: float) -> None:
        if is_note_on(message):
            arrived.append((seconds, message))

    model, due = write_tiny_model(tmp_path), Due()
    config = LiveConfig(
        output="Slow piano",
        api="jack",
        model=str(model),
        mode="autopilot",
        seed=2,
        guard=False,
        spare=False,
        output_latency_ms=LATENCY_MS,
        record=tmp_path / "takes",
    )
    with (
        open_input("Slow piano", hear, virtual=True, api="jack"),
        Rig(config, observers=[due]) as rig,
    ):
        rig.run(seconds=4.0)
        end = time.monotonic() + 30.0
        while len(arrived) < len(due.notes) and time.monotonic() < end:
            time.sleep(0.01)
    assert [message for _, message in arrived] == [message for _, message in due.notes]
    ahead = [at - there for (at, _), (there, _) in zip(due.notes, arrived, strict=True)]
    assert len(ahead) > 10
    # On a busy machine some are late; without compensation all would be.
    assert statistics.median(ahead) > LATENCY_SECONDS / 4
    assert max(ahead) < LATENCY_SECONDS + 0.01
    log = read_log(next((tmp_path / "takes").glob("*.jsonl")))
    assert replay(log).difference is None
