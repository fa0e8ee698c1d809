"""An answer comes to a close: no note begins in its last second, and the last ones sound on."""

from __future__ import annotations

import pytest

from midirnn.live import LiveConfig
from tests.live.stage import Stage, note, note_ons, sounding

PHRASE = [event for i in range(12) for event in note(0.2 * i, 0.2 * i + 0.15, 60 + i % 7)]


@pytest.mark.parametrize("seconds", [3.0, 6.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_note_begins_in_the_last_second_of_an_answer(seconds: float, seed: int) -> None:
    stage = Stage("call_and_response", LiveConfig(answer_seconds=seconds), seed=seed)
    stage.perform(PHRASE)
    sent = stage.play(12.0)
    begin = next(at for at, stance in stage.changes if stance.name == "BOTH")
    onsets = note_ons(sent)
    assert onsets
    assert max(onsets) <= begin + seconds - 0.95
    assert sounding(message for _, message in sent) == set()


def test_the_next_answer_and_other_modes_have_no_such_end() -> None:
    stage = Stage("call_and_response", LiveConfig(answer_seconds=3.0))
    again = [(at + 9.0, message) for at, message in PHRASE]
    stage.perform([*PHRASE, *again])
    onsets = note_ons(stage.play(18.0))
    assert any(12.0 < at < 15.0 for at in onsets)
    duet = Stage("duet")
    duet.perform(note(0.5, 1.0, 60))
    assert max(note_ons(duet.play(12.0))) > 9.0
