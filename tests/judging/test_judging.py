"""Generated pieces are judged beside real ones, and against what the model has learned from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from midirnn.codecs import PerformanceCodec
from midirnn.errors import OptionError
from midirnn.judging import judge, openings, table
from midirnn.judging.features import FEATURES
from midirnn.performance import Performance
from tests.judging.pieces import at_random, melody, together

CODEC = PerformanceCodec()
SECONDS = 20.0
TRAINING = [CODEC.encode(at_random(200, seed)) for seed in range(6)]
TEST = [CODEC.encode(at_random(200, seed)) for seed in range(10, 16)]


def judged(samples: list[Performance]) -> dict[str, Any]:
    real = {
        "test": openings(CODEC, TEST, SECONDS, 5),
        "train": openings(CODEC, TRAINING, SECONDS, 5),
    }
    return judge(CODEC, samples, real, "test", TRAINING, SECONDS)


def fine(seed: int) -> Performance:
    return at_random(80, seed)


def test_openings_are_the_first_seconds_of_pieces_that_last_as_long() -> None:
    pieces = [
        CODEC.encode(at_random(notes, seed)) for seed, notes in enumerate((8, 80, 20, 79, 81))
    ]
    found = openings(CODEC, pieces, 20.0, 10)
    assert [len(piece) for piece in found] == [80, 80]
    assert found[1] == CODEC.decode(pieces[4]).slice(0.0, 20.0)
    assert found[1].duration == 20.0


def test_openings_are_picked_evenly() -> None:
    pieces = [CODEC.encode(melody([pitch] * 4)) for pitch in range(40, 50)]
    found = openings(CODEC, pieces, 1.0, 5)
    assert [int(piece.pitch[0]) for piece in found] == [40, 42, 44, 46, 48]
    assert len(openings(CODEC, pieces, 1.0, 100)) == 10


def test_where_no_two_pieces_last_long_enough_it_says_so() -> None:
    pieces = [CODEC.encode(at_random(notes)) for notes in (4, 8, 80)]
    with pytest.raises(OptionError, match="1 of 3 test pieces last 15 s or more, and at least 2"):
        openings(CODEC, pieces, 15.0, 5, of="test ")


def test_what_goes_wrong_in_a_sample_is_found() -> None:
    copy = CODEC.decode(TRAINING[3]).slice(2.0, 9.0)
    moved = CODEC.decode(TRAINING[4]).slice(0.0, 8.0).transpose(2)
    samples = [
        fine(50),
        at_random(20, 51),  # silent after 5 s
        melody([60, 64, 67] * 27),
        together(fine(54), at_random(510, 55, each_seconds=0.019, begin_seconds=8.0)),
        together(copy, fine(52).slice(0.0, 12.0).shift(8.0)),
        together(moved, fine(53).slice(0.0, 12.0).shift(8.0)),
    ]
    findings = judged(samples)
    assert findings["training_pieces"] == 6
    found = findings["found"]["samples"]
    assert found["pieces"] == 6
    for name in ("falls_silent", "babbles", "loops", "copies"):
        assert found[f"share_that_{name}"] == pytest.approx(1 / 6), name
    each = findings["each"]
    assert each[1]["longest_silence_seconds"] == pytest.approx(15.0)
    assert each[2]["longest_loop_notes"] == 81
    assert each[3]["densest_notes_per_second"] > 50
    assert (each[4]["copied_notes"], each[4]["copied_from"]) == (28, 3)
    assert each[5]["copied_notes"] < 10
    assert (each[5]["copied_notes_in_any_key"], each[5]["copied_in_any_key_from"]) == (32, 4)
    assert found["copied_notes"]["max"] == 28


def test_real_music_stands_beside_the_samples_as_the_scale() -> None:
    findings = judged([fine(seed) for seed in range(60, 66)])
    assert set(findings["features"]) == {feature.name for feature in FEATURES}
    for name, sets in findings["features"].items():
        assert set(sets) == {"samples", "test", "train"}, name
        assert "overlapping_area" in sets["samples"].keys() & sets["train"].keys()
        assert "overlapping_area" not in sets["test"]
    speed = findings["features"]["notes_per_second"]
    assert speed["samples"]["mean"] == speed["test"]["mean"] == pytest.approx(4.0)
    assert findings["found"]["test"]["pieces"] == 5
    assert findings["found"]["test"]["share_that_copies"] == 0.0


def test_openings_of_the_training_set_are_known_as_copies_of_it() -> None:
    findings = judged(openings(CODEC, TRAINING, SECONDS, 6))
    assert [row["copied_from"] for row in findings["each"]] == list(range(6))
    assert {row["copied_notes"] for row in findings["each"]} == {80}
    assert findings["found"]["samples"]["share_that_copies"] == 1.0


def test_pieces_without_notes_are_judged_too() -> None:
    findings = judged([Performance(), Performance()])
    found = findings["found"]["samples"]
    assert found["share_that_falls_silent"] == 1.0
    assert found["copied_notes"]["max"] == found["copied_notes_in_any_key"]["max"] == 0
    assert all(row["copied_from"] == -1 for row in findings["each"])


def test_the_table_shows_every_feature_and_every_share() -> None:
    findings = judged([fine(seed) for seed in range(60, 64)])
    lines = table(findings, "test")
    for feature in FEATURES:
        (line,) = [line for line in lines if line.startswith(f"{feature.name} ")]
        closeness = findings["features"][feature.name]
        assert f"{closeness['samples']['overlapping_area']:.2f}" in line
        assert f"{closeness['train']['own_overlapping_area']:.2f}" in line
    assert any(line.startswith("no onset for over 6 s") for line in lines)
    assert any(line.startswith("over 24 notes copied") for line in lines)
    assert max(map(len, lines)) <= 100


def test_the_same_pieces_are_judged_the_same() -> None:
    samples = [fine(seed) for seed in range(70, 74)]
    assert judged(samples) == judged(samples)
    assert np.isfinite(judged(samples)["features"]["polyphony"]["samples"]["kl_divergence"])
