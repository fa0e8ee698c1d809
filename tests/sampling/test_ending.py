"""Pieces that come to an end: near the time, with every note released."""

from __future__ import annotations

import numpy as np
import pytest

from midirnn import Performance
from midirnn.codecs import PerformanceCodec
from midirnn.codecs.controls import Controls, parse_pitch_classes
from midirnn.codecs.performance import TokenType
from midirnn.codecs.style import SLICES, Style
from midirnn.errors import OptionError
from midirnn.sampling import Sampler
from midirnn.sampling.ending import (
    LAST_SOUND_SECONDS,
    LONGEST_RELEASE_SECONDS,
    ending_controls,
    tonic_triad,
)
from midirnn.sampling.generate import Generated, continue_piece
from midirnn.sampling.requests import Request
from tests.codecs.characters import CharacterCodec
from tests.sampling.continuing import continue_primer
from tests.sampling.mock_engine import MockEngine

CODEC = PerformanceCodec()
ENDING, DENSITY = SLICES["ending"], SLICES["density"]


class Told(MockEngine):
    """Writes down the nearness of the end that it is told."""

    def __init__(self, styles: bool = True) -> None:
        super().__init__(CODEC, likes={TokenType.NOTE_OFF: 1.0})
        for name in ("control_inputs", "style_inputs"):
            object.__setattr__(self.config, name, styles)
        self.controls: list[np.ndarray] = []

    def set_controls(self, controls: np.ndarray | None) -> None:
        if controls is not None:
            self.controls.append(controls)

    def told(self, trait: slice) -> list[tuple[float, ...]]:
        return [tuple(controls[trait].tolist()) for controls in self.controls]


def ended(engine: Told, seed: int = 0, seconds: float = 12.0, **changes: bool) -> Generated:
    sampler = Sampler(engine, CODEC, seed=seed)
    return continue_primer(sampler, seconds, None, end=True, **changes)


@pytest.mark.parametrize("seed", range(4))
def test_no_note_begins_after_the_end_and_the_last_ones_are_released_soon(seed: int) -> None:
    piece: Performance = ended(Told(), seed).performance
    assert piece.start.max() <= 12.0 + 0.01
    assert piece.end.max() <= 12.0 + LONGEST_RELEASE_SECONDS
    assert not piece.unreleased.any()


def test_the_last_notes_sound_on_instead_of_being_cut_off() -> None:
    def cut_off(end: bool) -> int:
        pieces = [
            continue_primer(Sampler(Told(), CODEC, seed=seed), 12.0, None, end=end).performance
            for seed in range(6)
        ]
        return sum(int((piece.end == 12.0).sum()) for piece in pieces)

    assert cut_off(end=True) < cut_off(end=False) / 3


def test_the_model_is_told_how_far_the_end_is_and_asked_for_fewer_notes() -> None:
    engine = Told()
    ended(engine, seconds=15.0)
    knots = (0.0, 1.0, 2.0, 5.0, 10.0)
    told = [np.dot(row, knots) / sum(row) for row in engine.told(ENDING) if any(row)]
    assert told[0] == pytest.approx(10.0, abs=0.5) and told[-1] <= 0.5
    assert told == sorted(told, reverse=True)
    assert len(told) > 10
    ending = [controls for controls in engine.controls if controls[ENDING].any()]
    asked = [controls[DENSITY] for controls in ending]
    densities = [np.dot(row, range(8)) / sum(row) for row in asked if any(row)]
    assert densities[-1] == 0.0
    assert densities == sorted(densities, reverse=True)


def test_a_model_without_controls_is_told_nothing() -> None:
    engine = Told(styles=False)
    ended(engine)
    assert not engine.controls


def test_without_the_flag_nothing_is_told_of_an_end() -> None:
    engine = Told()
    continue_primer(Sampler(engine, CODEC, seed=0), 12.0, None)
    assert not any(map(any, engine.told(ENDING)))


def test_the_nearness_of_the_end_is_a_control_of_its_own() -> None:
    row = Controls(ending_seconds=2.0, strength=1.0).vector()
    assert row[ENDING].tolist() == [0.0, 0.0, 1.0, 0.0, 0.0]
    assert not np.delete(row, np.r_[ENDING]).any()
    far, farther = (Controls(ending_seconds=s).vector() for s in (10.0, 600.0))
    assert np.array_equal(far, farther)
    with pytest.raises(OptionError, match="ending_seconds is -1"):
        Controls(ending_seconds=-1.0)


def test_the_last_notes_begin_two_seconds_before_the_end_where_any_sound() -> None:
    starts = [ended(Told(), seed).performance.start for seed in range(4)]
    assert np.median([start.max() for start in starts]) <= 12.0 - LAST_SOUND_SECONDS + 0.5


@pytest.mark.parametrize(
    ("scale", "triad"), [("C major", "C E G"), ("A minor", "A C E"), ("Eb major", "Eb G Bb")]
)
def test_the_tonic_is_that_of_the_key(scale: str, triad: str) -> None:
    root, third, fifth = (parse_pitch_classes(name).index(1.0) for name in triad.split())
    shares = np.array(parse_pitch_classes(scale)) + 2.0 * np.array(parse_pitch_classes(triad))
    weights = tonic_triad(shares / shares.sum())
    assert weights[root] == 2.0 and weights[third] == weights[fifth] == 1.0
    assert sum(weights) == 4.0


def test_an_ending_is_asked_for_by_what_was_played_before() -> None:
    shares = np.array(parse_pitch_classes("E G B")) / 3
    before = Style({"density": 3.0, "pitch_classes": tuple(shares.tolist())})
    last = ending_controls(Controls(), before, 1.0)
    assert last.pitch_classes is not None and last.pitch_classes[4] == 2.0
    assert last.notes_per_second == 0.0
    assert ending_controls(Controls(), before, 10.0).notes_per_second == pytest.approx(7 * 0.92)
    early = ending_controls(Controls(notes_per_second=10.0, loudness=50.0), before, 8.0)
    assert (early.pitch_classes, early.loudness) == (None, 50.0)
    assert early.notes_per_second == pytest.approx(8.3)


def test_a_codec_without_time_has_no_end() -> None:
    codec = CharacterCodec()
    engine = MockEngine(codec)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="no time"):
        continue_piece(Sampler(engine, codec), Request(end=True))
