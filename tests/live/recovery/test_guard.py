"""The guard notices silence, loops and babble, and lets music alone."""

from __future__ import annotations

import itertools
from collections import deque
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midirnn import read_midi
from midirnn.live.recovery.guard import (
    BABBLE_NATS,
    BABBLE_TOKENS,
    LOOP_SECONDS,
    MOST_DEGREES,
    RELAPSE_SECONDS,
    REMEDY_SECONDS,
    SILENCE_SECONDS,
    TEMPERATURE_FACTORS,
    WATCHED_NOTES,
    CollapseGuard,
    Fault,
    Remedy,
    loop_period,
)

EXAMPLES = sorted((Path(__file__).parents[3] / "data" / "examples").glob("*.mid"))

Notes = list[tuple[float, int]]
"""(seconds, pitch)"""


def watch(notes: Notes, seconds: float, guard: CollapseGuard | None = None) -> list[Remedy]:
    """What is done about notes that a model plays from second 0, looking four times a second."""
    guard = guard or CollapseGuard()
    guard.begin(0.0)
    remedies, waiting = [], list(notes)
    for now in np.arange(0.0, seconds, 0.25):
        while waiting and waiting[0][0] <= now:
            guard.hear_note(*waiting.pop(0))
        remedy = guard.look(float(now))
        if remedy:
            remedies.append(remedy)
    return remedies


def over_and_over(figure: list[int], seconds: float, gap: float) -> Notes:
    return [(i * gap, figure[i % len(figure)]) for i in range(int(seconds / gap))]


def a_walk(seconds: float, gap: float, seed: int = 0) -> Notes:
    """A melody that does not repeat itself."""
    rng = np.random.default_rng(seed)
    pitches = 60 + np.cumsum(rng.integers(-4, 5, int(seconds / gap))) % 24
    return [(i * gap, int(pitch)) for i, pitch in enumerate(pitches)]


def test_of_the_notes_that_no_fault_is_found_in_any_more_none_are_kept() -> None:
    guard = CollapseGuard()
    guard.begin(0.0)
    for seconds, pitch in a_walk(600.0, 0.05):
        guard.hear_note(seconds, pitch)  # nobody looks: without a guard, or in the mode shadow
    kept = [len(kept) for kept in vars(guard).values() if isinstance(kept, deque)]
    assert max(kept) <= WATCHED_NOTES


def faults(remedies: list[Remedy]) -> set[Fault]:
    return {remedy.fault for remedy in remedies}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_music_is_let_alone(path: Path) -> None:
    music = read_midi(path)
    order = np.lexsort((music.pitch, music.start))
    notes = list(zip(music.start[order].tolist(), music.pitch[order].tolist(), strict=True))
    assert len(notes) > 100
    assert watch(notes, music.duration) == []


@given(st.integers(0, 50))
def test_a_melody_that_goes_on_is_let_alone(seed: int) -> None:
    assert watch(a_walk(40.0, 0.15, seed), 40.0) == []


def test_sparse_music_that_was_asked_for_is_no_silence() -> None:
    guard = CollapseGuard()
    guard.begin(0.0)
    for seconds in (2.0, 4.0, 6.0, 8.0, 10.0):
        guard.hear_note(seconds, 60)
    assert guard.look(SILENCE_SECONDS, 0.5) is None
    remedy = guard.look(SILENCE_SECONDS, 8.0)
    assert remedy is not None
    assert remedy.fault is Fault.SILENCE


@pytest.mark.parametrize("notes", [[], [(0.5, 60), (6.0, 64)]], ids=["no note", "two notes"])
def test_silence_is_noticed(notes: Notes) -> None:
    remedies = watch(notes, SILENCE_SECONDS + 1.0)
    assert faults(remedies) == {Fault.SILENCE}
    assert remedies[0].seconds == SILENCE_SECONDS


@pytest.mark.parametrize(
    "figure",
    [[60], [60, 62], [60, 64, 67], [60, 64, 67, 72, 76, 67, 72, 76], list(range(40, 72))],
    ids=len,
)
def test_a_figure_that_comes_over_and_over_is_a_loop(figure: list[int]) -> None:
    remedies = watch(over_and_over(figure, 30.0, 0.15), 30.0)
    assert faults(remedies) == {Fault.LOOP}
    assert remedies[0].seconds >= LOOP_SECONDS


def test_a_figure_that_climbs_is_a_loop_by_its_intervals() -> None:
    notes = [
        (seconds, pitch + 2 * (i // 4))
        for i, (seconds, pitch) in enumerate(over_and_over([30, 34, 37, 34], 30.0, 0.25))
    ]
    assert Fault.LOOP in faults(watch(notes, 30.0))


def test_chords_over_and_over_are_a_loop_in_whatever_order_their_notes_come() -> None:
    rng = np.random.default_rng(1)
    chords = itertools.cycle([[48, 60, 64], [50, 62, 65], [47, 59, 62]])
    notes: Notes = []
    for i in range(60):
        chord = rng.permutation(next(chords)).tolist()
        notes += [(0.3 * i + 0.008 * j, pitch) for j, pitch in enumerate(chord)]
    assert Fault.LOOP in faults(watch(notes, 18.0))


def test_a_figure_that_comes_four_times_but_not_for_long_is_none() -> None:
    figure = over_and_over([60, 64, 67, 72], 2.4, 0.15)
    before = a_walk(6.0, 0.15)
    notes = before + [(seconds + 6.0, pitch) for seconds, pitch in figure]
    after = [(seconds + 8.4, pitch) for seconds, pitch in a_walk(10.0, 0.15, seed=1)]
    assert watch(notes + after, 18.4) == []


@given(st.lists(st.integers(21, 108), min_size=1, max_size=32), st.integers(1, 40))
def test_the_period_of_a_loop_divides_it(figure: list[int], rest: int) -> None:
    pitches = np.array((figure * 200)[: 32 * 5 + rest])
    period = loop_period(pitches, 24)
    assert 0 < period <= len(figure)


def test_too_many_notes_are_babble() -> None:
    rng = np.random.default_rng(2)
    notes = [(i / 60, int(pitch)) for i, pitch in enumerate(rng.integers(21, 109, 60 * 12))]
    assert faults(watch(notes, 12.0)) == {Fault.BABBLE}


def test_draws_from_nearly_anything_are_babble() -> None:
    guard = CollapseGuard()
    guard.begin(0.0)
    for _ in range(BABBLE_TOKENS):
        guard.hear_entropy(BABBLE_NATS + 0.1)
    remedy = guard.look(3.0)
    assert remedy is not None
    assert remedy.fault is Fault.BABBLE
    for _ in range(BABBLE_TOKENS):
        guard.hear_entropy(BABBLE_NATS + 0.1)
    assert guard.look(remedy.until - 0.1) is None
    for _ in range(BABBLE_TOKENS):
        guard.hear_entropy(BABBLE_NATS - 0.1)
    assert guard.look(remedy.until) is None


def test_a_remedy_changes_the_temperature_for_a_while() -> None:
    guard = CollapseGuard()
    (remedy,) = watch(over_and_over([60, 64], 9.0, 0.15), 9.0, guard)
    factor = TEMPERATURE_FACTORS[Fault.LOOP]
    assert factor > 1.0 > TEMPERATURE_FACTORS[Fault.BABBLE]
    assert guard.temperature_factor(remedy.seconds + 0.1) == factor
    assert guard.looks_at(remedy.seconds + 0.1) == remedy.seconds + REMEDY_SECONDS
    assert guard.temperature_factor(remedy.until) == 1.0


def test_each_relapse_is_met_with_more_up_to_a_limit() -> None:
    remedies = watch(over_and_over([60, 64], 75.0, 0.15), 75.0)
    factor = TEMPERATURE_FACTORS[Fault.LOOP]
    degrees = [*range(1, MOST_DEGREES + 1), MOST_DEGREES, MOST_DEGREES]
    assert [remedy.temperature_factor for remedy in remedies[:5]] == [factor**n for n in degrees]


def test_a_relapse_into_another_fault_begins_mildly() -> None:
    guard = CollapseGuard()
    (loop,) = watch(over_and_over([60, 64], 9.0, 0.15), 9.0, guard)
    silence = guard.look(loop.seconds + SILENCE_SECONDS)
    assert silence is not None
    assert silence.go_back
    assert silence.temperature_factor == TEMPERATURE_FACTORS[Fault.SILENCE]


def test_a_relapse_goes_back_to_what_primed_the_model_and_a_later_fault_does_not() -> None:
    guard = CollapseGuard()
    remedies = watch(over_and_over([60, 64], 24.0, 0.15), 24.0, guard)
    assert [remedy.go_back for remedy in remedies[:2]] == [False, True]
    assert guard.went_back == len(remedies) - 1
    late = remedies[-1].until + RELAPSE_SECONDS + 1.0
    guard.begin(late)
    fresh = guard.look(late + SILENCE_SECONDS)
    assert fresh is not None
    assert not fresh.go_back


def test_what_was_noticed_once_is_not_noticed_again_by_the_same_notes() -> None:
    remedies = watch(over_and_over([60, 64], 8.5, 0.15) + a_walk_from(8.5), 30.0)
    assert len(remedies) == 1


def a_walk_from(begin: float) -> Notes:
    return [(begin + seconds, pitch) for seconds, pitch in a_walk(22.0, 0.15)]


def test_while_the_model_rests_nothing_is_noticed() -> None:
    guard = CollapseGuard()
    assert guard.look(100.0) is None
    guard.begin(0.0)
    guard.end()
    assert guard.look(1000.0) is None


def test_it_says_how_often_it_acted() -> None:
    guard = CollapseGuard()
    assert guard.report() == "guard: never needed"
    watch(over_and_over([60, 64], 9.0, 0.15), 9.0, guard)
    assert guard.acted == {Fault.LOOP: 1}
    assert guard.report() == "guard: loop 1 (went back to your music never)"


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.floats(0.0, 1.0), st.integers(21, 108)), max_size=150),
    st.floats(1.0, 60.0),
)
def test_the_same_notes_get_the_same_remedies(gaps: Notes, seconds: float) -> None:
    times = np.cumsum([gap for gap, _ in gaps]).tolist()
    notes = [(at, pitch) for at, (_, pitch) in zip(times, gaps, strict=True)]
    assert watch(notes, seconds) == watch(notes, seconds)
