"""What pages play reaches the session at plausible times, and ends when they go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from midirnn.ports import Message
from midirnn.web.performers import OLDEST_SECONDS, Performers


class Heard:
    """Performers at 100 s of a clock, and all that they have passed on."""

    def __init__(self) -> None:
        self.now = 100.0
        self.played: list[tuple[str, Message, float]] = []
        self.performers = Performers(lambda *what: self.played.append(what), lambda: self.now)

    def messages(self) -> list[Message]:
        return [message for _, message, _ in self.played]


def test_a_note_is_passed_on_with_its_page() -> None:
    heard = Heard()
    heard.performers.play("a", (144, 60, 80), 99.95)
    assert heard.played == [("a", (144, 60, 80), 99.95)]


def test_no_time_lies_ahead_or_long_ago_or_before_the_last() -> None:
    heard = Heard()
    for seconds in (500.0, 0.0, 99.99):
        heard.performers.play("a", (144, 60, 80), seconds)
        heard.now += 1.0
    times = [at for _, _, at in heard.played]
    assert times == [100.0, 101.0 - OLDEST_SECONDS, 102.0 - OLDEST_SECONDS]


def test_a_page_that_leaves_lets_go_of_keys_and_pedal() -> None:
    heard = Heard()
    for message in ((144, 60, 80), (144, 64, 80), (176, 64, 127)):
        heard.performers.play("a", message, 100.0)
    heard.performers.leave("a")
    assert heard.messages()[3:] == [(128, 60, 0), (128, 64, 0), (176, 64, 0)]
    assert not heard.performers.holding
    heard.performers.leave("a")
    assert len(heard.played) == 6


def test_a_key_that_two_pages_hold_ends_with_the_second() -> None:
    heard = Heard()
    heard.performers.play("a", (144, 60, 80), 100.0)
    heard.performers.play("b", (144, 60, 90), 100.0)
    heard.performers.leave("a")
    assert (128, 60, 0) not in heard.messages()
    heard.performers.play("b", (128, 60, 0), 100.0)
    assert heard.messages()[-1] == (128, 60, 0)


def test_a_note_off_of_a_key_that_is_not_held_is_not_passed_on() -> None:
    heard = Heard()
    heard.performers.play("a", (128, 60, 0), 100.0)
    assert heard.played == []


def test_pads_and_pedals_of_all_channels_are_released_when_their_page_goes() -> None:
    heard = Heard()
    for message in ((153, 36, 100), (144, 36, 80), (181, 66, 127), (181, 67, 80), (178, 20, 99)):
        heard.performers.play("a", message, 100.0)
    heard.performers.play("b", (153, 36, 100), 100.0)
    heard.performers.leave("a")
    assert heard.messages()[6:] == [(128, 36, 0), (181, 66, 0), (181, 67, 0)]
    heard.performers.leave("b")
    assert heard.messages()[-1] == (137, 36, 0)
    assert not heard.performers.holding


def test_every_position_of_a_controller_is_passed_on() -> None:
    heard = Heard()
    moved: list[Message] = [(177, cc, value) for cc in (20, 67) for value in (0, 100, 90, 10, 20)]
    for message in [*moved, (193, 4)]:
        heard.performers.play("a", message, 100.0)
    assert heard.messages() == [*moved, (193, 4)]


NOTES = [(144, 60, 80), (144, 61, 80), (144, 64, 80), (144, 60, 0), (128, 61, 0)]
PADS_AND_PEDALS = [(176, 64, 127), (176, 64, 0), (153, 60, 80), (137, 60, 0), (178, 66, 127)]
MESSAGES = st.tuples(st.sampled_from("abc"), st.sampled_from([*NOTES, *PADS_AND_PEDALS]))


@given(st.lists(MESSAGES, max_size=40))
def test_nothing_sounds_when_all_pages_have_left(played: list[tuple[str, Message]]) -> None:
    heard = Heard()
    for page, message in played:
        heard.performers.play(page, message, heard.now)
        heard.now += 0.01
    heard.performers.leave_all()
    down: set[tuple[int, int]] = set()
    for status, first, second in heard.messages():
        kind, channel = status & 0xF0, status & 0x0F
        key = (0xB0 if kind == 0xB0 else 0x90) | channel, first
        is_down = second >= 64 if kind == 0xB0 else kind == 0x90 and second > 0
        (down.add if is_down else down.discard)(key)
    assert down == set()
    assert not heard.performers.holding
