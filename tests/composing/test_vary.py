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


def piece_of(
    gap: float, *, chord: tuple[int, ...] = (60,), notes: int = 40, length: float = 0.4
) -> Performance:
    """A chord of these pitches every ``gap`` seconds."""
    start = np.repeat(np.arange(notes) * gap, len(chord))
    return Performance(
        start=start,
        end=start + length,
        pitch=np.tile(np.array(chord, np.uint8), notes),
        velocity=np.full(len(start), 70, np.uint8),
        part=np.zeros(len(start), np.int32),
    )


def moved(before: Performance, after: Performance) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.sort(after.start) - np.sort(before.start)


def test_the_amount_is_the_share_of_chords_that_are_moved() -> None:
    piece = piece_of(0.5, chord=(48, 60, 64, 67))
    half, all_notes = (
        (np.abs(moved(piece, vary(MODEL, piece, "timing", amount, engine="numpy"))) > 0.004).mean()
        for amount in (0.5, 1.0)
    )
    assert 0.5 * all_notes / 2 < half < 1.5 * all_notes / 2
    assert all_notes > 0.5


def test_a_hand_moves_its_chords_though_the_other_plays_too() -> None:
    piece = piece_of(0.5, chord=(48, 72))
    left = vary(MODEL, piece, "timing", 1.0, hand="left", engine="numpy")
    assert left == vary(MODEL, piece, "timing", 1.0, engine="numpy")
    right = piece.select(piece.pitch >= 60)
    assert vary(MODEL, right, "timing", 1.0, hand="left", engine="numpy") == right


@pytest.mark.parametrize("gap", [0.5, 0.97, 1.0, 1.03, 1.2, 2.5])
def test_notes_move_later_and_earlier_after_any_rest(gap: float) -> None:
    piece = piece_of(gap, length=gap)
    found = moved(piece, vary(MODEL, piece, "timing", 0.5, engine="numpy", seed=1))[1:]
    assert np.abs(found).max() <= FARTHEST_SECONDS + 0.006
    assert (found > 0.004).any()
    assert (found < -0.004).any()


@pytest.mark.parametrize(
    ("what", "setting"),
    [("pitch", "pitch_top_k"), ("velocity", "velocity_top_k"), ("timing", "rhythm_top_k")],
)
def test_a_filter_of_one_type_of_token_has_an_effect_on_what_it_draws(
    what: str, setting: str
) -> None:
    filtered = vary(MODEL, SONG, what, 1.0, sampling={setting: 1}, engine="numpy", seed=1)
    assert filtered != vary(MODEL, SONG, what, 1.0, engine="numpy", seed=1)
    assert filtered == vary(MODEL, SONG, what, 1.0, sampling={setting: 1}, engine="numpy", seed=2)


@pytest.mark.parametrize(
    ("what", "setting"),
    [
        ("pitch", "velocity_top_k"),
        ("duration", "rhythm_temperature"),
        ("timing", "max_rest_seconds"),
        ("velocity", "repetition_penalty"),
    ],
)
def test_a_setting_without_effect_is_refused(what: str, setting: str) -> None:
    with pytest.raises(OptionError, match=f"{setting} has no effect on the {what} of notes"):
        vary(MODEL, SONG, what, sampling={setting: 2})


def test_a_seed_below_0_is_refused() -> None:
    with pytest.raises(OptionError, match="seed is -1; it must be 0 or more"):
        vary(MODEL, SONG, "pitch", seed=-1)


@pytest.mark.parametrize("what", ["duration", "pitch"])
def test_no_note_is_made_to_overlap_the_next_of_its_pitch(what: str) -> None:
    piece = repeated()
    varied = vary(MODEL, piece, what, 1.0, engine="numpy", seed=1)
    assert varied != piece
    for pitch in np.unique(varied.pitch):
        same = varied.select(varied.pitch == pitch)
        assert (same.end[:-1] <= same.start[1:]).all()


def test_a_varied_note_lasts_a_step_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("midirnn.composing.vary.probabilities", lambda *_: np.ones(10_000))
    piece = Performance.from_notes([(0.0049, 0.5, 60, 70), (0.0051, 0.5, 64, 70)])
    varied = vary(MODEL, piece, "duration", 1.0, engine="numpy")
    assert (varied.end - varied.start).tolist() == pytest.approx([0.01, 0.4949])


def repeated() -> Performance:
    """Three keys struck in turn at times between the steps, each released before the next time."""
    rng = np.random.default_rng(1)
    start = 0.1 * np.arange(1, 121) + rng.uniform(-0.0045, 0.0045, 120)
    end = start + rng.uniform(0.05, 0.3, 120)
    return Performance(
        start=start,
        end=np.append(np.minimum(end[:-3], start[3:]), end[-3:]),
        pitch=np.tile(np.array([60, 62, 64], np.uint8), 40),
        velocity=np.full(120, 70, np.uint8),
        part=np.zeros(120, np.int32),
    )


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
