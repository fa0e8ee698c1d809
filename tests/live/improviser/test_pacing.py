"""The model begins as many notes a second as it is asked for, at once and after any change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midirnn.codecs.controls import Controls
from midirnn.codecs.style import Style
from midirnn.engines.load import load
from midirnn.engines.numpy_engine import NumpyEngine
from midirnn.live import LiveConfig, ManualClock, Session
from midirnn.live.base.messages import Begin, Knobs, Pace
from midirnn.live.controls.panel import pace_of
from midirnn.live.improviser.pacing import BURST_NOTES, MOST_DEBT, Balance
from midirnn.live.improviser.stream import SharedStream
from midirnn.ports import MemoryOutput
from midirnn.sampling import Sampler
from tests.live.stage import START_SECONDS, CheckingSampler, Stage, note, note_ons, tiny_model

RATES = st.sampled_from([0.5, 2.0, 5.0, 11.0, 32.0])


def stream(seed: int = 0) -> SharedStream:
    model = tiny_model()
    sampler = CheckingSampler(NumpyEngine(model.config, model.weights), model.codec, seed=seed)
    found = SharedStream(sampler)
    found.begin(Begin(0))
    return found


def onsets(of: SharedStream, until: int) -> list[int]:
    """The steps in which the model begins a note until then."""
    begun = []
    while of.step < until:
        begun += [note.step for note in of.draw(0) if note.velocity]
    return begun


@settings(max_examples=5, deadline=None)
@given(most=RATES, seed=st.integers(0, 99))
def test_no_more_notes_begin_than_the_pace_allows(most: float, seed: int) -> None:
    played = stream(seed)
    played.set_pace(Pace(most=most))
    times = np.array(onsets(played, 1500))
    burst = max(BURST_NOTES, most / 2) + MOST_DEBT + 2
    for begin in range(0, 1500, 250):
        for end in range(begin + 250, 1501, 250):
            count = ((times >= begin) & (times < end)).sum()
            assert count <= most * (end - begin) / 100 + burst


@settings(max_examples=4, deadline=None)
@given(paces=st.lists(RATES, min_size=2, max_size=3), seed=st.integers(0, 99))
def test_after_any_change_the_model_plays_at_the_new_pace_within_3_s(
    paces: list[float], seed: int
) -> None:
    played = stream(seed)
    for number, rate in enumerate(paces):
        played.set_pace(Pace(rate, 1.1 * rate))
        end = 800 * (number + 1)
        times = np.array(onsets(played, end))
        settled = (times >= end - 500).sum() / 5.0
        assert settled <= 1.1 * rate + (max(BURST_NOTES, rate / 2) + MOST_DEBT + 2) / 5.0
        # the tiny model plays ten notes a second if it is left alone
        assert settled >= min(0.24 * rate, 8.0) - 0.5


def test_without_a_pace_the_same_tokens_are_drawn_as_ever() -> None:
    free, paced = stream(), stream()
    paced.set_pace(Pace(most=1000.0))
    assert onsets(free, 500) == onsets(paced, 500)


def test_going_back_takes_the_balance_back() -> None:
    played = stream()
    played.set_pace(Pace(most=4.0))
    onsets(played, 300)
    state = played.snapshot()
    first = onsets(played, 600)
    played.restore(state)
    assert played.snapshot().balance == state.balance
    second = onsets(played, 600)
    assert abs(len(first) - len(second)) <= MOST_DEBT + BURST_NOTES


def test_a_note_that_came_early_is_waited_for() -> None:
    balance = Balance(Pace(most=2.0), 100, notes=1.0)
    assert balance.wait == 0
    after = balance.after_note(0)
    assert after.wait == 51
    assert after.at(51).wait == 0
    assert after.at(100_000).notes == BURST_NOTES


@pytest.mark.parametrize("beside", [True, False])
def test_a_density_that_is_set_is_held_closely_and_one_that_is_followed_loosely(
    beside: bool,
) -> None:
    style = Style({"density": float(np.log2(1.0 + 8.0))})
    pace = pace_of(Controls(style=style), beside=beside)
    assert pace.least == pytest.approx(4.0)
    assert pace.most == pytest.approx(8.0 * 2.0 ** (-0.1 if beside else 0.8))
    half = pace_of(Controls(style=style, follow=0.5), beside=beside)
    assert half.least is not None and pace.least is not None and half.least < pace.least
    assert half.most is not None and pace.most is not None and half.most > pace.most
    knob = pace_of(Controls(4.0, style=style), beside=beside)
    assert knob.least == 4.0
    assert knob.most is not None and 4.0 < knob.most < 5.0
    assert pace_of(Controls(), beside=beside) == Pace()
    assert pace_of(Controls(style=style, follow=0.0), beside=beside) == Pace()


def test_knobs_set_the_pace_of_a_session() -> None:
    stage = Stage("autopilot", LiveConfig())
    stage.run(1.0)
    stage.session.ask(Knobs(stage.sampler.config, pace=Pace(2.0, 2.0)))
    stage.run(21.0)
    assert 20 <= len([seconds for seconds in note_ons(stage.sent) if seconds > 2.0]) <= 50


def test_in_a_duet_the_model_is_no_denser_than_a_performer_who_thins_out() -> None:
    model, clock = load("piano-small"), ManualClock(START_SECONDS)
    output = MemoryOutput(clock=clock.now)
    sampler = Sampler(model.engine("numpy"), model.codec, seed=0)
    session = Session(sampler, output, "duet", LiveConfig(guard=False), clock=clock)
    onsets = [*np.arange(1.0, 16.0, 0.1), *np.arange(16.0, 28.0, 0.5)]
    for number, onset in enumerate(onsets):
        for at, message in note(onset, onset + 0.05, 60 + 5 * number % 12):
            when = START_SECONDS + at
            clock.at(when, lambda when=when, message=message: session.receive(message, when))  # type: ignore[misc]
    with session:
        session.run(28.0, sending_thread=False)
    times = np.array(note_ons([(when - START_SECONDS, message) for when, message in output.sent]))
    assert ((times >= 8.0) & (times < 16.0)).sum() > 8.0 * 5.0
    assert ((times >= 22.0) & (times < 28.0)).sum() <= 1.2 * 6.0 * 2.0 + BURST_NOTES


def test_a_density_that_is_let_go_of_is_followed_by_no_burst() -> None:
    played = stream()
    left_alone = len(onsets(stream(), 2000)) / 20.0
    played.set_pace(Pace(32.0, 36.0))
    onsets(played, 800)
    played.set_pace(Pace())
    times = np.array(onsets(played, 1300))
    assert ((times >= 800) & (times < 1300)).sum() / 5.0 < 1.5 * left_alone
