"""Channel mode messages mean note-offs and pedal movements of whoever sends them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.live.base.channel_messages import ModeMessages
from midirnn.midievents import MODE_MESSAGES, PEDAL_RESETS
from midirnn.ports import Message

MODES = [120, 121, 123, 124, 125, 126, 127]


def played(*messages: Message) -> list[Message]:
    """Return what the last of the messages stands for."""
    modes = ModeMessages()
    for message in messages[:-1]:
        assert modes.plain(message) == [message]
    return modes.plain(messages[-1])


@pytest.mark.parametrize("controller", sorted(MODE_MESSAGES))
def test_they_end_the_notes_of_their_channel(controller: int) -> None:
    keys: list[Message] = [(0x90, 60, 80), (0x90, 64, 80), (0x91, 67, 80), (0x90, 64, 0)]
    assert played(*keys, (0xB0, controller, 0)) == [(0x80, 60, 0)]


@pytest.mark.parametrize("controller", sorted(PEDAL_RESETS))
def test_all_but_all_notes_off_lift_the_pedal_of_their_channel(controller: int) -> None:
    pedals: list[Message] = [(0xB0, 64, 127), (0xB1, 64, 127)]
    assert played(*pedals, (0xB0, controller, 0))[0] == (0xB0, 64, 0)


def test_under_all_notes_off_the_pedal_holds_on() -> None:
    assert played((0xB0, 64, 127), (0x90, 60, 80), (0xB0, 123, 0)) == [(0x80, 60, 0)]


def test_all_notes_off_without_a_key_down_means_nothing() -> None:
    assert played((0x90, 60, 80), (0x80, 60, 0), (0xB0, 123, 0)) == []


def test_reset_all_controllers_says_each_and_ends_no_key() -> None:
    plain = played((0x93, 60, 80), (0xB3, 1, 90), (0xB3, 121, 0))
    assert {(0xB3, 1, 0), (0xB3, 11, 127), (0xB3, 67, 0), (0xE3, 0, 64)} <= set(plain)
    assert not [message for message in plain if message[0] & 0xF0 == 0x80]


def test_system_reset_ends_everything() -> None:
    plain = played((0x90, 60, 80), (0xB1, 64, 127), (0x95, 61, 80), (0xFF,))
    assert {(0x80, 60, 0), (0x85, 61, 0), (0xB1, 64, 0)} <= set(plain)


def test_local_control_and_messages_without_a_channel_stay_as_they_are() -> None:
    for message in [(0xB0, 122, 0), (0xF8,), (0xE0, 1, 2), (0xC0, 5), ()]:
        assert ModeMessages().plain(message) == [message]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.sampled_from(["on", "off", "pedal", "mode"]),
            st.integers(60, 63),
            st.sampled_from(MODES),
        )
    )
)
def test_no_channel_mode_message_is_left_and_each_key_has_its_note_off(
    gestures: list[tuple[int, str, int, int]],
) -> None:
    modes = ModeMessages()
    down: set[tuple[int, int]] = set()
    for channel, kind, pitch, controller in gestures:
        message: Message = {
            "on": (0x90 | channel, pitch, 80),
            "off": (0x80 | channel, pitch, 0),
            "pedal": (0xB0 | channel, 64, 127),
            "mode": (0xB0 | channel, controller, 0),
        }[kind]
        for plain in modes.plain(message):
            assert plain[0] & 0x0F == channel
            assert plain[0] & 0xF0 != 0xB0 or plain[1] < 120
            key = (channel, plain[1])
            if plain[0] & 0xF0 == 0x90:
                down.add(key)
            elif plain[0] & 0xF0 == 0x80:
                down.discard(key)
        if kind == "mode" and controller in MODE_MESSAGES:
            assert not [key for key in down if key[0] == channel]
