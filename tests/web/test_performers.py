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


MESSAGES = st.tuples(
    st.sampled_from("abc"),
    st.sampled_from([(144, 60, 80), (144, 61, 80), (144, 60, 0), (128, 61, 0), (176, 64, 127)]),
)


@given(st.lists(MESSAGES, max_size=40))
def test_nothing_sounds_when_all_pages_have_left(played: list[tuple[str, Message]]) -> None:
    heard = Heard()
    for page, message in played:
        heard.performers.play(page, message, heard.now)
        heard.now += 0.01
    heard.performers.leave_all()
    down: set[int] = set()
    pedal = False
    for status, first, second in heard.messages():
        if status == 144 and second:
            down.add(first)
        elif status == 176:
            pedal = second >= 64
        else:
            down.discard(first)
    assert (down, pedal) == (set(), False)
    assert not heard.performers.holding
