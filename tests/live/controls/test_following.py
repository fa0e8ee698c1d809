"""The model keeps to the style of what the performer played last."""

from __future__ import annotations

import numpy as np
import pytest

from midirnn.codecs import PerformanceCodec
from midirnn.codecs.controls import Controls
from midirnn.codecs.style import Style
from midirnn.live import LiveConfig
from midirnn.live.base.messages import HeardStep, Knobs
from midirnn.live.base.playing import Following
from midirnn.live.controls.console import Console
from midirnn.live.controls.following import StyleFollower
from midirnn.live.controls.map import ControlChange
from midirnn.live.controls.panel import pace_of
from midirnn.live.modes import make_mode
from midirnn.live.recording.event_log import from_plain, to_plain

CODEC = PerformanceCodec()


def steps(
    start: float, notes_per_second: float, count: int, pitch: int = 60, velocity: int = 80
) -> list[HeardStep]:
    """Notes of half their distance, one after the other; the pitch stays."""
    gap = 100.0 / notes_per_second
    velocity_bin = int(CODEC.velocity_bin(velocity))
    found = []
    for index in range(count):
        at = round(100 * start + index * gap)
        found.append(HeardStep(at, (), ((pitch, velocity_bin),)))
        found.append(HeardStep(at + round(gap / 2), (pitch,), ()))
    return found


def rate(style: Style | None) -> float:
    assert style is not None
    density = style.values["density"]
    assert isinstance(density, float)
    return float(2.0**density - 1.0)


def after(how: Following, *played: list[HeardStep], seconds: float = 30.0) -> StyleFollower:
    """A follower that has heard these, when the model begins."""
    follower = StyleFollower(CODEC, seconds)
    for phrase in played:
        follower.hear(phrase, phrase[-1].step / 100)
    follower.begin(how, played[-1][-1].step / 100 if played else 0.0)
    return follower


@pytest.mark.parametrize("how", Following)
@pytest.mark.parametrize("notes_per_second", [2.0, 5.0, 12.5])
def test_the_style_of_a_phrase_is_what_was_played(how: Following, notes_per_second: float) -> None:
    follower = after(how, steps(3.0, notes_per_second, 30, pitch=72, velocity=50))
    style, share = follower.style(20.0 if notes_per_second == 2.0 else 9.0)
    assert share > 0.8
    assert rate(style) == pytest.approx(notes_per_second, rel=0.1)
    assert style is not None
    assert style.values["register"] == 72.0
    assert style.values["loudness"] == pytest.approx(50.0, abs=4.0)


def test_nothing_is_followed_before_the_performer_has_played_or_while_the_model_is_silent() -> None:
    follower = after(Following.LATEST)
    assert follower.style(5.0) == (None, 0.0)
    follower.hear(steps(5.0, 8.0, 20), 8.0)
    assert follower.style(8.0)[0] is not None
    follower.end()
    assert follower.style(9.0) == (None, 0.0)


def test_only_the_last_seconds_count() -> None:
    follower = after(Following.LATEST, steps(0.0, 2.0, 60), steps(30.0, 10.0, 200, pitch=40))
    style, _ = follower.style(50.0)
    assert rate(style) == pytest.approx(10.0, rel=0.1)
    assert style is not None
    assert style.values["register"] == 40.0


def test_a_long_rest_within_a_phrase_does_not_make_it_sparse() -> None:
    follower = after(Following.LATEST, steps(0.0, 10.0, 50), steps(60.0, 10.0, 50))
    assert rate(follower.style(65.0)[0]) == pytest.approx(100.0 / 11.0, rel=0.1)


def test_an_answer_keeps_the_style_of_its_phrase_alone() -> None:
    follower = after(Following.PHRASE, steps(0.0, 12.0, 60))
    follower.end()
    follower.hear(steps(20.0, 3.0, 12, pitch=90), 24.0)
    follower.begin(Following.PHRASE, 25.0)
    style, share = follower.style(26.0)
    assert rate(style) == pytest.approx(3.0, rel=0.15)
    assert follower.style(500.0) == (style, share) == (style, 1.0)


def test_a_phrase_of_a_few_notes_is_measured_with_what_came_before() -> None:
    follower = after(Following.PHRASE, steps(0.0, 10.0, 100, pitch=50))
    follower.end()
    follower.hear(steps(15.0, 2.0, 2, pitch=90), 16.0)
    follower.begin(Following.PHRASE, 17.0)
    style, _ = follower.style(17.0)
    assert style is not None
    assert 50.0 < float(style.values["register"]) < 60.0  # type: ignore[arg-type]


def test_beside_a_performer_who_thins_out_the_model_does_so_too() -> None:
    follower = after(Following.LATEST, steps(0.0, 16.0, 240))
    assert rate(follower.style(15.0)[0]) == pytest.approx(16.0, rel=0.1)
    follower.hear(steps(15.0, 4.0, 16), 19.0)
    assert rate(follower.style(19.0)[0]) == pytest.approx(4.0, rel=0.2)
    follower.hear(steps(19.0, 16.0, 64), 23.0)
    assert 8.0 < rate(follower.style(23.0)[0]) < 16.0, "who plays more is joined slowly"


def test_a_performer_who_thins_out_is_expected_to_go_on_but_not_much() -> None:
    follower = after(Following.LATEST, steps(0.0, 16.0, 12 * 16))
    follower.hear(steps(12.0, 8.0, 3 * 8), 15.0)
    assert 6.0 < rate(follower.style(15.0)[0]) < 7.2
    follower.hear(steps(15.0, 8.0, 6 * 8), 21.0)
    assert 6.4 < rate(follower.style(21.0)[0]) < 8.0
    follower.hear(steps(21.0, 8.0, 15 * 8), 36.0)
    assert rate(follower.style(36.0)[0]) == pytest.approx(8.0, rel=0.1)


def test_in_a_duet_the_style_follows_within_seconds_and_stays_through_rests() -> None:
    follower = after(Following.LATEST, steps(0.0, 4.0, 40))
    follower.hear(steps(10.0, 16.0, 240), 25.0)
    assert rate(follower.style(25.0)[0]) == pytest.approx(16.0, rel=0.1)
    held = follower.style(25.5)
    assert all(follower.style(seconds) == held for seconds in np.arange(26.0, 300.0, 7.0))


def test_autopilot_lets_go_within_the_seconds_that_were_set() -> None:
    follower = after(Following.LOOSELY, steps(0.0, 8.0, 80), seconds=20.0)
    shares = [follower.style(10.0 + seconds)[1] for seconds in np.arange(0.0, 25.0, 0.5)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == 1.0
    assert 0.4 <= shares[20] <= 0.6
    assert follower.style(30.1) == (None, 0.0)
    follower.hear(steps(40.0, 3.0, 60), 60.0)
    style, share = follower.style(60.0)
    assert share == 1.0
    assert rate(style) == pytest.approx(3.0, rel=0.1)


def test_what_was_heard_is_forgotten_with_all_the_rest() -> None:
    follower = after(Following.LATEST, steps(0.0, 8.0, 80))
    follower.forget()
    assert follower.style(11.0) == (None, 0.0)


# The console asks for it.


def console_after(phrase: list[HeardStep], **config: float) -> Console:
    console = Console(LiveConfig(**config))  # type: ignore[arg-type]
    console.perform(phrase, 5.0)
    return console


def asked_at_begin(console: Console, mode: str = "call_and_response") -> Knobs:
    requests = console.begin(make_mode(mode, console.config), lambda seconds: 0, 6.0)
    (knobs,) = (request for request in requests if isinstance(request, Knobs))
    assert requests[0] is knobs  # before it begins
    return knobs


def test_an_answer_begins_with_the_style_asked_for_and_ends_with_it_taken_back() -> None:
    console = console_after(steps(0.0, 8.0, 40))
    knobs = asked_at_begin(console)
    assert knobs.controls.follow == 1.0
    assert rate(knobs.controls.style) == pytest.approx(8.0, rel=0.1)
    console.end()
    assert console.knobs(9.0).controls.style is None


def test_a_knob_that_was_turned_wins_over_what_was_heard() -> None:
    console = console_after(steps(0.0, 8.0, 40), follow=0.5)
    console.command([ControlChange("density", 2.0)])
    list(console.step(5.5))
    controls = asked_at_begin(console).controls
    assert controls.follow == 0.5
    assert controls.notes_per_second == 2.0
    vector, free = controls.vector(), Style(controls.style.values).vector()  # type: ignore[union-attr]
    assert np.argmax(vector[:8]) == 2  # log2(1 + 2) lies between the inputs 1 and 2
    assert vector[8:16] == pytest.approx(0.5 * free[8:16])


@pytest.mark.parametrize("key", ["free", "performer"])
def test_a_density_turned_while_the_model_rests_limits_its_pace_once_it_plays(key: str) -> None:
    console = Console()
    console.command([ControlChange("key", key), ControlChange("density", 2.0)])
    list(console.step(5.5))
    pace = asked_at_begin(console, "autopilot").pace
    assert pace == pace_of(Controls(2.0), beside=False)


def test_with_the_knob_at_0_or_a_model_without_inputs_no_style_is_asked_for() -> None:
    console = console_after(steps(0.0, 8.0, 40), follow=0.0)
    mode = make_mode("duet", console.config)
    console.begin(mode, lambda seconds: 0, 6.0)
    assert console.knobs(7.0).controls.style is None
    deaf = Console(steerable=False)
    deaf.perform(steps(0.0, 8.0, 40), 5.0)
    deaf.begin(mode, lambda seconds: 0, 6.0)
    assert deaf.knobs(7.0).controls.style is None


def test_a_style_that_was_asked_for_stands_in_the_log_as_it_was() -> None:
    knobs = asked_at_begin(console_after(steps(0.0, 8.0, 40)))
    assert from_plain(to_plain(knobs)) == knobs
