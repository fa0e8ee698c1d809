"""The style of a primer is followed, and let go."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from midirnn import Performance
from midirnn.codecs import PerformanceCodec
from midirnn.codecs.controls import Controls
from midirnn.codecs.style import SLICES, Style
from midirnn.errors import OptionError
from midirnn.sampling import Sampler
from midirnn.sampling.following import (
    OPENING_DENSITY,
    OPENING_POLYPHONY,
    SHARES,
    following,
    usual_articulation,
)
from tests.sampling.continuing import continue_primer
from tests.sampling.mock_engine import MockEngine

CODEC = PerformanceCodec()
DENSITY = SLICES["density"]
PRIMER = Performance.from_notes((n / 4, n / 4 + 0.2, 60 + n % 5, 70) for n in range(20))


class Told(MockEngine):
    """Writes down how strongly it is asked for a density, and where in the music that was."""

    def __init__(self, styles: bool = True) -> None:
        super().__init__(CODEC)
        object.__setattr__(self.config, "control_inputs", True)
        object.__setattr__(self.config, "style_inputs", styles)
        self.polyphony: list[float] = []
        self.density: list[float] = []
        self.asked: list[tuple[float, float]] = []

    def set_controls(self, controls: np.ndarray | None) -> None:
        strength = 0.0 if controls is None else float(controls[DENSITY].sum())
        seconds = int(CODEC.token_steps[self.fed].sum()) / CODEC.steps_per_second
        notes = np.zeros(7) if controls is None else controls[SLICES["polyphony"]]
        self.polyphony.append(float(notes @ np.arange(7) * 2 / 3))
        density = np.zeros(8) if controls is None else controls[DENSITY]
        self.density.append(float(density @ np.arange(8)))
        self.asked.append((seconds - PRIMER.duration, round(strength, 3)))


def asked(**changes: Any) -> list[tuple[float, float]]:
    engine = Told()
    continue_primer(Sampler(engine, CODEC, seed=0), 20.0, PRIMER, **changes)
    return engine.asked[1:]  # the first is what was set before the primer


def test_a_style_is_kept_to_the_end() -> None:
    assert {strength for _, strength in asked()} == {1.0}


def test_a_style_is_let_go_bit_by_bit() -> None:
    found = asked(follow_seconds=10.0)
    strengths = [strength for _, strength in found]
    assert strengths == sorted(strengths, reverse=True)
    assert strengths[0] == 1.0 and strengths[-1] == 0.0
    assert len(strengths) > SHARES / 2
    assert 10.0 <= found[-1][0] < 12.0
    for seconds, strength in found:
        assert strength == pytest.approx(max(1.0 - seconds / 10.0, 0.0), abs=0.25)


def test_letting_go_begins_with_how_closely_is_followed() -> None:
    assert asked(follow=0.5, follow_seconds=10.0)[0][1] == 0.5
    assert {strength for _, strength in asked(follow=0.0, follow_seconds=10.0)} == {0.0}


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_times_that_mean_nothing_are_refused(seconds: float) -> None:
    with pytest.raises(OptionError, match="follow_seconds is"):
        asked(follow_seconds=seconds)


def opening(seed: int, *, styles: bool = True, **changes: Any) -> tuple[float, float]:
    """The notes per second and at once that are asked for, as the traits count."""
    engine = Told(styles)
    continue_primer(Sampler(engine, CODEC, seed=seed), 0.1, None, **changes)
    return engine.density[-1], engine.polyphony[-1]


def test_without_a_primer_usual_numbers_of_notes_per_second_and_at_once_are_asked_for() -> None:
    found = [opening(seed) for seed in range(12)]
    for density, polyphony in found:
        assert OPENING_DENSITY[0] <= density <= OPENING_DENSITY[1]
        assert OPENING_POLYPHONY[0] <= polyphony <= OPENING_POLYPHONY[1]
    assert len(set(found)) > 6
    assert found == [opening(seed) for seed in range(12)]


def test_a_density_that_is_set_wins_over_the_usual_one() -> None:
    controls = Controls(notes_per_second=3.0, strength=1.0)
    assert opening(1, controls=controls)[0] == pytest.approx(2.0)


@pytest.mark.parametrize("notes_per_second", [40.0, 64.0, 127.0])
def test_more_than_music_has_is_asked_for_in_the_same_way_throughout(
    notes_per_second: float,
) -> None:
    def told(density: float) -> Style:
        sampler = Sampler(Told(), CODEC, seed=1)
        found = following(sampler, [], Controls(notes_per_second=density), 1.0)
        assert found is not None and found.style is not None
        return found.style

    assert told(notes_per_second) == told(39.0)
    assert told(30.0) != told(39.0)


def test_few_and_many_notes_at_once_go_with_short_and_connected_ones() -> None:
    assert usual_articulation(3.4, 1.5) < 1.0 < 2.5 < usual_articulation(3.4, 3.0)
    assert usual_articulation(4.3, 2.4) < usual_articulation(2.5, 2.4)


def test_they_are_not_asked_for_without_following_or_without_style_inputs() -> None:
    assert opening(1, follow=0.0) == (0.0, 0.0)
    assert opening(1, styles=False)[1] == 0.0
