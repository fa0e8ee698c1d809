"""Varying: only what is named changes, only of some notes, and to what a note can be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midirnn.composing.vary import ASPECTS, FARTHEST_PITCH, FARTHEST_SECONDS, vary
from midirnn.engines.load import load
from midirnn.errors import OptionError
from midirnn.performance import Performance
from tests.datasets.songs import song
from tests.strategies import performances

MODEL = load("piano-small")
SONG = song(3)
NAMED = {
    "velocity": {"velocity"},
    "pitch": {"pitch"},
    "duration": {"end"},
    "timing": {"start", "end"},
}
FIELDS = ("start", "end", "pitch", "velocity", "part")


def changed(before: Performance, after: Performance) -> set[str]:
    return {n for n in FIELDS if not np.array_equal(getattr(before, n), getattr(after, n))}


@pytest.mark.parametrize("what", ASPECTS)
def test_only_what_is_named_changes_and_it_does(what: str) -> None:
    varied = vary(MODEL, SONG, what, 0.8, engine="numpy", seed=1)
    assert len(varied) == len(SONG)
    if what in ("pitch", "timing"):  # notes that begin together may change places
        assert sorted(varied.velocity.tolist()) == sorted(SONG.velocity.tolist())
        assert varied != SONG
    else:
        assert changed(SONG, varied) == NAMED[what]


@pytest.mark.parametrize("what", ASPECTS)
def test_the_same_seed_gives_the_same_variation(what: str) -> None:
    first, again, other = (
        vary(MODEL, SONG, what, 0.5, engine="numpy", seed=seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_a_hand_is_left_alone() -> None:
    varied = vary(MODEL, SONG, "velocity", 1.0, hand="left", engine="numpy")
    right = SONG.pitch >= 60
    np.testing.assert_array_equal(varied.velocity[right], SONG.velocity[right])


def test_pitches_stay_near_and_times_nearer() -> None:
    pitches = vary(MODEL, SONG, "pitch", 1.0, engine="numpy")
    assert abs(pitches.pitch.mean() - SONG.pitch.mean()) <= FARTHEST_PITCH
    times = vary(MODEL, SONG, "timing", 1.0, engine="numpy")
    assert np.abs(np.sort(times.start) - np.sort(SONG.start)).max() <= FARTHEST_SECONDS + 0.011


@settings(max_examples=10)
@given(performances(), st.sampled_from(ASPECTS))
def test_any_performance_can_be_varied_note_for_note(piece: Performance, what: str) -> None:
    varied = vary(MODEL, piece, what, 1.0, engine="numpy")
    assert len(varied) == len(piece)
    assert varied.parts == piece.parts


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("tone", 0.3), "what is 'tone'; allowed are velocity"),
        (("pitch", 0.0), "amount is 0; allowed are above 0, up to 1"),
        (("pitch", 1.5), "amount is 1.5"),
    ],
)
def test_what_means_nothing_is_refused(arguments: tuple[str, float], line: str) -> None:
    with pytest.raises(OptionError, match=line):
        vary(MODEL, SONG, *arguments)
    with pytest.raises(OptionError, match="hand is 'third'"):
        vary(MODEL, SONG, "pitch", hand="third")
