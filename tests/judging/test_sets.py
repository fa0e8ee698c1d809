"""Two sets of pieces beside each other."""

from __future__ import annotations

import pytest

from midirnn.errors import OptionError
from midirnn.judging.features import FEATURES
from midirnn.judging.sets import compare_two, table_of_two
from midirnn.performance import Performance
from tests.datasets.songs import song

SONGS = [song(seed, notes=60) for seed in range(8)]
LOUD = [piece.replace(velocity=piece.velocity // 4 + 95) for piece in SONGS]


def test_a_set_overlaps_with_its_own_kind_and_less_with_another() -> None:
    features = compare_two(SONGS[:4], SONGS[4:], 10.0)["features"]
    loud = compare_two(LOUD[:4], SONGS[4:], 10.0)["features"]
    area = "overlapping_area"
    assert loud["velocity"]["first"][area] < 0.5 < features["velocity"]["first"][area]
    assert loud["pitch_range"] == features["pitch_range"]


def test_only_the_first_seconds_count() -> None:
    longer = [
        Performance.from_notes(
            [*zip(p.start, p.end, p.pitch, p.velocity, strict=True), (30.0, 31.0, 127, 127)]
        )
        for p in SONGS
    ]
    assert compare_two(longer[:4], longer[4:], 10.0) == compare_two(SONGS[:4], SONGS[4:], 10.0)


def test_a_piece_that_is_shorter_is_measured_up_to_its_end() -> None:
    quick = [piece.slice(0.0, 2.0) for piece in SONGS]
    expected = compare_two(quick, quick, 2.0)["features"]["notes_per_second"]
    mean = expected["first"]["mean"]
    found = compare_two(quick, SONGS, 60.0)["features"]["notes_per_second"]["first"]
    assert found["mean"] == pytest.approx(
        sum(len(piece) / piece.duration for piece in quick) / len(quick)
    )
    assert found["mean"] >= mean


def test_the_scale_is_one_half_of_the_second_set_beside_the_other() -> None:
    report = compare_two(SONGS[:4], SONGS[4:], 10.0)
    halves = compare_two(SONGS[4::2], SONGS[5::2], 10.0)
    for name, sets in halves["features"].items():
        assert report["scale"][name] == sets["first"]
    assert "scale" not in compare_two(SONGS[:4], SONGS[4:7], 10.0)


def test_a_table_has_a_line_for_each_feature() -> None:
    lines = list(table_of_two(compare_two(SONGS[:2], SONGS[2:5], 10.0), "A", "a" * 40))
    assert len(lines) == 1 + len(FEATURES)
    assert "..." in lines[0]


def test_sets_of_one_piece_are_refused() -> None:
    with pytest.raises(OptionError, match="the second set has 1 of the 2 pieces"):
        compare_two(SONGS, SONGS[:1], 10.0)
