"""Music that falls silent, turns to babble or is stuck in a loop is found out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.judging.troubles import longest_loop, most_sounding, repeated_share, troubles
from midirnn.performance import Performance
from tests.judging.pieces import at_random, melody, together
from tests.strategies import performances


def test_a_piece_that_stops_early_has_fallen_silent() -> None:
    found = troubles(at_random(40), 20.0)
    assert found.longest_onset_gap_seconds == pytest.approx(20 - 39 * 0.25)
    assert found.longest_silence_seconds == pytest.approx(10.0)


def test_a_held_note_is_no_silence_but_a_gap() -> None:
    piece = Performance.from_notes([(0.0, 9.0, 60, 64), (8.5, 9.0, 64, 64)])
    found = troubles(piece, 9.0)
    assert found.longest_onset_gap_seconds == 8.5
    assert found.longest_silence_seconds == 0.0


def test_a_piece_without_notes_is_silence_from_end_to_end() -> None:
    found = troubles(Performance(), 12.0)
    assert found.longest_onset_gap_seconds == found.longest_silence_seconds == 12.0
    assert (found.repeated_share, found.longest_loop_notes) == (0.0, 0)


def test_the_densest_ten_seconds_are_found_wherever_they_are() -> None:
    quick = at_random(300, each_seconds=0.04, begin_seconds=33.0)
    piece = together(at_random(40), quick, at_random(20, begin_seconds=60.0))
    assert troubles(piece, 70.0).densest_notes_per_second == pytest.approx(25.0, abs=0.11)
    assert troubles(at_random(40), 70.0).densest_notes_per_second == pytest.approx(4.0, abs=0.11)


def test_the_densest_passage_of_a_short_piece_is_all_of_it() -> None:
    assert troubles(at_random(20), 5.0).densest_notes_per_second == pytest.approx(4.0)


@given(performances())
def test_the_most_notes_that_sound_at_once_sound_where_one_begins(piece: Performance) -> None:
    at_onsets = (piece.start <= piece.start[:, None]) & (piece.start[:, None] < piece.end)
    with_length = piece.end > piece.start
    most = at_onsets[with_length].sum(axis=1).max(initial=0)
    assert most_sounding(piece.select(with_length)) == most


@pytest.mark.parametrize(("times", "share"), [(1, 0.0), (2, 13 / 33), (10, 173 / 193)])
def test_groups_of_notes_that_come_again_are_counted(times: int, share: float) -> None:
    pattern = np.arange(40, 60, dtype=np.uint8)
    assert repeated_share(np.tile(pattern, times)) == pytest.approx(share)


@given(st.lists(st.integers(60, 62), max_size=40), st.integers(1, 8))
def test_a_group_counts_as_repeated_if_it_stood_there_before(pitch: list[int], gram: int) -> None:
    groups = [tuple(pitch[n : n + gram]) for n in range(len(pitch) - gram + 1)]
    before = sum(group in groups[:n] for n, group in enumerate(groups))
    share = repeated_share(np.array(pitch, np.uint8), gram)
    assert share == pytest.approx(before / max(len(groups), 1))


@pytest.mark.parametrize("pattern", [[60], [60, 64], [60, 64, 67, 64, 60], list(range(30, 100))])
@pytest.mark.parametrize("rounds", [3, 4, 7])
def test_a_loop_is_a_pattern_that_goes_round_four_times(pattern: list[int], rounds: int) -> None:
    before, behind = [110, 112, 115, 117], [109, 111, 114, 116]
    piece = melody([*before, *pattern * rounds, *behind])
    notes = rounds * len(pattern)
    expected = (0.25 * (notes - 1), notes) if rounds >= 4 else (0.0, 0)
    assert longest_loop(piece) == pytest.approx(expected)


def test_of_two_loops_the_one_that_lasts_longer_is_told() -> None:
    quick = melody([60, 62] * 20, each_seconds=0.05)
    slow = melody([50, 55, 59] * 4, each_seconds=1.0, begin_seconds=5.0)
    assert longest_loop(together(quick, slow)) == pytest.approx((11.0, 12))


def test_random_music_does_not_loop() -> None:
    assert longest_loop(at_random(2000)) == (0.0, 0)


@given(performances())
def test_any_piece_can_be_looked_at(piece: Performance) -> None:
    found = troubles(piece, 8.0)
    assert 0 <= found.longest_silence_seconds <= found.longest_onset_gap_seconds <= 8.0
    assert 0 <= found.longest_loop_seconds <= piece.duration
