from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midirnn.errors import PortError
from midirnn.ports import (
    Ignored,
    InputPort,
    MemoryInput,
    MemoryOutput,
    Message,
    OutputPort,
    check_message,
    loopback_pair,
)

NOTE_ON = (0x90, 60, 64)
NOTE_OFF = (0x80, 60, 0)


class Heard(list[tuple[Message, float]]):
    def __call__(self, message: Message, seconds: float) -> None:
        self.append((message, seconds))


def ticking() -> Iterator[float]:
    yield from (1.0, 2.0, 3.0)


def test_an_input_hands_on_what_it_is_fed_with_its_time() -> None:
    heard = Heard()
    with MemoryInput(heard, clock=lambda: 7.0) as port:
        port.feed(NOTE_ON, 1.5)
        port.feed(list(NOTE_OFF))
    assert heard == [(NOTE_ON, 1.5), (NOTE_OFF, 7.0)]


def test_an_output_records_what_it_is_sent_and_when() -> None:
    clock = ticking()
    output = MemoryOutput(clock=lambda: next(clock))
    output.send(NOTE_ON)
    output.send(bytes(NOTE_OFF))
    assert output.sent == [(1.0, NOTE_ON), (2.0, NOTE_OFF)]
    assert output.messages == [NOTE_ON, NOTE_OFF]


def test_the_memory_ports_fill_the_protocols() -> None:
    inputs: list[InputPort] = [MemoryInput(Heard(), name="keys")]
    outputs: list[OutputPort] = [MemoryOutput(name="synth")]
    assert [port.name for port in (*inputs, *outputs)] == ["keys", "synth"]


def test_a_vanished_output_loses_messages_without_an_error() -> None:
    output = MemoryOutput()
    assert output.present
    output.vanish()
    assert not output.present
    output.send(NOTE_ON)
    output.restore()
    output.send(NOTE_OFF)
    assert output.messages == [NOTE_OFF]


def test_a_vanished_input_hears_nothing() -> None:
    heard = Heard()
    port = MemoryInput(heard)
    port.vanish()
    port.feed(NOTE_ON)
    port.restore()
    port.feed(NOTE_OFF, 1.0)
    assert heard == [(NOTE_OFF, 1.0)]


def test_a_failing_output_says_why_until_it_is_restored() -> None:
    output = MemoryOutput(name="synth")
    output.fail("the cable is loose")
    with pytest.raises(PortError, match="cannot send to MIDI output 'synth': the cable is loose"):
        output.send(NOTE_ON)
    output.restore()
    output.send(NOTE_ON)
    assert output.messages == [NOTE_ON]


def test_a_closed_output_refuses_and_closing_twice_is_fine() -> None:
    output = MemoryOutput(name="synth")
    output.close()
    output.close()
    with pytest.raises(PortError, match="MIDI output 'synth' is closed"):
        output.send(NOTE_ON)


def test_a_closed_input_hears_nothing() -> None:
    heard = Heard()
    with MemoryInput(heard) as port:
        pass
    port.feed(NOTE_ON)
    assert heard == []


def test_a_loopback_hands_on_what_is_sent() -> None:
    heard = Heard()
    output, port = loopback_pair(heard, clock=lambda: 4.0)
    output.send(NOTE_ON)
    port.close()
    output.send(NOTE_OFF)
    assert heard == [(NOTE_ON, 4.0)]
    assert output.messages == [NOTE_ON, NOTE_OFF]


def test_what_a_callback_raises_is_kept_and_raised() -> None:
    def stumble(message: Message, seconds: float) -> None:
        raise ValueError(message[1])

    port = MemoryInput(stumble)
    for pitch in (60, 61):
        with pytest.raises(ValueError, match=str(pitch)):
            port.feed((0x90, pitch, 64))
    assert isinstance(port.callback_error, ValueError)
    assert port.callback_error.args == (60,)


@pytest.mark.parametrize(
    "message",
    [(0xF0, 1, 0xF7), (0xF8,), (0xF1, 3), (0xFE,)],
    ids=["sysex", "clock", "mtc", "sense"],
)
def test_sysex_clock_and_active_sensing_are_ignored_unless_asked_for(message: Message) -> None:
    heard = Heard()
    MemoryInput(heard).feed(message, 0.0)
    assert heard == []
    everything = Ignored(sysex=False, clock=False, active_sensing=False)
    MemoryInput(heard, ignored=everything).feed(message, 0.0)
    assert heard == [(message, 0.0)]


def test_transport_messages_are_not_ignored() -> None:
    heard = Heard()
    MemoryInput(heard).feed((0xFA,), 0.0)
    assert heard == [((0xFA,), 0.0)]


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ((), "it is empty"),
        ((60, 64), "60 is not a status byte"),
        ((0x90, 60), "a message with status 144 has 3 bytes, not 2"),
        ((0xC0, 1, 2), "a message with status 192 has 2 bytes, not 3"),
        ((0x90, 128, 64), "data bytes must be 0 to 127"),
        ((0x90, 60, -1), "data bytes must be 0 to 127"),
        ((0xF0, 1, 2), "sysex must end with 247"),
        ((0xF0,), "sysex must end with 247"),
        ((0xF0, 200, 0xF7), "data bytes must be 0 to 127"),
        ((0xF4,), "244 is not a status byte"),
        ((0x190, 60, 64), "400 is not a status byte"),
    ],
)
def test_what_is_no_midi_message_is_not_sent(message: Message, fault: str) -> None:
    output = MemoryOutput()
    with pytest.raises(PortError, match=f"^not a MIDI message: .*: {fault}"):
        output.send(message)
    assert output.sent == []


data_bytes = st.integers(0, 127)


@given(
    st.one_of(
        st.tuples(st.integers(0x80, 0xBF), data_bytes, data_bytes),
        st.tuples(st.integers(0xE0, 0xEF), data_bytes, data_bytes),
        st.tuples(st.integers(0xC0, 0xDF), data_bytes),
        st.lists(data_bytes).map(lambda data: (0xF0, *data, 0xF7)),
    )
)
def test_every_midi_message_passes_unchanged(message: Message) -> None:
    assert check_message(bytes(message)) == message
