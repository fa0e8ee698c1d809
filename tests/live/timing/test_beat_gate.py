"""The beat gate lets the model in on the beat."""

from __future__ import annotations

import math

from midirnn.live import Stance
from midirnn.live.modes import NEVER
from midirnn.live.timing.beat_gate import LEAD_SECONDS, BeatGate

LISTENS, BOTH = Stance.LISTENS, Stance.BOTH


def a_gate() -> BeatGate:
    """A gate with a beat each second."""
    return BeatGate(lambda seconds: float(math.ceil(seconds)))


def test_what_only_listens_passes_at_once_and_waits_for_nothing() -> None:
    gate = a_gate()
    assert gate.admit(LISTENS, 0.3) == LISTENS
    assert gate.changes_at() == NEVER


def test_the_model_listens_until_the_beat_and_then_plays() -> None:
    gate = a_gate()
    assert gate.admit(BOTH, 0.3) == LISTENS
    assert gate.changes_at() == 1.0 - LEAD_SECONDS
    assert gate.admit(BOTH, 0.9) == LISTENS
    assert gate.admit(BOTH, 1.0 - LEAD_SECONDS) == BOTH
    assert gate.changes_at() == NEVER
    assert gate.beat == 1.0


def test_while_the_model_waits_the_beat_moves_with_the_tempo() -> None:
    beats = [2.0]
    gate = BeatGate(lambda seconds: beats[0])
    gate.admit(BOTH, 0.3)
    beats[0] = 1.5
    assert gate.admit(BOTH, 0.5) == LISTENS
    assert gate.beat == 1.5
    beats[0] = 3.0  # the next one, once this one is so near
    assert gate.admit(BOTH, 1.5 - LEAD_SECONDS) == BOTH
    assert gate.beat == 1.5


def test_if_the_clock_vanishes_the_model_waits_no_longer() -> None:
    gate = BeatGate(lambda seconds: 2.0 if seconds < 1.0 else seconds)
    gate.admit(BOTH, 0.3)
    assert gate.admit(BOTH, 1.0) == BOTH
    assert gate.changes_at() == NEVER


def test_once_it_plays_it_goes_on_between_beats() -> None:
    gate = a_gate()
    assert gate.admit(BOTH, 1.0) == BOTH
    assert gate.beat is None
    assert gate.admit(BOTH, 1.5) == BOTH


def test_the_next_time_it_waits_again() -> None:
    gate = a_gate()
    gate.admit(BOTH, 1.0)
    gate.admit(LISTENS, 2.5)
    assert gate.admit(BOTH, 3.2) == LISTENS
    assert gate.changes_at() == 4.0 - LEAD_SECONDS


def test_who_changes_their_mind_before_the_beat_waits_for_nothing() -> None:
    gate = a_gate()
    gate.admit(BOTH, 0.3)
    gate.admit(LISTENS, 0.5)
    assert gate.changes_at() == NEVER
    assert gate.admit(LISTENS, 1.0) == LISTENS
