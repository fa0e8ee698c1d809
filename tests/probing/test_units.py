"""The unit that follows a signal is found on one half, and shown on the other."""

from __future__ import annotations

import numpy as np
import pytest

from midirnn.errors import OptionError
from midirnn.performance import Performance
from midirnn.probing.tracing import trace
from midirnn.probing.units import Moments, find_units, halves, liveliest, moments_of, strongest
from tests.probing.planted import LAYERS, SIZE, long_song, planted, random_model


@pytest.mark.parametrize("signal", ["loudness", "density", "register", "pedal"])
def test_a_planted_unit_is_found_with_its_line(signal: str) -> None:
    traces = [planted(seed, 1, 3, signal) for seed in range(2)]
    (best,) = find_units(traces)[signal]
    assert str(best.unit) == "h2[3]"
    assert best.fitted < -0.95
    assert best.shown < -0.9
    told = best.predict(traces[0].states["h"][:, 1, 3])
    known = np.isfinite(traces[0].signals[signal])
    error = told[known] - traces[0].signals[signal][known]
    assert np.abs(error).mean() < 0.1 * np.nanstd(traces[0].signals[signal])


def test_a_unit_that_follows_only_by_chance_does_not_on_the_other_half() -> None:
    found = find_units([trace(long_song(0), random_model())])["loudness"][0]
    assert abs(found.shown) < abs(found.fitted)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_every_cell_can_be_looked_into(cell: str) -> None:
    one = trace(long_song(1), random_model(cell))
    states = {"h", "c"} if cell == "lstm" else {"h"}
    assert set(one.states) == states
    assert one.states["h"].shape == (len(one.tokens), LAYERS, SIZE)
    assert {unit.unit.state for units in find_units([one], each=9).values() for unit in units} == (
        states
    )


def test_correlations_are_those_of_numpy() -> None:
    traces = [trace(long_song(seed), random_model()) for seed in (2, 3)]
    for spans in (*halves(traces), *halves(traces[:1])):
        ((one, part),) = spans
        y = one.signals["since onset"][part]
        known = np.isfinite(y)
        x = one.states["h"].reshape(len(one), -1)[part][known]
        expected = [np.corrcoef(x[:, unit], y[known])[0, 1] for unit in range(x.shape[1])]
        found = moments_of(spans, "since onset", "h").correlation()
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_halves_of_some_pieces_are_other_pieces() -> None:
    traces = [trace(long_song(seed), random_model()) for seed in range(3)]
    choosing, showing = halves(traces)
    assert [one for one, _ in choosing] == [traces[1]]
    assert [one for one, _ in showing] == [traces[0], traces[2]]


def test_a_unit_that_never_changes_follows_nothing() -> None:
    x, y = np.ones((50, 2), np.float32), np.arange(50.0)
    assert Moments.of(x, y).correlation().tolist() == [0.0, 0.0]


def test_only_the_closest_pitch_class_is_drawn() -> None:
    found = find_units([trace(long_song(3), random_model())])
    drawn = [one.signal for one in strongest(found)]
    assert sum(name.startswith("pitch class") for name in drawn) == 1
    assert "loudness" in drawn


def test_the_liveliest_units_are_those_that_change_most() -> None:
    one = trace(long_song(4), random_model())
    one.states["h"][:, 0, 5] = 0.0
    units = liveliest(one, LAYERS * SIZE - 1)
    assert [str(unit) for unit in units] == [
        f"h{layer + 1}[{index}]"
        for layer in range(LAYERS)
        for index in range(SIZE)
        if (layer, index) != (0, 5)
    ]


def test_a_piece_that_is_too_short_is_refused() -> None:
    one = trace(Performance.from_notes([(0.0, 0.5, 60, 64)]), random_model())
    with pytest.raises(OptionError, match="80 are the least"):
        find_units([one])


def test_a_state_that_the_cell_lacks_is_refused() -> None:
    with pytest.raises(OptionError, match="no state 'c'; they have h"):
        find_units([trace(long_song(5), random_model("gru"))], state="c")


def test_only_the_first_seconds_are_read() -> None:
    piece, model = long_song(6), random_model()
    short, whole = trace(piece, model, seconds=3.0), trace(piece, model)
    assert short.seconds is not None
    assert short.seconds[-1] <= 3.0
    same = len(short) // 2
    np.testing.assert_array_equal(short.states["h"][:same], whole.states["h"][:same])
