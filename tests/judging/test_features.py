"""What a piece is like, in numbers that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from midirnn.judging.features import FEATURES, onset_gaps, silences
from midirnn.performance import Performance
from tests.judging.pieces import melody
from tests.strategies import performances

BY_NAME = {feature.name: feature for feature in FEATURES}

CHORD_AND_NOTE = Performance.from_notes(
    [(1.0, 3.0, 60, 40), (1.0, 2.0, 64, 60), (4.0, 5.0, 72, 80)],
)
"""A chord for a second, a note of it for another, a rest, a note, and a rest up to 10 s."""


def value(name: str, piece: Performance = CHORD_AND_NOTE, seconds: float = 10.0) -> float:
    (number,) = BY_NAME[name].of(piece, seconds)
    return float(number)


def test_single_numbers() -> None:
    assert value("pitch_range") == 12
    assert value("notes_per_second") == pytest.approx(0.3)
    assert value("polyphony") == pytest.approx(4 / 3)
    assert value("velocity") == 60
    assert value("velocity_spread") == pytest.approx(np.std([40, 60, 80]))
    assert value("inter_onset_seconds") == 3.0
    assert value("duration_seconds") == pytest.approx(4 / 3)


def test_pitch_classes_are_shares_of_the_notes() -> None:
    shares = BY_NAME["pitch_class_histogram"].of(CHORD_AND_NOTE, 10.0)
    assert shares.tolist() == pytest.approx([2 / 3, 0, 0, 0, 1 / 3, *[0] * 7])


@pytest.mark.parametrize(
    ("each_seconds", "place"), [(0.001, 0), (0.02, 1), (0.04, 2), (0.64, 6), (60.0, 11)]
)
def test_times_are_told_apart_by_octaves(each_seconds: float, place: int) -> None:
    piece = melody([60, 61, 62], each_seconds=each_seconds)
    for name in ("inter_onset_histogram", "duration_histogram"):
        assert BY_NAME[name].of(piece, 200.0).tolist() == [float(n == place) for n in range(12)]


@given(performances(unreleased=True))
def test_of_any_piece_every_feature_is_finite_and_a_histogram_sums_to_one(
    piece: Performance,
) -> None:
    for feature in FEATURES:
        values = feature.of(piece, 8.0)
        assert np.isfinite(values).all(), feature.name
        assert (values >= 0).all(), feature.name
        if feature.is_histogram:
            assert values.sum() == pytest.approx(1.0) or not values.any()


def test_silence_is_where_nothing_sounds() -> None:
    assert silences(CHORD_AND_NOTE, 10.0).tolist() == [1.0, 1.0, 5.0]
    assert silences(Performance(), 10.0).tolist() == [10.0]
    assert silences(melody([60, 62], each_seconds=5.0), 10.0).tolist() == []


def test_gaps_between_onsets_reach_to_both_ends() -> None:
    assert onset_gaps(CHORD_AND_NOTE, 10.0).tolist() == [1.0, 0.0, 3.0, 6.0]
    assert onset_gaps(Performance(), 10.0).tolist() == [10.0]


@given(performances())
def test_what_sounds_and_what_is_silent_make_the_whole(piece: Performance) -> None:
    seconds = 8.0
    times = np.linspace(0, seconds, 1601)[:-1] + 0.0025
    sounds = ((piece.start <= times[:, None]) & (times[:, None] < piece.end)).any(axis=1)
    assert silences(piece, seconds).sum() == pytest.approx((~sounds).mean() * seconds, abs=0.2)
