"""Recordings of earlier versions replay note for note, as their model played then."""

from __future__ import annotations

from pathlib import Path

from midirnn.codecs import PedalCodec
from midirnn.live.base.messages import Begin, Blend, ModelSettings, Recall, Store
from midirnn.live.improviser.server import ModelServer
from midirnn.live.output.ledger import MODEL
from midirnn.live.recording.event_log import read_log
from midirnn.live.recording.replay import Answer, replay
from midirnn.sampling import Sampler
from tests.live.recording.test_replay import serve_flaky, serve_tiny
from tests.live.stage import START_SECONDS, is_note_on, tiny_model

LOG = Path(__file__).with_name("session_with_moods.jsonl")
"""Written by version 0.1.0 with the tiny model of the tests. Presets were called moods."""

ANSWERS = Path(__file__).with_name("session_with_answers.jsonl")
"""Written with the flaky model of the tests before ``Begin`` said where the phrase begins and where
the last note of an answer, and ``Knobs`` that the model waits while its register is held."""

PEDAL = Path(__file__).with_name("session_with_pedal.jsonl")
"""Written by version 0.1.0 with a tiny model that hears and moves the pedal."""


def serve_pedal(settings: ModelSettings) -> Answer:
    model = tiny_model(PedalCodec())
    sampler = Sampler(model.engine("numpy"), model.codec, settings.sampling, seed=settings.seed)
    return ModelServer(sampler, start_seconds=settings.start_seconds).handle


def test_a_recording_with_moods_is_read_and_gives_the_same_notes() -> None:
    log = read_log(LOG)
    requests = [record.value for record in log.records if record.kind == "ask"]
    assert Store("mood 1") in requests
    assert Recall("mood 2") in requests
    assert Blend((("mood 1", 0.75), ("mood 2", 0.25))) in requests
    result = replay(log, serve_tiny)
    assert result.difference is None
    assert result.restarts == 1
    assert result.events > 20
    assert result.notes_sent == result.notes_as_planned > 10


def test_a_recording_with_moods_is_music() -> None:
    performance = read_log(LOG).recording().performance()
    assert len(performance) > 10
    assert performance.duration > 1.0


def test_a_recording_with_abrupt_answers_outside_the_register_gives_the_same_notes() -> None:
    log = read_log(ANSWERS)
    begun = [record.value for record in log.records if isinstance(record.value, Begin)]
    assert [begin.source for begin in begun] == ["model", "phrase", "model"]
    sent = [r for r in log.records if r.kind == "out" and r.value[2] == MODEL]
    onsets = [(r.seconds - START_SECONDS, r.value[0][1]) for r in sent if is_note_on(r.value[0])]
    assert any(pitch not in (60, 61) for _, pitch in onsets)
    assert onsets[-1][0] > 6.0  # in the last second of the answer
    result = replay(log, serve_flaky)
    assert result.difference is None
    assert result.notes_sent == result.notes_as_planned == 12


def test_a_recording_in_which_the_pedal_moves_often_gives_the_same_notes() -> None:
    result = replay(read_log(PEDAL), serve_pedal)
    assert result.difference is None
    assert result.events > 100
    assert result.notes_sent == result.notes_as_planned > 40
