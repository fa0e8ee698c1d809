"""An answer comes to a close: no note begins in its last second, and the last ones sound on."""

from __future__ import annotations

import pytest

from midirnn.codecs.performance import TokenType
from midirnn.live import LiveConfig
from midirnn.live.base.messages import Begin
from midirnn.live.improviser.stream import SharedStream
from tests.live.controls.test_console import clocks
from tests.live.improviser.test_stream import shared_stream
from tests.live.stage import Stage, note, note_ons, sounding

PHRASE = [event for i in range(12) for event in note(0.2 * i, 0.2 * i + 0.15, 60 + i % 7)]


def answer_of(stage: Stage) -> tuple[float, float]:
    """When the answer began and ended."""
    begin = next(at for at, stance in stage.changes if stance.name == "BOTH")
    return begin, next(at for at, stance in stage.changes if at > begin)


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


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("seconds", [0.1, 0.5, 1.0, 1.5])
def test_a_short_answer_has_notes_in_its_first_half_and_begins_none_in_the_other(
    seconds: float, seed: int
) -> None:
    stage = Stage("call_and_response", LiveConfig(answer_seconds=seconds), seed=seed)
    stage.perform(PHRASE)
    onsets = note_ons(stage.play(8.0))
    begin, end = answer_of(stage)
    assert onsets
    assert begin <= min(onsets) <= max(onsets) <= max(begin + seconds / 2, end - 1.0) + 0.011


@pytest.mark.parametrize("bpm", [40.0, 220.0])
def test_the_last_second_is_one_of_the_clock_at_any_tempo(bpm: float) -> None:
    config = LiveConfig(answer_seconds=2.0, clock="midi")
    stage = Stage("call_and_response", config)
    later = [(at + 3.0, message) for at, message in PHRASE]
    stage.perform([*clocks(bpm, 0.0, 12.0), *later])
    onsets = note_ons(stage.play(12.0))
    _, end = answer_of(stage)
    assert onsets
    assert max(onsets) <= end - 0.97


@pytest.mark.parametrize(("before", "after"), [(120.0, 60.0), (60.0, 120.0), (120.0, 90.0)])
def test_the_last_second_is_one_of_the_clock_if_the_tempo_changes(
    before: float, after: float
) -> None:
    stage = Stage("call_and_response", LiveConfig(answer_seconds=6.0, clock="midi"))
    later = [(at + 3.0, message) for at, message in PHRASE]
    tempo = [*clocks(before, 0.0, 7.5), *clocks(after, 7.5, 16.0)[1:]]
    stage.perform(sorted([*tempo, *later]))
    onsets = note_ons(stage.play(16.0))
    begin, end = answer_of(stage)
    assert begin < 7.0
    assert end - 2.5 < max(onsets) <= end - 0.95


def test_a_model_that_is_restarted_in_an_answer_closes_it_at_the_same_time() -> None:
    stage = Stage("call_and_response", LiveConfig(answer_seconds=6.0))
    stage.perform(PHRASE)
    with stage.session:
        stage.run(4.0)
        interplay, console = stage.session.interplay, stage.session.console
        assert interplay.plays
        end = interplay.mode.changes_at()
        *_, again = console.begin(interplay.mode, interplay._step_of, end - 0.5)
    assert isinstance(again, Begin)
    assert again.last_sound_step == interplay._step_of(end - 1.0)


def closing_stream(last_sound_step: int | None) -> SharedStream:
    """A stream near the end of an answer, after a rest, with no note sounding."""
    shared, sampler = shared_stream()
    shared.begin(Begin(0, until_step=100, last_sound_step=last_sound_step))
    shared.write(20, [], [(60, 20)])
    shared.write(50, [60], [])
    sampler.hear([sampler.codec.vocabulary.token(TokenType.TIME_SHIFT, 5)])
    return shared


def test_an_answer_rests_where_only_another_note_would_be_left() -> None:
    shared = closing_stream(50)
    assert shared.draw(shared.step) == []
    assert shared.rests


def test_in_logs_of_older_versions_a_note_begins_there() -> None:
    shared = closing_stream(None)
    for _ in range(3):
        shared.draw(shared.step)
        assert not shared.rests


def test_the_next_answer_and_other_modes_have_no_such_end() -> None:
    stage = Stage("call_and_response", LiveConfig(answer_seconds=3.0))
    again = [(at + 9.0, message) for at, message in PHRASE]
    stage.perform([*PHRASE, *again])
    onsets = note_ons(stage.play(18.0))
    assert any(12.0 < at < 15.0 for at in onsets)
    duet = Stage("duet")
    duet.perform(note(0.5, 1.0, 60))
    assert max(note_ons(duet.play(12.0))) > 9.0
