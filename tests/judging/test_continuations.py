"""Continuations are measured against their primers, beside the pianists' own."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midirnn.errors import OptionError
from midirnn.judging.continuations import (
    ANOTHER_PIECE,
    COLUMNS,
    PIANIST,
    Excerpt,
    Timing,
    compositions,
    excerpt,
    judge_continuations,
    pick,
)
from midirnn.performance import Performance
from tests.judging.pieces import at_random, melody

TIMING = Timing(2.0, 3.0, headline=(0.0, 3.0), spans=((0.0, 1.0), (3.0, 6.0)))
EXCERPTS = [excerpt(at_random(60, seed), f"piece {seed}", TIMING) for seed in range(5)]


def judged(
    made: list[Performance], excerpts: list[Excerpt] = EXCERPTS, reference: list[Excerpt] = EXCERPTS
) -> dict[str, Any]:
    return judge_continuations(excerpts, {"model": made}, reference, TIMING)


def test_an_excerpt_is_a_primer_and_what_follows_it() -> None:
    piece = melody(range(40, 100), each_seconds=0.25)
    found = excerpt(piece, "scale", TIMING)
    assert found.primer.pitch.tolist() == list(range(48, 60))
    assert found.continuation.pitch.tolist() == list(range(60, 84))
    assert found.primer.start[0] == found.continuation.start[0] == 0.0


def test_by_default_a_performance_must_last_as_long_as_all_that_is_compared() -> None:
    assert (Timing().new_seconds, Timing().seconds) == (60.0, 110.0)


def test_a_continuation_that_is_the_primer_again_is_at_no_distance() -> None:
    found = judged([e.primer for e in EXCERPTS])
    assert found["distances"]["model"]["0-3"] == dict.fromkeys(COLUMNS, 0.0)
    recurrence = found["recurrence"]["model"]
    assert recurrence["returning_share"]["median"] == 1.0
    assert recurrence["longest_copy_notes"]["median"] == len(EXCERPTS[0].primer)


@settings(max_examples=10)
@given(st.lists(st.integers(10, 99), min_size=5, max_size=5))
def test_the_pianists_row_does_not_depend_on_the_model(seeds: list[int]) -> None:
    found, silent = judged([at_random(30, seed) for seed in seeds]), judged([Performance()] * 5)
    for key in ("distances", "recurrence"):
        assert found[key][PIANIST] == silent[key][PIANIST]
    assert found["scale"] == silent["scale"]


def test_a_model_that_plays_what_the_pianist_played_has_the_same_row() -> None:
    found = judged([e.continuation for e in EXCERPTS])
    assert found["distances"]["model"] == found["distances"][PIANIST]
    assert found["recurrence"]["model"] == found["recurrence"][PIANIST]


def test_all_is_the_mean_of_the_features_of_each_piece() -> None:
    found = judged([at_random(30, seed) for seed in range(20, 25)])
    assert found["headline"] == "0-3"
    assert list(found["distances"]["model"]) == ["0-3", "0-1", "3-6"]
    for row in found["each"]:
        for of in row["model"]["distances"].values():
            assert of["all"] == pytest.approx(sum(of[name] for name in COLUMNS[1:]) / 6)


def test_the_standard_errors_are_those_of_medians_of_pieces_drawn_again() -> None:
    alike = [EXCERPTS[0]] * 4
    found = judged([e.continuation for e in alike], alike)
    assert max(found["standard_errors"]["model"]["0-3"].values()) < 1e-9
    varied = judged([at_random(30, seed) for seed in range(20, 25)])
    assert (
        varied["standard_errors"]
        == judged([at_random(30, seed) for seed in range(20, 25)])["standard_errors"]
    )
    assert 0.0 < varied["standard_errors"]["model"]["0-3"]["all"] < 1.0


def test_the_scale_is_that_of_the_reference_however_few_are_played() -> None:
    few = judged([Performance()] * 2, EXCERPTS[:2])
    assert few["scale"] == judged([Performance()] * 5)["scale"]
    assert few["scale"]["performances"] == 5
    assert len(few["each"]) == 2


def test_what_follows_in_another_piece_tells_what_returns_by_chance() -> None:
    alike = [Excerpt(name, melody([60, 62] * 9), melody([60, 62] * 9)) for name in "aab"]
    other = Excerpt("c", melody([50, 90] * 9), melody([50, 90] * 9))
    found = judged([Performance()] * 4, [*alike, other], [*alike, other])
    assert found["recurrence"][PIANIST]["returning_share"]["median"] == 1.0
    assert ANOTHER_PIECE not in found["distances"]
    assert found["recurrence"][ANOTHER_PIECE]["returning_share"]["median"] < 1.0


def test_performances_of_one_composition_alone_have_no_scale() -> None:
    same = [Excerpt("a", e.primer, e.continuation) for e in EXCERPTS]
    with pytest.raises(OptionError, match="performances of 2 compositions or more"):
        judged([Performance()] * 5, same, same)


def test_a_folder_holds_performances_of_one_composition() -> None:
    paths = ["bach/bwv1/a.mid", "bach/bwv1/b.mid", "bach/bwv2/a.mid"]
    assert compositions(paths) == ["bach/bwv1", "bach/bwv1", "bach/bwv2"]
    assert compositions(["songs/a.mid", "songs/b.mid"]) == ["songs/a.mid", "songs/b.mid"]


@given(st.lists(st.sampled_from("abcdef"), max_size=30), st.integers(1, 30))
def test_as_few_of_each_composition_are_picked_as_possible(names: list[str], count: int) -> None:
    picked = pick(names, count)
    assert len(picked) == len(set(picked)) == min(count, len(names))
    assert picked == sorted(picked)
    taken = [names[index] for index in picked]
    for name in set(names):
        most = max(map(taken.count, taken))
        assert taken.count(name) >= min(names.count(name), most - 1)


def test_compositions_are_picked_evenly() -> None:
    assert pick(list("aabbccddee"), 2) == [0, 4]
    assert pick(list("abcde"), 9) == [0, 1, 2, 3, 4]
