"""What has gone on for long enough."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from midirnn.sampling.repetition import LONGEST_TRILL_NOTES, Repetition


def worn_out_after(pitches: Sequence[int]) -> list[int]:
    repetition = Repetition()
    for pitch in pitches:
        repetition = repetition.after(pitch, None)
    return repetition.worn_out


@pytest.mark.parametrize(
    ("pattern", "worn_out"),
    [
        ([60], [60]),
        ([60, 62], [60, 62]),
        ([60, 60, 62], [60, 62]),
        (range(60, 100), [60 + LONGEST_TRILL_NOTES]),
        (range(100, 60, -1), [100 - LONGEST_TRILL_NOTES]),
        ([60, 62, 61, 63, 62, 64, 63, 65, 64, 66, 65, 67, 66, 68, 67, 69, 68, 70, 69, 71], [70]),
        ([60, 64, 67], []),
        (range(128 - LONGEST_TRILL_NOTES, 128), []),
        ([60, 62, 64, 65, 67, 69, 71, 72, 74, 76, 77, 79, 81, 83, 84, 86, 88, 89, 91, 93], []),
    ],
)
def test_a_pattern_of_one_or_two_pitches_or_steps_wears_out(
    pattern: Sequence[int], worn_out: list[int]
) -> None:
    played = (list(pattern) * LONGEST_TRILL_NOTES)[:LONGEST_TRILL_NOTES]
    assert worn_out_after(played[:-1]) == []
    assert worn_out_after(played) == worn_out


def test_a_note_elsewhere_begins_the_count_anew() -> None:
    scale = list(range(40, 40 + LONGEST_TRILL_NOTES))
    assert worn_out_after([*scale, 30, *scale[:-1]]) == []
    assert worn_out_after([*scale, 30, *scale]) == [scale[-1] + 1]
