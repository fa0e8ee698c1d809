"""What is played is measured, and more or less is asked for until it is as wanted."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from midirnn import Performance
from midirnn.codecs import PerformanceCodec
from midirnn.codecs.controls import Controls
from midirnn.codecs.performance import TokenType
from midirnn.codecs.style import Style
from midirnn.sampling import Sampler
from midirnn.sampling.keeping import CARRIED, NUMBERS, Keeping, RecentNotes
from tests.sampling.continuing import continue_primer
from tests.sampling.mock_engine import Eager
from tests.strategies import performances

CODEC = PerformanceCodec()
TOKEN = CODEC.vocabulary.token
PRIMER = Performance.from_notes((n / 4, n / 4 + 0.2, 60, 70) for n in range(40))
NOTES_PER_SECOND = 4.0


def played_by(engine: Eager, *, follow: float = 1.0, seconds: float = 40.0) -> float:
    """The notes per second of the second half of a continuation."""
    sampler = Sampler(engine, CODEC, seed=0)
    piece = continue_primer(sampler, seconds, PRIMER, follow=follow).piece
    late = piece.start >= PRIMER.duration + seconds / 2
    return float(late.sum()) / (seconds / 2)


def test_a_model_that_plays_twice_as_many_notes_is_brought_back() -> None:
    assert played_by(Eager(CODEC, 2.0)) == pytest.approx(NOTES_PER_SECOND, rel=0.15)


def test_a_model_that_plays_half_as_many_notes_is_brought_back_too() -> None:
    assert played_by(Eager(CODEC, 0.5)) == pytest.approx(NOTES_PER_SECOND, rel=0.15)


def test_a_model_that_does_as_it_is_told_is_left_alone() -> None:
    engine = Eager(CODEC, 1.0)
    assert played_by(engine) == pytest.approx(NOTES_PER_SECOND, rel=0.1)
    wanted = math.log2(1.0 + NOTES_PER_SECOND)
    assert engine.asked[-10:] == pytest.approx([wanted] * 10, abs=0.25)


def test_where_nothing_helps_no_more_is_asked_for_than_a_limit() -> None:
    engine = Eager(CODEC, 1000.0)
    assert played_by(engine) > 40.0
    least = math.log2(1.0 + NOTES_PER_SECOND) - NUMBERS["density"].most
    assert min(engine.asked) == pytest.approx(least, abs=0.1)


def test_without_following_nothing_is_asked_for() -> None:
    engine = Eager(CODEC, 2.0)
    played_by(engine, follow=0.0, seconds=10.0)
    assert engine.asked == []


def fed(tokens: list[int], seconds: float) -> RecentNotes:
    played = RecentNotes(CODEC, seconds)
    for token in tokens:
        played.add(token)
    return played


@given(performances(max_notes=30), st.floats(1.0, 6.0))
def test_what_was_played_is_measured_as_a_style_is(
    performance: Performance, seconds: float
) -> None:
    tokens = CODEC.encode(performance.without_drums())
    assume(CODEC.token_steps[tokens].sum() >= CODEC.steps_per_second)
    counted = fed(tokens.tolist(), seconds).style()
    style = CODEC.recent_style(tokens, seconds)
    for trait in ("density", "polyphony", "loudness", "register", "rhythm"):
        assert counted.values.get(trait) == pytest.approx(style.values.get(trait)), trait


def test_what_lies_further_back_is_forgotten() -> None:
    played = fed(CODEC.encode(PRIMER).tolist(), 2.0)
    for _ in range(3):
        played.add(TOKEN(TokenType.TIME_SHIFT, 100))
    assert played.style().number("density") == 0.0


def test_after_starting_over_only_what_follows_the_next_note_counts() -> None:
    tokens = CODEC.encode(PRIMER).tolist()
    played, fresh = fed(tokens, 5.0), fed(tokens, 5.0)
    played.start_over()
    for _ in range(4):
        played.add(TOKEN(TokenType.TIME_SHIFT, 100))
    assert played.seconds == 0.0
    for token in tokens[:40]:
        played.add(token)
    assert played.seconds == pytest.approx(fed(tokens[:40], 5.0).seconds)
    assert played.style() == fed(tokens[:40], 5.0).style()
    assert fresh.style().number("density") == pytest.approx(math.log2(1.0 + NOTES_PER_SECOND))


def test_a_copy_goes_on_by_itself() -> None:
    wanted = Controls(style=Style({"density": 2.0, "polyphony": 1.0}))
    first = Keeping(CODEC, CODEC.encode(PRIMER).tolist())
    before = first.asked(wanted)
    second = first.copy()
    for _ in range(20):
        second.add(TOKEN(TokenType.TIME_SHIFT, 100))
    assert second.asked(wanted) != before
    assert first.asked(wanted) is before
    assert first.asked(replace(wanted)) == before


def test_music_that_is_louder_and_higher_than_wanted_is_brought_down_within_limits() -> None:
    keeping = Keeping(CODEC, CODEC.encode(PRIMER).tolist())
    asked = keeping.asked(Controls(style=Style({"loudness": 66.0, "register": 57.0})))
    assert asked is not None and asked.style is not None
    assert 60.0 < asked.style.number("loudness") < 66.0
    assert 52.0 < asked.style.number("register") < 57.0
    for wanted, change in ((0.0, -1.0), (127.0, 1.0)):
        asked = keeping.asked(Controls(style=Style({"loudness": wanted})))
        for _ in range(40):
            for token in CODEC.encode(PRIMER)[:200].tolist():
                keeping.add(token)
            asked = keeping.asked(Controls(style=Style({"loudness": wanted})))
        assert asked is not None and asked.style is not None
        most = NUMBERS["loudness"].most
        assert asked.style.number("loudness") == pytest.approx(wanted + change * most)


def test_the_next_answer_begins_with_half_of_what_was_found_over_time() -> None:
    wanted = Controls(style=Style({"register": 60.0, "loudness": 80.0}))
    keeping = Keeping(CODEC, [])
    for token in CODEC.encode(PRIMER).tolist():
        keeping.add(token)
        asked = keeping.asked(wanted)
    assert asked is not None and asked.style is not None
    assert asked.style.number("loudness") > 82.0
    keeping.start_over()
    again = keeping.asked(replace(wanted))
    assert again is not None and again.style is not None
    assert again.style.number("register") == pytest.approx(60.0)
    less = CARRIED * NUMBERS["loudness"].most_in_time
    assert 80.0 < again.style.number("loudness") < min(80.0 + less, asked.style.number("loudness"))


def test_letting_go_keeps_what_was_found() -> None:
    keeping = Keeping(CODEC, CODEC.encode(PRIMER).tolist())
    style = Style({"density": 1.0})
    first = keeping.asked(Controls(style=style))
    less = keeping.asked(Controls(style=style, follow=0.5))
    assert first is not None and less is not None
    assert first.style == less.style != style
    assert keeping.asked(Controls(style=None)) == Controls(style=None)


def test_rests_are_short_while_too_little_was_played() -> None:
    a_second = CODEC.vocabulary.token(TokenType.TIME_SHIFT, 100)
    keeping = Keeping(CODEC, [])
    asked = Controls(notes_per_second=4.0)
    assert keeping.longest_rest(None) is None
    assert keeping.longest_rest(Controls()) is None
    assert keeping.longest_rest(asked) == 200
    assert keeping.longest_rest(Controls(style=Style({"density": math.log2(5.0)}))) == 200
    for _ in range(3):
        for pitch in range(60, 64):
            keeping.add(TOKEN(TokenType.NOTE_ON, pitch))
        for pitch in range(60, 64):
            keeping.add(TOKEN(TokenType.NOTE_OFF, pitch))
        keeping.add(a_second)
    assert keeping.longest_rest(asked) is None
    keeping.add(a_second)
    assert keeping.longest_rest(asked) == 200
