"""Passages are compared by six features, in units of the distance between different pieces."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from midirnn.judging.style import (
    STYLE,
    distances,
    mean_between_pieces,
    measure,
    passage,
    scaled,
)
from midirnn.performance import Performance
from tests.judging.pieces import at_random, melody
from tests.strategies import performances

NAMES = [feature.name for feature in STYLE]
PITCH_FEATURES = {"register", "pitch_classes"}
SECONDS = 8.0

CHORD_AND_NOTE = Performance.from_notes(
    [(1.0, 3.0, 60, 40), (1.002, 2.0, 64, 60), (4.0, 5.0, 71, 80)],
)
"""A chord, a rest and a note; the notes of the chord begin 2 ms apart."""


def between(one: Performance, other: Performance) -> dict[str, float]:
    """The distance of a passage to another by feature."""
    (row,) = distances(measure([one], SECONDS), measure([other], SECONDS))
    return dict(zip(NAMES, row.tolist(), strict=True))


@given(performances())
def test_a_passage_is_at_no_distance_from_itself(piece: Performance) -> None:
    assume(len(np.unique(piece.start)) > 1)
    assert set(between(piece, piece).values()) == {0.0}


@given(performances(), performances())
def test_distances_are_the_same_both_ways_and_no_histogram_is_further_than_one(
    one: Performance, other: Performance
) -> None:
    there, back = between(one, other), between(other, one)
    assert there == pytest.approx(back, nan_ok=True)
    known = {name: value for name, value in there.items() if not np.isnan(value)}
    assert all(value >= 0 for value in known.values())
    assert known.get("pitch_classes", 0.0) <= 1.0 + 1e-9
    assert known.get("rhythm", 0.0) <= 1.0 + 1e-9


@given(st.integers(0, 99), st.integers(-12, 12).filter(bool))
def test_a_transposed_passage_differs_in_nothing_but_pitch(seed: int, semitones: int) -> None:
    piece = at_random(30, seed)
    found = between(piece, piece.transpose(semitones))
    assert {name for name, value in found.items() if value > 1e-9} <= PITCH_FEATURES
    assert found["register"] == pytest.approx(abs(semitones))
    assert (found["pitch_classes"] == 0.0) == (semitones % 12 == 0)


def test_the_features_of_a_passage_can_be_counted_by_hand() -> None:
    styles = measure([passage(CHORD_AND_NOTE, 0.0, SECONDS)], SECONDS)
    assert styles["density"][0] == pytest.approx(np.log(3 / 8))
    assert styles["velocity"][0] == pytest.approx(60)
    assert styles["register"][0] == pytest.approx(65)
    assert styles["polyphony"][0] == pytest.approx(np.log(4 / 3))
    assert styles["pitch_classes"][0].nonzero()[0].tolist() == [0, 4, 11]
    assert styles["rhythm"][0].max() == 1.0, "the chord is one onset"


def test_a_melody_at_half_the_speed_differs_in_density_and_rhythm_alone() -> None:
    fast, slow = melody([60, 62] * 16), melody([60, 62] * 8, each_seconds=0.5)
    found = between(fast, slow)
    assert {name for name, value in found.items() if value > 1e-9} == {"density", "rhythm"}
    assert found["density"] == pytest.approx(np.log(2))
    assert found["rhythm"] == 1.0


@settings(max_examples=30)
@given(st.lists(performances(), min_size=3, max_size=6))
def test_scaling_makes_passages_of_different_pieces_one_apart_on_average(
    pieces: list[Performance],
) -> None:
    styles, count = measure(pieces, SECONDS), len(pieces)
    scale = mean_between_pieces(styles, styles, [str(n) for n in range(count)])
    pairs = [(i, j) for i in range(count) for j in range(count) if i != j]
    chosen = ([i for i, _ in pairs], [j for _, j in pairs])
    one, other = ({name: values[of] for name, values in styles.items()} for of in chosen)
    raw = distances(one, other)
    mean, unknown = scaled(raw, scale).mean(axis=0), np.isnan(raw).mean(axis=0)
    # Where all passages with a value are alike, only those without one are apart, by 1.
    assert all(
        value == pytest.approx(1.0) or value == pytest.approx(share)
        for value, share in zip(mean, unknown, strict=True)
    )


def test_performances_of_one_piece_are_left_out_of_the_scale() -> None:
    styles = measure([melody([60, 62]), melody([72, 74]), melody([63, 65])], SECONDS)
    register = NAMES.index("register")
    assert mean_between_pieces(styles, styles, ["a", "a", "b"])[register] == (3 + 9) / 2
    assert mean_between_pieces(styles, styles, ["a", "b", "c"])[register] == (12 + 3 + 9) / 3
    assert mean_between_pieces(styles, styles, ["a", "a", "a"]).tolist() == [1.0] * 6


def test_silence_is_as_far_as_another_piece_in_all_but_density() -> None:
    found = between(at_random(32), Performance())
    row = scaled(np.array([list(found.values())]), np.full(6, 0.5))[0]
    assert dict(zip(NAMES, row.tolist(), strict=True)) == {
        **dict.fromkeys(NAMES, 1.0),
        "density": pytest.approx(np.log(32) / 0.5),
    }


def test_a_passage_holds_the_notes_that_begin_in_it() -> None:
    found = passage(melody([60, 62, 64, 65], each_seconds=1.0), 1.0, 2.5)
    assert found.pitch.tolist() == [62, 64]
    assert found.start.tolist() == [0.0, 1.0]
    assert found.end.tolist() == [1.0, 1.5]
