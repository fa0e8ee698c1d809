"""Modes say when the model listens and when it plays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.errors import OptionError
from midirnn.live import MODES, LiveConfig, Mode, Stance
from midirnn.live.base.config import PHRASE_ENDS
from midirnn.live.modes import NEVER, Gesture, Performed, Source, make_mode
from midirnn.live.modes.call_and_response import HELD_PATIENCE, SHORTEST_ANSWER_SECONDS

LISTENS, BOTH = Stance.LISTENS, Stance.BOTH


def press(mode: Mode, seconds: float, keys_down: int = 1) -> None:
    mode.hear(Performed(seconds, Gesture.KEY_DOWN, keys_down))


def let_go(mode: Mode, seconds: float, keys_down: int = 0) -> None:
    mode.hear(Performed(seconds, Gesture.KEY_UP, keys_down))


def a_phrase(start: float, end: float, config: LiveConfig | None = None) -> Mode:
    """Call and response behind a phrase."""
    mode = make_mode("call_and_response", config or LiveConfig())
    press(mode, start)
    let_go(mode, end)
    return mode


@pytest.mark.parametrize("name", MODES)
def test_each_mode_says_in_one_sentence_what_is_heard(name: str) -> None:
    summary = MODES[name].summary
    assert summary[0].isupper()
    assert summary.count(".") == 1
    assert summary.endswith(".")


def test_an_unknown_mode_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(OptionError, match="no mode 'duel'; known are call_and_response, duet,"):
        make_mode("duel", LiveConfig())


def test_autopilot_always_plays() -> None:
    mode = make_mode("autopilot", LiveConfig())
    press(mode, 1.0)
    assert {mode.stance(second) for second in (0.0, 1.0, 1e6)} == {BOTH}
    assert mode.changes_at() == NEVER


def test_at_first_it_listens_for_as_long_as_nothing_is_played() -> None:
    mode = make_mode("call_and_response", LiveConfig())
    assert mode.stance(0.0) == LISTENS
    assert mode.changes_at() == NEVER
    assert mode.stance(1e6) == LISTENS


def test_a_pedal_alone_is_no_phrase() -> None:
    mode = make_mode("call_and_response", LiveConfig())
    mode.hear(Performed(1.0, Gesture.PEDAL, 0))
    assert mode.changes_at() == NEVER


def test_a_phrase_ends_after_the_silence_and_its_answer_is_as_long() -> None:
    mode = a_phrase(10.0, 15.0)
    assert mode.changes_at() == 16.0
    assert mode.stance(15.9) == LISTENS
    assert mode.stance(16.0) == BOTH
    assert mode.changes_at() == 21.0
    assert mode.stance(20.9) == BOTH
    assert mode.stance(21.0) == LISTENS
    assert mode.changes_at() == NEVER


def test_a_single_short_note_gets_an_answer_that_can_be_heard() -> None:
    mode = a_phrase(0.0, 0.1)
    mode.stance(1.1)
    assert mode.changes_at() == pytest.approx(1.1 + SHORTEST_ANSWER_SECONDS)


def test_a_chord_that_is_held_is_part_of_its_phrase() -> None:
    mode = make_mode("call_and_response", LiveConfig(phrase_end="switch"))
    press(mode, 1.0)
    gesture(mode, 11.0, Gesture.SWITCH, keys_down=1)
    assert mode.changes_at() == 21.0
    let_go(mode, 11.5)
    assert mode.changes_at() == 21.0


def test_silence_and_answer_can_be_set() -> None:
    mode = a_phrase(0.0, 5.0, LiveConfig(silence_seconds=0.3, answer_seconds=0.5))
    assert mode.changes_at() == pytest.approx(5.3)
    mode.stance(5.3)
    assert mode.changes_at() == pytest.approx(5.8)


def test_a_phrase_goes_on_while_a_key_is_down() -> None:
    mode = make_mode("call_and_response", LiveConfig())
    press(mode, 0.0)
    assert mode.stance(2.0) == LISTENS
    let_go(mode, 2.5)
    assert mode.changes_at() == 3.5


def test_a_key_that_never_goes_up_does_not_silence_the_model_for_ever() -> None:
    mode = make_mode("call_and_response", LiveConfig())
    press(mode, 0.0)
    assert mode.stance(HELD_PATIENCE) == BOTH


def test_a_pedal_movement_puts_off_the_end_of_a_phrase_but_a_pedal_held_does_not() -> None:
    mode = a_phrase(0.0, 1.0)
    mode.hear(Performed(1.5, Gesture.PEDAL, 0))
    assert mode.changes_at() == 2.5


def test_a_new_key_ends_the_answer_and_begins_a_phrase() -> None:
    mode = a_phrase(0.0, 5.0)
    assert mode.stance(6.0) == BOTH
    press(mode, 7.0)
    assert mode.stance(7.0) == LISTENS
    let_go(mode, 10.0)
    assert mode.stance(11.0) == BOTH
    assert mode.changes_at() == 14.0


def test_letting_go_and_pedals_do_not_end_an_answer() -> None:
    mode = make_mode("call_and_response", LiveConfig())
    press(mode, 0.0)
    assert mode.stance(4.0) == BOTH
    let_go(mode, 4.5)
    mode.hear(Performed(4.6, Gesture.PEDAL, 0))
    assert mode.stance(4.7) == BOTH
    assert mode.stance(8.0) == LISTENS
    assert mode.changes_at() == NEVER


def gesture(mode: Mode, seconds: float, what: Gesture, keys_down: int = 0) -> None:
    mode.hear(Performed(seconds, what, keys_down))


@pytest.mark.parametrize("name", ["call_and_response", "echo"])
@pytest.mark.parametrize(
    ("phrase_end", "ending", "other"),
    [
        ("pedal_up", Gesture.PEDAL_UP, Gesture.PEDAL_DOWN),
        ("pedal_down", Gesture.PEDAL_DOWN, Gesture.PEDAL_UP),
        ("switch", Gesture.SWITCH, Gesture.PEDAL_UP),
    ],
)
def test_a_phrase_ends_by_the_gesture_that_was_set_and_not_by_silence(
    name: str, phrase_end: str, ending: Gesture, other: Gesture
) -> None:
    mode = make_mode(name, LiveConfig(phrase_end=phrase_end))
    press(mode, 0.0)
    let_go(mode, 5.0)
    gesture(mode, 5.5, other)
    assert mode.changes_at() == NEVER
    assert mode.stance(1e3) == LISTENS
    gesture(mode, 1e3, ending)
    assert mode.stance(1e3) == BOTH
    press(mode, 1001.0)
    assert mode.stance(1001.0) == LISTENS


def test_a_gesture_before_any_key_begins_no_answer() -> None:
    for what in Gesture:
        mode = make_mode("call_and_response", LiveConfig(phrase_end="pedal_up"))
        if what not in (Gesture.KEY_DOWN, Gesture.YOUR_TURN):
            gesture(mode, 1.0, what)
            assert mode.stance(1.0) == LISTENS
            assert mode.changes_at() == NEVER


def test_the_foot_switch_ends_a_phrase_before_the_silence_does() -> None:
    mode = a_phrase(0.0, 5.0)
    gesture(mode, 5.1, Gesture.SWITCH)
    assert mode.stance(5.1) == BOTH
    assert mode.changes_at() == pytest.approx(10.1)


def test_in_an_answer_the_foot_switch_ends_it_and_behind_one_asks_for_another() -> None:
    mode = a_phrase(0.0, 5.0)
    assert mode.stance(6.0) == BOTH
    gesture(mode, 7.0, Gesture.SWITCH)
    assert mode.stance(7.0) == LISTENS
    assert mode.changes_at() == NEVER
    gesture(mode, 9.0, Gesture.SWITCH)
    assert mode.stance(9.0) == BOTH
    assert mode.changes_at() == 14.0


@pytest.mark.parametrize("name", MODES)
def test_in_every_mode_the_performer_says_whose_turn_it_is(name: str) -> None:
    mode = make_mode(name, LiveConfig())
    press(mode, 1.0)
    if name != "shadow":
        let_go(mode, 1.2)
    gesture(mode, 1.3, Gesture.YOUR_TURN, keys_down=int(name == "shadow"))
    assert mode.stance(1.3) == BOTH
    gesture(mode, 2.0, Gesture.MY_TURN, keys_down=int(name == "shadow"))
    assert mode.stance(2.0) == LISTENS
    assert mode.changes_at() == NEVER
    gesture(mode, 3.0, Gesture.YOUR_TURN, keys_down=int(name == "shadow"))
    assert mode.stance(3.0) == BOTH


@pytest.mark.parametrize("name", MODES)
def test_in_every_mode_the_foot_switch_alternates(name: str) -> None:
    mode, held = make_mode(name, LiveConfig()), int(name == "shadow")
    press(mode, 1.0)
    if not held:
        let_go(mode, 1.2)
    gesture(mode, 1.5, Gesture.YOUR_TURN, keys_down=held)
    for seconds, stance in ((2.0, LISTENS), (2.5, BOTH), (3.0, LISTENS), (3.5, BOTH)):
        gesture(mode, seconds, Gesture.SWITCH, keys_down=held)
        assert mode.stance(seconds) == stance


def test_your_turn_lets_the_model_begin_without_a_phrase_and_does_not_end_its_answer() -> None:
    mode = make_mode("call_and_response", LiveConfig())
    gesture(mode, 1.0, Gesture.YOUR_TURN)
    assert mode.stance(1.0) == BOTH
    gesture(mode, 1.5, Gesture.YOUR_TURN)
    assert mode.stance(1.5) == BOTH
    assert mode.changes_at() == 3.0


def test_my_turn_in_a_phrase_leaves_it_a_phrase() -> None:
    mode = a_phrase(0.0, 5.0)
    gesture(mode, 5.1, Gesture.MY_TURN)
    assert mode.stance(5.9) == LISTENS
    assert mode.stance(6.0) == BOTH


def test_duet_comes_in_with_the_first_key_and_plays_through_rests() -> None:
    mode = make_mode("duet", LiveConfig())
    gesture(mode, 0.5, Gesture.PEDAL_DOWN)
    assert mode.stance(1.0) == LISTENS
    press(mode, 2.0)
    let_go(mode, 3.0)
    assert {mode.stance(second) for second in (2.0, 3.0, 1e6)} == {BOTH}
    assert mode.changes_at() == NEVER
    gesture(mode, 2e6, Gesture.SWITCH)
    assert mode.stance(2e6) == LISTENS


def test_shadow_plays_while_a_key_is_down() -> None:
    mode = make_mode("shadow", LiveConfig())
    assert mode.stance(0.0) == LISTENS
    press(mode, 1.0)
    assert mode.stance(1.0) == BOTH
    press(mode, 1.2, keys_down=2)
    let_go(mode, 1.5, keys_down=1)
    assert mode.stance(1.5) == BOTH
    let_go(mode, 2.0)
    assert mode.stance(2.0) == LISTENS
    gesture(mode, 2.5, Gesture.PEDAL_DOWN)
    assert mode.stance(1e6) == LISTENS
    assert mode.changes_at() == NEVER


def test_each_mode_says_where_its_music_comes_from() -> None:
    sources = {name: mode.source for name, mode in MODES.items()}
    assert sources == {
        "call_and_response": Source.MODEL,
        "duet": Source.MODEL,
        "autopilot": Source.MODEL,
        "echo": Source.PHRASE,
        "shadow": Source.CHORD,
        "ensemble": Source.ENSEMBLE,
    }


EVENTS = st.lists(
    st.tuples(st.floats(0.0, 5.0), st.sampled_from(list(Gesture)), st.integers(0, 3)), max_size=30
)


@pytest.mark.parametrize("phrase_end", PHRASE_ENDS)
@pytest.mark.parametrize("name", MODES)
@given(events=EVENTS)
def test_whatever_happens_a_mode_listens_and_changes_when_it_says(
    name: str, phrase_end: str, events: list[tuple[float, Gesture, int]]
) -> None:
    mode = make_mode(name, LiveConfig(phrase_end=phrase_end))
    now = 0.0
    for gap, what, keys_down in events:
        before, change = mode.stance(now), mode.changes_at()
        assert change > now
        assert Stance.LISTENS in before
        now += gap
        if now < change:
            assert mode.stance(now) == before
        mode.hear(Performed(now, what, keys_down))
        mode.stance(now)


def test_what_may_end_a_phrase_is_named_where_it_is_refused() -> None:
    with pytest.raises(OptionError, match="phrase_end is 'applause'; allowed are silence, pedal"):
        LiveConfig(phrase_end="applause")


@pytest.mark.parametrize(
    ("setting", "value", "allowed"),
    [
        ("silence_seconds", 0.0, "0.05 to 60"),
        ("silence_seconds", float("nan"), "0.05 to 60"),
        ("channel", 0, "1 to 16"),
        ("channel", 17, "1 to 16"),
        ("answer_seconds", -1.0, "0.1 to 86,400"),
        ("lookahead_seconds", 11.0, "0.05 to 10"),
        ("on_beat", 0.0, "0.0625 to 64"),
        ("program", 0, "1 to 128"),
        ("shadow_notes", 0, "1 to 8"),
        ("echo_threshold", 1.5, "0 to 1"),
        ("reference_bpm", 5.0, "20 to 400"),
    ],
)
def test_settings_out_of_range_are_refused(setting: str, value: float, allowed: str) -> None:
    with pytest.raises(OptionError, match=f"{setting} is .*; allowed are {allowed}"):
        LiveConfig(**{setting: value})  # type: ignore[arg-type]


def test_an_input_channel_that_does_not_exist_is_refused() -> None:
    assert LiveConfig(input_channels=(1, 16)).input_channels == (1, 16)
    with pytest.raises(OptionError, match="input_channels is 17; allowed are 1 to 16"):
        LiveConfig(input_channels=(1, 17))
