"""Which played note is which written one."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from midirnn.scores import match_notes


@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(40, 50)), min_size=1, unique=True),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=50, deadline=None)
def test_notes_that_are_played_nearly_on_time_are_all_found(
    notes: list[tuple[int, int]], seed: int
) -> None:
    expected, pitch = (np.array(column) for column in zip(*sorted(notes), strict=True))
    expected = expected.astype(float)
    random = np.random.default_rng(seed)
    start = expected + random.uniform(-0.1, 0.1, len(expected))
    order = np.argsort(start)
    matched = match_notes(expected, pitch, start[order], pitch[order])
    assert np.array_equal(order[matched], np.arange(len(expected)))


def test_no_played_note_is_two_written_ones() -> None:
    expected, pitch = np.array([1.0, 1.1, 1.2]), np.array([60, 60, 60])
    matched = match_notes(expected, pitch, np.array([1.12]), np.array([60]))
    assert matched.tolist() == [-1, 0, -1]


def test_a_note_far_away_is_not_it() -> None:
    matched = match_notes(np.array([1.0]), np.array([60]), np.array([3.0]), np.array([60]))
    assert matched.tolist() == [-1]


def test_another_pitch_is_not_it() -> None:
    matched = match_notes(np.array([1.0]), np.array([60]), np.array([1.0]), np.array([61]))
    assert matched.tolist() == [-1]


def test_a_passage_that_is_late_is_followed() -> None:
    expected = np.arange(40) * 0.25
    pitch = 60 + np.arange(40) % 5
    start = expected + np.minimum(np.arange(40) * 0.02, 0.3)
    matched = match_notes(expected, pitch, start, pitch)
    assert matched.tolist() == list(range(40))


def test_without_a_performance_nothing_is_found() -> None:
    nothing = np.empty(0)
    assert match_notes(np.array([1.0]), np.array([60]), nothing, nothing).tolist() == [-1]
