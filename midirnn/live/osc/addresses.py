"""The OSC addresses: a table of what each message to a session does.

The arguments of a message are of the types that OSC has: integers, floats, text, true and false.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from midirnn.errors import OptionError
from midirnn.live.controls.knobs import KNOBS, MOST, PRESETS, Knob, Scale, Value
from midirnn.live.controls.remote import RemoteControl
from midirnn.midievents import NOTE_OFF, NOTE_ON
from midirnn.ports.base import Message, check_message

ROOT = "/midirnn"

FREE = "free"
"""The value of a knob that is left free, in a message."""

Arguments = Sequence[Any]


class Played(RemoteControl):
    """What messages act on: a session, and the state that is sent about it."""

    @abstractmethod
    def receive(self, message: Message) -> None:
        """Take a MIDI message of the performer; channel 1 stands for the one listened to."""

    @abstractmethod
    def tell_all(self) -> None:
        """Send the whole state."""


@dataclass(frozen=True)
class Address:
    """An address that a session understands, its arguments, and what it does."""

    path: str
    arguments: str
    summary: str
    perform: Callable[[Played, Arguments], None]


def perform(played: Played, path: str, arguments: Arguments) -> None:
    """Carry out a message. Raises :class:`OptionError` if it is not understood."""
    if path not in ADDRESSES:
        raise OptionError(f"there is no address {path!r}; the documentation of OSC lists them")
    ADDRESSES[path].perform(played, arguments)


def told(value: Value) -> float | int | str:
    """Return a knob's value as an argument: a number or text, or 1 or 0 for a switch."""
    if value is None:
        return FREE
    return int(value) if isinstance(value, bool) else value


def presses() -> list[Knob]:
    """Return the switches that are pressed once, without presets and those that are held."""
    switches = (knob for knob in KNOBS.values() if knob.scale is Scale.SWITCH)
    return [knob for knob in switches if knob.name not in (*PRESETS, "freeze", "store")]


def turned() -> list[Knob]:
    """Return the knobs that have a value."""
    pressed = {knob.name for knob in presses()} | set(PRESETS) | {"store"}
    return [knob for knob in KNOBS.values() if knob.name not in pressed]


def value_of(knob: Knob, argument: object) -> Value:
    """Return a knob's value from an argument. Invalid arguments are returned unchanged."""
    if knob.free and argument == FREE:
        return None
    is_number = isinstance(argument, int | float)
    if knob.scale is Scale.SWITCH and is_number and argument in (0, 1):
        return bool(argument)
    return argument  # type: ignore[return-value]  # the knob checks it


def _turn(knob: Knob) -> Callable[[Played, Arguments], None]:
    def perform(played: Played, arguments: Arguments) -> None:
        (argument,) = _exactly(1, arguments)
        played.turn(knob.name, value_of(knob, argument))

    return perform


def _move_fader(knob: Knob) -> Callable[[Played, Arguments], None]:
    def perform(played: Played, arguments: Arguments) -> None:
        (share,) = _exactly(1, arguments)
        if not isinstance(share, int | float) or not 0.0 <= share <= 1.0:
            raise OptionError(f"a fader is at {share!r}; allowed are 0 to 1")
        played.turn(knob.name, knob.value(round(MOST * share)))

    return perform


def _press(name: str) -> Callable[[Played, Arguments], None]:
    def perform(played: Played, arguments: Arguments) -> None:
        is_let_go = len(arguments) == 1 and arguments[0] in (0, False)
        if not is_let_go:  # a button on a panel sends 1 and then 0
            played.press(name)

    return perform


def _note(played: Played, arguments: Arguments) -> None:
    pitch, velocity = _seven_bits(2, arguments)
    status = NOTE_ON if velocity else NOTE_OFF
    played.receive((status, pitch, velocity))


def _midi(played: Played, arguments: Arguments) -> None:
    if not 1 <= len(arguments) <= 3:
        raise OptionError(f"a MIDI message has 1 to 3 bytes, not {len(arguments)}")
    numbers = tuple(_whole(argument) for argument in arguments)
    check_message(numbers)
    played.receive(numbers)


def _preset(argument: Any) -> int | str:
    return argument if isinstance(argument, str) else _whole(argument)


def _store(played: Played, arguments: Arguments) -> None:
    played.store_preset(_preset(*_exactly(1, arguments)))


def _load(played: Played, arguments: Arguments) -> None:
    played.load_preset(_preset(*_exactly(1, arguments)))


def _tell_all(played: Played, arguments: Arguments) -> None:
    played.tell_all()


def _exactly(count: int, arguments: Arguments) -> Arguments:
    if len(arguments) != count:
        raise OptionError(f"it takes {count} argument{'s' * (count > 1)}, not {len(arguments)}")
    return arguments


def _whole(argument: object) -> int:
    """Return an integer; Max and Pure Data send some integers as floats, such as 60.0."""
    if isinstance(argument, bool) or not isinstance(argument, int | float):
        raise OptionError(f"{argument!r} is no number")
    if argument != argument // 1 or not abs(argument) < 2**31:
        raise OptionError(f"{argument!r} is no whole number")
    return int(argument)


def _seven_bits(count: int, arguments: Arguments) -> list[int]:
    numbers = [_whole(argument) for argument in _exactly(count, arguments)]
    for number in numbers:
        if not 0 <= number <= MOST:
            raise OptionError(f"it is given {number}; allowed are 0 to {MOST}")
    return numbers


def _all() -> Iterator[Address]:
    yield Address(
        f"{ROOT}/note", "pitch velocity", "you strike a key; with velocity 0 you let it go", _note
    )
    yield Address(
        f"{ROOT}/midi",
        "status byte byte",
        "you send a MIDI message, such as 176 64 127 for the sustain pedal",
        _midi,
    )
    for knob in turned():
        takes = knob.allowed.replace("true and false", "1 or 0") + f" or {FREE}" * knob.free
        yield Address(f"{ROOT}/knob/{knob.name}", takes, knob.summary, _turn(knob))
    for knob in turned():
        if knob.scale in (Scale.LINEAR, Scale.LOG):
            yield Address(
                f"{ROOT}/fader/{knob.name}",
                "0 to 1",
                f"the same knob, from one end to the other{', free at 0' * knob.free}",
                _move_fader(knob),
            )
    for knob in presses():
        yield Address(f"{ROOT}/press/{knob.name}", "", knob.summary, _press(knob.name))
    yield Address(f"{ROOT}/preset/store", "1 to 128, or a name", "store a preset", _store)
    yield Address(f"{ROOT}/preset/load", "1 to 128, or a name", "load a preset", _load)
    yield Address(f"{ROOT}/tell", "", "send all of the state, as after a start", _tell_all)


ADDRESSES: dict[str, Address] = {address.path: address for address in _all()}
"""Every address that a session understands."""

TOLD: dict[str, tuple[str, str]] = {
    f"{ROOT}/heard": ("pitch velocity", "you struck a key; with velocity 0, let it go"),
    f"{ROOT}/surprise": ("pitch nats", "how much your note surprised the model"),
    f"{ROOT}/plan": (
        "pitch velocity seconds",
        "the model is going to play this, in so many seconds; with velocity 0, to end it",
    ),
    f"{ROOT}/drop": ("", "what was planned and has not been played does not come"),
    f"{ROOT}/played": ("pitch velocity", "the model struck a key; with velocity 0, let it go"),
    f"{ROOT}/state/doing": ("text", "playing, listening, frozen, recovering or output gone"),
    f"{ROOT}/state/ahead": ("seconds", "how far ahead the plan reaches"),
    f"{ROOT}/state/bpm": ("number", "the tempo of the clock; 0 without a clock"),
    f"{ROOT}/state/presets": ("numbers", "the presets that hold a state"),
    f"{ROOT}/knob/...": ("its value", "a knob was turned, by whomever; free as above"),
    f"{ROOT}/line": ("text", "what the terminal shows as a line"),
    f"{ROOT}/error": ("text", "why a message was refused"),
}
"""The messages that a session sends: arguments and meaning, by address."""
