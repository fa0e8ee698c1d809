"""Controls: what is asked for, and what a piece is measured to do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.codecs import PerformanceCodec
from midirnn.codecs.controls import (
    CONTROLS,
    DENSITY,
    HISTOGRAM,
    LOUDNESS,
    TRAIT,
    Controls,
    parse_pitch_classes,
)
from midirnn.codecs.performance import TokenType
from midirnn.codecs.style import HORIZON_SECONDS
from midirnn.errors import OptionError
from tests.strategies import performances

CODEC = PerformanceCodec()


def test_what_is_not_asked_for_is_zero() -> None:
    assert not Controls().vector().any()
    asked = Controls(loudness=64.0).vector()
    assert [bool(asked[part].any()) for part in CONTROLS] == [False, True, False]


@given(st.floats(0, 127), st.floats(0, 127))
def test_more_asked_for_is_further_along_the_knots(one: float, other: float) -> None:
    low, high = sorted((one, other))
    knots = np.arange(8)
    for name, part in (("notes_per_second", DENSITY), ("loudness", LOUDNESS)):
        places = [float(Controls(**{name: v}).vector()[part] @ knots) for v in (low, high)]
        assert places[0] <= places[1] + 1e-5
    weights = Controls(loudness=low, strength=1.0).vector()[LOUDNESS]
    assert weights.sum() == pytest.approx(1.0)
    trait = TRAIT["loudness"]
    expected = min(max(low, trait.low), trait.high)  # held at the edge of what music has
    assert float(weights @ np.array(trait.knots)) == pytest.approx(expected, abs=1e-3)


def test_strength_multiplies_all_that_is_asked() -> None:
    asked = {"notes_per_second": 3.0, "pitch_classes": [1.0] * 12}
    one, two = (Controls(**asked, strength=s).vector() for s in (1.0, 2.0))  # type: ignore[arg-type]
    np.testing.assert_allclose(two, 2 * one)


def test_pitch_classes_count_by_their_proportions() -> None:
    weights = [2.0, 0, 0, 0, 1.0, 0, 0, 1.0, 0, 0, 0, 0]
    histogram = Controls(pitch_classes=weights, strength=1.0).vector()[HISTOGRAM]
    assert histogram.tolist() == [0.5, 0, 0, 0, 0.25, 0, 0, 0.25, 0, 0, 0, 0]


@given(performances(max_notes=25, max_pedals=0), st.data())
def test_a_piece_is_measured_by_the_notes_from_each_token_on(
    performance: object, data: st.DataObject
) -> None:
    tokens = CODEC.encode(performance)  # type: ignore[arg-type]
    begin = data.draw(st.integers(0, len(tokens)))
    stop = data.draw(st.integers(begin, len(tokens)))
    found = CODEC.measure_controls(tokens, begin, stop)
    assert found.shape == (stop - begin, 28)
    described = [CODEC.vocabulary.describe(token) for token in tokens.tolist()]
    for row, position in enumerate(range(begin, stop)):
        velocity_bin = CODEC.default_bin
        for kind, value in described[:position]:
            velocity_bin = value if kind is TokenType.VELOCITY else velocity_bin
        step, notes = 0, []
        for kind, value in described[position:]:
            step += value if kind is TokenType.TIME_SHIFT else 0
            velocity_bin = value if kind is TokenType.VELOCITY else velocity_bin
            if step >= HORIZON_SECONDS * CODEC.steps_per_second:
                break
            if kind is TokenType.NOTE_ON:
                notes.append((value, int(CODEC.bin_velocity(velocity_bin))))
        expected = Controls(
            notes_per_second=len(notes) / HORIZON_SECONDS,
            loudness=float(np.mean([velocity for _, velocity in notes])) if notes else None,
            pitch_classes=np.bincount([p % 12 for p, _ in notes], minlength=12).tolist()
            if notes
            else None,
            strength=1.0,
        )
        np.testing.assert_allclose(found[row], expected.vector()[:28], atol=1e-5)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("C E G", {0, 4, 7}),
        ("c", {0}),
        ("Eb, F#", {3, 6}),
        ("Cb B#", {11, 0}),
        ("C major", {0, 2, 4, 5, 7, 9, 11}),
        ("F# Minor", {6, 8, 9, 11, 1, 2, 4}),
    ],
)
def test_pitch_classes_are_named_by_note_or_key(text: str, named: set[int]) -> None:
    assert {i for i, weight in enumerate(parse_pitch_classes(text)) if weight} == named


@pytest.mark.parametrize("text", ["", "H", "C lydian", "C4", "#", "major"])
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="'C Eb F#', or a key, 'A minor'"):
        parse_pitch_classes(text)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"notes_per_second": -1.0}, "notes_per_second is -1; allowed are 0 to 127"),
        ({"notes_per_second": float("nan")}, "notes_per_second is nan; allowed are 0 to 127"),
        ({"loudness": 128.0}, "loudness is 128; allowed are 0 to 127"),
        ({"strength": -1.0}, "strength is -1; allowed are 0 to 10"),
        ({"pitch_classes": [1.0]}, "allowed are twelve weights"),
        ({"pitch_classes": [0.0] * 12}, "not all 0"),
        ({"pitch_classes": [-1.0] + [1.0] * 11}, "none below 0"),
    ],
)
def test_what_cannot_be_is_refused(asked: dict[str, float], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Controls(**asked)  # type: ignore[arg-type]
