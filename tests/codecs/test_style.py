"""The style of a passage in numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.codecs import PerformanceCodec
from midirnn.codecs.performance.measures import notes_of
from midirnn.codecs.style import (
    NUM_STYLE_INPUTS,
    SLICES,
    TRAITS,
    Notes,
    Style,
    measured,
    style_inputs,
)
from midirnn.performance import Performance
from tests.strategies import performances

START = np.zeros(1, np.int64)


def notes(*rows: tuple[int, int, int, int]) -> Notes:
    """Return notes of (onset, duration, pitch, velocity), steps of 10 ms, in order of onset."""
    columns = np.array(rows, np.int64).reshape(-1, 4).T
    end = int((columns[0] + columns[1]).max(initial=0))
    return Notes(*columns, end=end, steps_per_second=100)


def style_at_the_start(passage: Notes, seconds: float = 4.0) -> dict[str, float]:
    values = measured(passage, START, START, seconds)
    return {name: value[0] for name, value in values.items()}


EVEN = notes(*((50 * k, 50, 60 + 12 * (k % 2), 40 + 40 * (k % 2)) for k in range(16)))
"""Two notes a second, legato, an octave apart by turns, soft and loud by turns."""


class TestWhatIsMeasured:
    def test_of_an_even_passage(self) -> None:
        style = style_at_the_start(EVEN)
        assert style["density"] == pytest.approx(np.log2(3))
        assert style["loudness"] == 60 and style["loudness_spread"] == 20
        assert style["register"] == 66 and style["register_spread"] == 6
        assert style["polyphony"] == pytest.approx(1.0)
        assert style["articulation"] == 0
        assert style["pitch_classes"].tolist() == [1.0] + [0.0] * 11
        assert style["rhythm"].tolist() == [0, 0, 0, 0, 0, 0, 1, 0]
        assert style["ending"] == 8

    def test_a_chord_counts_once_for_rhythm(self) -> None:
        chords = notes(*((50 * (k // 3), 25, 60 + 4 * (k % 3), 64) for k in range(24)))
        style = style_at_the_start(chords)
        assert style["rhythm"].tolist() == [0, 0, 0, 0, 0, 0, 1, 0]
        assert style["articulation"] == -1
        assert style["density"] == pytest.approx(np.log2(1 + 6))
        assert style["polyphony"] == pytest.approx(np.log2(1 + 1.5))

    @given(performances(max_notes=60, max_pedals=0), st.data())
    def test_a_part_of_a_piece_is_measured_as_in_the_whole(
        self, performance: Performance, data: st.DataObject
    ) -> None:
        codec = PerformanceCodec()
        tokens = codec.encode(performance)
        begin = data.draw(st.integers(0, len(tokens)))
        stop = data.draw(st.integers(begin, min(len(tokens), begin + 20)))
        (whole, at), places = notes_of(tokens, codec), np.arange(begin, stop)
        steps = np.concatenate([[0], np.cumsum(codec.token_steps[tokens])])
        values = measured(whole, np.searchsorted(at, places), steps[places])
        expected = style_inputs(values, stop - begin)
        np.testing.assert_array_equal(codec.measure_style(tokens, begin, stop), expected)

    def test_only_the_next_seconds_count(self) -> None:
        later = notes((0, 10, 60, 64), (399, 10, 60, 64), (400, 10, 90, 127), (900, 9, 30, 1))
        assert style_at_the_start(later)["register"] == 60

    def test_nothing_is_made_up_where_no_note_comes(self) -> None:
        values = measured(EVEN, np.array([16]), np.array([800]))
        assert np.isnan(values["loudness"][0]) and np.isnan(values["register_spread"][0])
        assert not values["rhythm"][0].any() and not values["pitch_classes"][0].any()
        inputs = style_inputs(values, 1)[0]
        for name in ("loudness", "register", "rhythm", "articulation", "pitch_classes"):
            assert not inputs[SLICES[name]].any(), name

    def test_of_no_notes_at_all(self) -> None:
        values = measured(notes(), START, START)
        assert values["density"][0] == 0 and values["polyphony"][0] == 0
        assert np.isnan(values["articulation"][0])

    def test_notes_held_from_before_sound_but_are_not_counted(self) -> None:
        held = notes((0, 1000, 40, 64), (500, 10, 80, 64), (800, 10, 80, 64))
        style = {k: v[0] for k, v in measured(held, np.array([1]), np.array([500])).items()}
        assert style["register"] == 80
        assert style["polyphony"] == pytest.approx(np.log2(1 + (400 + 20) / 400))

    @given(st.integers(-20, 20))
    def test_a_transposition_moves_only_pitch(self, semitones: int) -> None:
        moved = Notes(
            EVEN.onset, EVEN.duration, EVEN.pitch + semitones, EVEN.velocity, EVEN.end, 100
        )
        before, after = style_at_the_start(EVEN), style_at_the_start(moved)
        assert after["register"] == pytest.approx(before["register"] + semitones)
        assert after["pitch_classes"][semitones % 12] == 1.0
        for name in ("density", "loudness", "register_spread", "polyphony", "articulation"):
            assert after[name] == pytest.approx(before[name]), name


class TestInputs:
    def test_the_weights_of_two_knots_sum_to_one(self) -> None:
        for trait in TRAITS:
            if not trait.bins:
                rows = trait.inputs(np.linspace(trait.low - 5, trait.high + 5, 99))
                np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-6)
                assert np.count_nonzero(rows, axis=1).max() <= 2

    def test_beyond_what_music_has_the_inputs_stay_at_the_edge(self) -> None:
        for trait in TRAITS:
            if not trait.bins:
                edge, beyond = trait.inputs(np.array([trait.high, trait.high + 1000]))
                assert np.array_equal(edge, beyond), trait.name

    def test_a_trait_that_is_not_shown_is_all_zeros(self) -> None:
        rows = style_inputs({"loudness": np.array([64.0])}, 1)
        assert rows.shape == (1, NUM_STYLE_INPUTS)
        assert rows[0, SLICES["loudness"]].sum() == 1
        assert np.count_nonzero(rows) == 2

    def test_the_first_inputs_are_those_of_density_loudness_and_pitch_classes(self) -> None:
        assert [SLICES[name].stop for name in ("density", "loudness", "pitch_classes")] == [
            8,
            16,
            28,
        ]


@given(st.data())
def test_a_style_has_the_inputs_of_its_values(data: st.DataObject) -> None:
    values: dict[str, float | tuple[float, ...]] = {}
    for trait in TRAITS:
        if data.draw(st.booleans()):
            shares = st.lists(st.floats(0.0, 1.0), min_size=trait.bins, max_size=trait.bins)
            numbers = st.floats(-200.0, 200.0) | st.sampled_from([*trait.knots, math.nan])
            drawn = shares.map(tuple) if trait.bins else numbers
            values[trait.name] = data.draw(drawn)
    given = {name: np.array([value], np.float64) for name, value in values.items()}
    assert np.array_equal(Style(values).vector(), style_inputs(given, 1)[0])
