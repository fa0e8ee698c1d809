"""Recordings of earlier versions, whose presets were called moods, replay note for note."""

from __future__ import annotations

from pathlib import Path

from midirnn.live.base.messages import Blend, Recall, Store
from midirnn.live.recording.event_log import read_log
from midirnn.live.recording.replay import replay
from tests.live.recording.test_replay import serve_tiny

LOG = Path(__file__).with_name("session_with_moods.jsonl")
"""Written by version 0.1.0 with the tiny model of the tests."""


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
