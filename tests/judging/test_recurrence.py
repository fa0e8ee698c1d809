"""What of a primer returns in its continuation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.judging.recurrence import longest_copy, patterns, returning_share, top_voice
from midirnn.performance import Performance
from tests.judging.pieces import at_random, melody, together

MOTIF = [60, 62, 64, 65, 67]


def test_the_top_voice_is_the_highest_note_of_each_chord() -> None:
    chords = Performance.from_notes(
        [(0.0, 1.0, 60, 64), (0.03, 1.0, 67, 64), (0.04, 1.0, 64, 64), (0.05, 1.0, 50, 64)]
    )
    assert top_voice(chords).tolist() == [67, 50]
    assert top_voice(Performance()).tolist() == []


def test_a_bass_beneath_a_melody_leaves_its_patterns_as_they_are() -> None:
    tune, bass = melody(MOTIF), melody([36, 43, 36, 43, 36])
    assert patterns(together(tune, bass)) == patterns(tune)
    assert len(patterns(tune)) == 1


@given(st.integers(0, 99), st.integers(-12, 12))
def test_every_pattern_returns_in_a_transposition(seed: int, semitones: int) -> None:
    primer = at_random(30, seed)
    assert returning_share(patterns(primer), patterns(primer.transpose(semitones))) == 1.0


def test_the_share_is_that_of_the_primers_patterns() -> None:
    primer = patterns(melody([*MOTIF, 61]))  # two patterns
    assert returning_share(primer, patterns(melody(MOTIF))) == 0.5
    assert returning_share(primer, patterns(melody(MOTIF[:4]))) == 0.0
    assert returning_share(frozenset(), primer) == 0.0


@pytest.mark.parametrize("notes", [0, 1, 3, 8, 9, 20])
def test_the_longest_copy_is_as_long_as_what_was_copied(notes: int) -> None:
    primer = melody(range(30, 60))
    copied = melody([*primer.pitch[4 : 4 + notes].tolist(), 100, 100])
    assert longest_copy(primer, copied) == notes
    assert longest_copy(primer, Performance()) == 0
