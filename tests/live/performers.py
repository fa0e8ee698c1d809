"""Hypothesis strategies: performers who play anything at any time."""

from __future__ import annotations

from hypothesis import strategies as st

from midirnn.ports import Message

GAPS = st.one_of(
    st.sampled_from([0, 0, 1, 4, 5, 6, 9, 10, 11, 47, 250, 999, 1000, 1001, 2600]),
    st.integers(0, 400),
)
"""Milliseconds from one message to the next."""

OTHERS: list[Message] = [
    *((0xB0, controller, 0) for controller in (120, 121, 123, 126)),
    (0xE0, 0, 64),
    (0xFA,),
    (0x99, 36, 9),
]


@st.composite
def schedules(
    draw: st.DrawFn, max_messages: int = 30, channels: int = 2
) -> list[tuple[float, Message]]:
    """(seconds, message): strikes of sounding notes, pedals, many things at one moment."""
    kinds = st.sampled_from(["on", "on", "on", "off", "off", "off0", "pedal", "other"])
    schedule: list[tuple[float, Message]] = []
    milliseconds = 0
    for _ in range(draw(st.integers(0, max_messages))):
        milliseconds += draw(GAPS)
        kind, channel = draw(kinds), draw(st.integers(0, channels - 1))
        # Few pitches, in the range in which the model plays, too.
        pitch = draw(st.one_of(st.integers(60, 63), st.integers(0, 127)))
        message: Message
        if kind == "on":
            message = (0x90 | channel, pitch, draw(st.integers(1, 127)))
        elif kind == "off":
            message = (0x80 | channel, pitch, 64)
        elif kind == "off0":
            message = (0x90 | channel, pitch, 0)
        elif kind == "pedal":
            message = (0xB0 | channel, 64, draw(st.sampled_from([0, 63, 64, 127])))
        else:
            message = draw(st.sampled_from(OTHERS))
        schedule.append((milliseconds / 1000, message))
    return schedule
