"""How pieces end, in numbers."""

from __future__ import annotations

import numpy as np

from midirnn import Performance
from midirnn.judging.endings import (
    compare_endings,
    ending_of,
    final_pitch_classes,
    last_sound_seconds,
    slowing,
    softening,
)

SECONDS = 10.0


def piece(starts: list[float], pitches: list[int], last: float = 1.0) -> Performance:
    ends = [*starts[1:], starts[-1] + last]
    velocity = np.linspace(80, 40, len(starts)).astype(int).tolist()
    return Performance.from_notes(zip(starts, ends, pitches, velocity, strict=True))


def steady(count: int = 40) -> Performance:
    return piece([0.5 * n for n in range(count)], [60 + n % 5 for n in range(count)], 0.5)


def test_an_ending_is_the_last_ten_seconds() -> None:
    ending = ending_of(steady())
    assert len(ending) == 20
    assert ending.end.max() == 10.0


def test_a_ritardando_is_slowing_and_a_steady_end_is_not() -> None:
    assert abs(slowing(ending_of(steady()), SECONDS)) < 1e-9
    starts = [*np.arange(0, 4.1, 0.25).tolist(), 4.5, 5.0, 5.5, 6.0]
    assert 0.9 < slowing(piece(starts, [60] * len(starts)), SECONDS) < 1.1


def test_a_diminuendo_is_softening() -> None:
    assert softening(ending_of(steady()), SECONDS) > 5.0


def test_the_last_sound_is_measured_from_the_last_onset() -> None:
    assert last_sound_seconds(piece([0.0, 1.0], [60, 64], last=3.0), SECONDS) == 3.0


def test_final_pitch_classes_are_counted_from_the_lowest_note() -> None:
    shares = final_pitch_classes(piece([0.0, 0.1, 0.2, 0.3], [48, 52, 55, 60]), SECONDS)
    assert shares[[0, 4, 7]].tolist() == [0.5, 0.25, 0.25]


def test_endings_of_the_same_kind_are_closer_than_others() -> None:
    def pieces(shift: int, gap: float) -> list[Performance]:
        return [
            piece(
                [gap * n for n in range(30 + k)], [50 + shift + (n * k) % 7 for n in range(30 + k)]
            )
            for k in range(1, 6)
        ]

    sets = {"same": pieces(0, 0.5), "other": pieces(30, 0.05), "real": pieces(0, 0.5)}
    found = compare_endings(sets, "real")["notes_per_second"]
    assert found["same"]["overlapping_area"] > found["other"]["overlapping_area"]


def test_pieces_without_notes_have_an_ending_too() -> None:
    nothing = ending_of(Performance())
    assert slowing(nothing, SECONDS) == softening(nothing, SECONDS) == 0.0
    assert not final_pitch_classes(nothing, SECONDS).any()
