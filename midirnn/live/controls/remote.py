"""What a controller can do to a session, as methods for any thread."""

from __future__ import annotations

from abc import ABC, abstractmethod

from midirnn.live.controls.commands import Command, LoadPreset, Press, StorePreset
from midirnn.live.controls.knobs import Value, find_knob
from midirnn.live.controls.map import ControlChange


class RemoteControl(ABC):
    """Methods that queue commands and return at once. Commands are carried out in order."""

    @abstractmethod
    def command(self, *commands: Command) -> None:
        """Queue commands, which are carried out in this order. Thread-safe."""

    def turn(self, knob: str, value: Value) -> None:
        """Turn a knob of ``KNOBS`` to a value, or None if it may be left free. Thread-safe.

        Raises :class:`OptionError` for a knob that does not exist or a value that is not allowed.
        """
        found = find_knob(knob)
        self.command(ControlChange(found.name, found.check(value)))

    def press(self, switch: str) -> None:
        """Press a switch of ``KNOBS`` and let it go. Thread-safe."""
        self.command(Press(switch))

    def set_mode(self, name: str) -> None:
        """Change to another mode. Thread-safe."""
        self.turn("mode", name)

    def store_preset(self, preset: int | str) -> None:
        """Store the model's state as preset 1 to 128. Thread-safe.

        With a set list, knobs, mode and style are stored as well. A preset may then be given by
        name: one of that name is replaced, and a new name gets the first free number.
        """
        self.command(StorePreset(preset))

    def load_preset(self, preset: int | str) -> None:
        """Load the preset of that number, or of that name in the set list. Thread-safe."""
        self.command(LoadPreset(preset))

    def freeze(self, on: bool = True) -> None:
        """Stop the model from hearing the performer, or let it hear them again. Thread-safe."""
        self.turn("freeze", on)

    def reset(self) -> None:
        """Make the model forget everything it has heard and played. Thread-safe."""
        self.press("reset")

    def undo(self) -> None:
        """Undo the last preset, crossfade or reset. Thread-safe."""
        self.press("undo")

    def untune(self) -> None:
        """Go back to the model as it was before it was last tuned. Thread-safe."""
        self.press("untune")

    def answer(self) -> None:
        """Press the foot switch: answer now, or stop answering. Thread-safe."""
        self.press("switch")

    def panic(self) -> None:
        """End every note; the model is silent until a key is pressed. Thread-safe."""
        self.press("panic")
