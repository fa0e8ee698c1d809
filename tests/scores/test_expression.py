"""What a performance adds to its score: measured, and played back."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midirnn import read_midi
from midirnn.midifile import midi_bytes
from midirnn.performance import Performance
from midirnn.scores import Expression, Score, measure, perform
from midirnn.scores.expression import HELD, RENEWED, UP
from tests.scores.examples import melody, scores


def some_expression(score: Score, seed: int, strength: float = 1.0) -> Expression:
    random = np.random.default_rng(seed)
    chords, notes = len(score.firsts), len(score)
    return Expression(
        tempo=random.normal(0, 0.2, chords) * strength,
        pedal=random.integers(0, 3, chords).astype(float),
        timing=random.normal(0, 0.01, notes) * strength,
        velocity=random.normal(0, 15, notes) * strength,
        articulation=random.normal(-0.5, 0.6, notes) * strength,
    )


def pitches(performance: Performance) -> Counter[tuple[int, str]]:
    names = [part.name for part in performance.parts]
    return Counter((note.pitch, names[note.part]) for note in performance)


@given(scores(), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1.0, 8.0]))
@settings(max_examples=60, deadline=None)
def test_a_performance_has_exactly_the_notes_of_its_score(
    score: Score, seed: int, strength: float
) -> None:
    played = perform(score, some_expression(score, seed, strength))
    assert pitches(played) == pitches(score.written)
    assert (played.end > played.start).all()


def test_a_note_that_is_soon_repeated_is_cut_and_none_becomes_a_click() -> None:
    score = Score.from_performance(
        Performance.from_notes([(0.1 * n, 0.1 * n + 0.1, 60, 64) for n in range(20)])
    )
    late_and_early = np.where(np.arange(20) % 2, -0.045, 0.045)
    played = perform(score, replace(Expression.plain(score), timing=late_and_early))
    for piece in (played, read_midi(midi_bytes(played))):
        assert len(piece) == 20
        assert (piece.end[:-1] <= piece.start[1:] + 1e-9).all()
        assert (piece.end - piece.start).min() > 0.019


@given(scores(), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_its_file_has_the_pitches_of_its_score(score: Score, seed: int) -> None:
    written = read_midi(midi_bytes(score.written), drums=True)
    played = read_midi(midi_bytes(perform(score, some_expression(score, seed))), drums=True)
    assert set(played.pitch.tolist()) == set(written.pitch.tolist())
    assert len(played) >= len({(n.start, n.pitch, n.part) for n in written})


def matches(score: Score, played: Performance) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return which played note is which written one: here pitches and order say it."""
    order = np.lexsort((played.pitch, played.start))
    left = {pitch: [i for i in order if played.pitch[i] == pitch] for pitch in set(played.pitch)}
    return np.array([left[pitch].pop(0) for pitch in score.pitch])


@pytest.mark.parametrize("seed", range(4))
def test_what_is_performed_is_measured(seed: int) -> None:
    score = melody()
    given_ = some_expression(score, seed, 0.5)
    found = measure(score, played := perform(score, given_), matches(score, played))
    tempo, known = found.tempo[:-1], given_.tempo[:-1]
    steps = np.diff(score.chord_seconds)
    mean = np.log((steps * np.exp(known)).sum() / steps.sum())
    late = given_.timing - np.array([0, 0, 0, 0, 0, *[np.median(given_.timing[5:])] * 3])
    assert found.velocity == pytest.approx(
        np.rint(64 + given_.velocity) - np.rint(64 + given_.velocity).mean()
    )
    assert found.timing[5:] == pytest.approx(late[5:], abs=1e-9)
    assert tempo == pytest.approx(known - mean, abs=0.15)  # single notes carry their own timing


def test_a_plain_score_is_played_as_it_is_written() -> None:
    score = melody()
    played = perform(score, Expression.plain(score))
    assert played.start == pytest.approx(score.written.start)
    assert played.end == pytest.approx(score.written.end)
    assert set(played.velocity.tolist()) == {64}
    assert len(played.pedal_time) == 0


def test_the_mean_tempo_is_kept_or_set() -> None:
    score = melody()
    expression = some_expression(score, 1)
    for bpm, seconds in ((None, 2.0), (60.0, 4.0), (240.0, 1.0)):
        played = perform(score, expression, bpm)
        assert played.start[-3:].mean() - played.start[0] == pytest.approx(seconds, abs=0.1)


def test_the_bars_of_the_file_are_those_of_the_score() -> None:
    score = melody()
    played = perform(score, some_expression(score, 2, 0.3))
    again = Score.from_performance(read_midi(midi_bytes(played)))
    assert again.onset == pytest.approx(score.onset, abs=0.08)
    assert [m.bar for m in again.meters] == [4.0]


def test_the_pedal_that_is_performed_is_measured() -> None:
    score = melody(bpm=60)
    pedal = np.array([UP, RENEWED, HELD, RENEWED, UP, RENEWED])
    plain = Expression.plain(score)
    played = perform(score, Expression(plain.tempo, pedal, *[plain.timing] * 3))
    assert measure(score, played, matches(score, played)).pedal.tolist() == pedal.tolist()
    assert played.pedal_value[-1] == 0  # released in the end


def test_notes_that_are_not_played_are_not_known() -> None:
    score = melody()
    matched = np.arange(len(score))
    matched[1] = -1
    found = measure(score, score.written, matched)
    assert np.isnan(found.velocity[1])
    assert np.isnan(found.tempo[[0, 1]]).all()
    assert not np.isnan(found.tempo[2])


def test_nothing_is_known_of_a_performance_without_a_match() -> None:
    score = melody()
    found = measure(score, score.written, np.full(len(score), -1))
    assert np.isnan(found.velocity).all()
    assert np.isnan(found.tempo).all()


def test_amount_scales_every_deviation() -> None:
    score = melody()
    expression = some_expression(score, 3)
    half = expression.scaled(0.5)
    assert half.velocity == pytest.approx(expression.velocity / 2)
    assert half.pedal.tolist() == expression.pedal.tolist()
    assert not expression.scaled(0.0).pedal.any()
