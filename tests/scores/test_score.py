"""Written notes in quarter notes: chords, metres, tempos."""

from __future__ import annotations

import numpy as np
import pytest

from midirnn.performance import Part, Performance, Tempo, TimeSignature
from midirnn.scores import Meter, Score
from midirnn.scores.score import QuarterClock
from tests.scores.examples import BEATS_OF_MELODY, melody


@pytest.mark.parametrize("bpm", [33.3, 120.0, 251.7])
def test_onsets_are_in_quarter_notes_at_any_tempo(bpm: float) -> None:
    assert melody(bpm).onset.tolist() == list(BEATS_OF_MELODY)


def test_notes_that_begin_together_are_a_chord() -> None:
    score = melody()
    assert score.chord.tolist() == [0, 1, 2, 3, 4, 5, 5, 5]
    assert score.firsts.tolist() == [0, 1, 2, 3, 4, 5]
    assert score.chord_seconds.tolist() == [0.0, 0.5, 1.0, 1.25, 1.5, 2.0]


def test_notes_that_nearly_begin_together_are_a_chord_in_order_of_pitch() -> None:
    written = Performance.from_notes([(0.0, 1, 72, 64), (0.004, 1, 60, 64), (1.0, 2, 60, 64)])
    score = Score.from_performance(written)
    assert score.pitch.tolist() == [60, 72, 60]
    assert score.chord.tolist() == [0, 0, 1]
    assert written.pitch[score.of_note].tolist() == [60, 72, 60]


def test_a_change_of_tempo_is_followed() -> None:
    clock = QuarterClock((Tempo(0.0, 60.0), Tempo(2.0, 120.0)))
    seconds = np.array([0.0, 1.0, 2.0, 3.0])
    assert clock.quarters(seconds).tolist() == [0.0, 1.0, 2.0, 4.0]
    assert clock.seconds(clock.quarters(seconds)).tolist() == seconds.tolist()
    assert clock.bpm(np.array([1.0, 2.0])).tolist() == [60.0, 120.0]


@pytest.mark.parametrize(
    ("meter", "bar", "beat"),
    [(Meter(0, 4, 4), 4.0, 1.0), (Meter(0, 6, 8), 3.0, 1.5), (Meter(0, 3, 8), 1.5, 0.5)],
)
def test_a_beat_of_compound_metre_is_dotted(meter: Meter, bar: float, beat: float) -> None:
    assert (meter.bar, meter.beat) == (bar, beat)


def test_a_score_without_a_time_signature_is_in_four_four() -> None:
    score = Score.from_performance(Performance.from_notes([(1.0, 2.0, 60, 64)]))
    assert score.meters == (Meter(0.0, 4, 4),)


def test_a_time_signature_that_makes_no_sense_is_left_out() -> None:
    signatures = (TimeSignature(0.0, 3, 4), TimeSignature(1.0, 255, 1))
    written = Performance.from_notes([(1.0, 2.0, 60, 64)]).replace(signatures=signatures)
    assert Score.from_performance(written).meters == (Meter(0.0, 3, 4),)


def test_drums_are_kept_beside_the_notes() -> None:
    written = Performance(
        start=np.array([0.0, 0.5]),
        end=np.array([0.4, 0.9]),
        pitch=np.array([60, 38], np.uint8),
        velocity=np.array([64, 90], np.uint8),
        part=np.array([0, 1], np.int32),
        parts=(Part(), Part(channel=9)),
    )
    score = Score.from_performance(written)
    assert (len(score), len(score.written)) == (1, 2)
