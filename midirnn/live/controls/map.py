"""The control map: which controller moves which knob, read from TOML and written to it."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from midirnn.errors import OptionError
from midirnn.files import reason_of, write_file
from midirnn.live.controls.knobs import KNOBS, MOST, Knob, Value, find_knob
from midirnn.midievents import CONTROL_CHANGE, NOTE_OFF, NOTE_ON, SUSTAIN

FILE_NAME = "controls.toml"

PAD_CHANNEL = 10
"""The channel of drum pads, whose notes the model does not hear."""

FIRST_MODE_MESSAGE = 120
"""Control changes from this number on are channel mode messages, such as all notes off."""


@dataclass(frozen=True)
class Binding:
    """What moves a knob: a controller or a note, on a channel (1 to 16; None for any)."""

    cc: int | None = None
    note: int | None = None
    channel: int | None = None

    def __str__(self) -> str:
        what = f"CC {self.cc}" if self.cc is not None else f"note {self.note}"
        return what if self.channel is None else f"{what} on channel {self.channel}"

    def midi_value(self, message: Sequence[int]) -> int | None:
        """Return the value that a message sets, 0 to 127; None if it does not match."""
        kind, channel = message[0] & 0xF0, (message[0] & 0x0F) + 1
        if len(message) != 3 or self.channel not in (None, channel):
            return None
        if kind == CONTROL_CHANGE and message[1] == self.cc:
            return message[2]
        if kind in (NOTE_ON, NOTE_OFF) and message[1] == self.note:
            return MOST if kind == NOTE_ON and message[2] else 0
        return None


def default_path() -> Path:
    """Return the path of the user's control map."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "midirnn" / FILE_NAME


@dataclass(frozen=True)
class ControlChange:
    """Turn a knob to a value."""

    name: str
    value: Value
    by_controller: bool = field(default=False, compare=False)
    """True if the knob's own controller was moved, which then stands at this value."""


def default_bindings() -> dict[str, Binding]:
    """Return the default bindings: those in the table of knobs."""
    return {
        name: Binding(cc=knob.cc)
        if knob.cc is not None
        else Binding(note=knob.pad, channel=PAD_CHANNEL)
        for name, knob in KNOBS.items()
    }


@dataclass(frozen=True)
class ControlMap:
    """Which controller or pad moves which knob. A knob without an entry is moved by none."""

    bindings: Mapping[str, Binding] = field(default_factory=default_bindings)

    @classmethod
    def load(cls, path: Path | None = None) -> ControlMap:
        """Read the map in ``path``, by default the user's own; without either, the default map."""
        if path is None and not default_path().exists():
            return cls()
        return cls.read(path or default_path())

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> ControlMap:
        """Read a map from a TOML file. Knobs that it does not name keep their default.

        A line is ``temperature = { cc = 74 }``, with ``note`` in place of ``cc`` for a pad,
        ``channel`` (1 to 16) to listen on that channel only, and ``{}`` for a knob without a
        controller. Raises :class:`OptionError` if the file cannot be read or is not valid.
        """
        try:
            table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise OptionError(f"cannot read the control map {path}: {reason_of(error)}") from None
        except ValueError as error:
            raise OptionError(f"the control map {path} is not TOML: {error}") from None
        try:
            return cls.from_table(table)
        except OptionError as error:
            raise OptionError(f"{path}: {error}") from None

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> ControlMap:
        """Make a map from a table. Knobs that it does not name keep their default.

        Raises :class:`OptionError` for an invalid table, such as one controller for two knobs.
        """
        bindings = default_bindings()
        named: dict[str, Binding] = {}
        for name, entry in table.items():
            knob, binding = find_knob(name).name, _binding(name, entry)
            if binding is not None:
                _refuse_clash(named, knob, binding)
                named[knob] = binding
            bindings = _bound(bindings, knob, binding)
        return cls(bindings)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the map to a file, whole or not at all."""
        try:
            write_file(Path(path), self.to_toml())
        except OSError as error:
            raise OptionError(f"cannot write the control map {path}: {reason_of(error)}") from None

    def to_toml(self) -> str:
        """Return the map as TOML, with a comment about each knob."""
        return "".join(
            f"# {_describe(knob)}\n{name} = {_inline(self.bindings.get(name))}\n"
            for name, knob in KNOBS.items()
        )

    def bind(self, name: str, binding: Binding) -> ControlMap:
        """Return a map in which the binding moves that knob and no other."""
        return ControlMap(_bound(self.bindings, find_knob(name).name, binding))

    @cached_property
    def _turning(self) -> frozenset[tuple[bool, int | None]]:
        """The (is a controller, number of the controller or note) of all bindings."""
        bindings = self.bindings.values()
        controllers = {(True, binding.cc) for binding in bindings}
        return frozenset(controllers | {(False, binding.note) for binding in bindings})

    def translate(self, message: Sequence[int]) -> list[ControlChange]:
        """Return the changes that a message makes; none if it is music."""
        if (
            len(message) != 3
            or (message[0] & 0xF0 == CONTROL_CHANGE, message[1]) not in self._turning
        ):
            return []  # most messages are music
        values = ((name, binding.midi_value(message)) for name, binding in self.bindings.items())
        return [
            ControlChange(name, KNOBS[name].value(midi), by_controller=True)
            for name, midi in values
            if midi is not None
        ]


def _bound(
    bindings: Mapping[str, Binding], name: str, binding: Binding | None
) -> dict[str, Binding]:
    kept = {
        other: old
        for other, old in bindings.items()
        if other != name and (binding is None or not _clash(old, binding))
    }
    return kept if binding is None else {**kept, name: binding}


def _clash(one: Binding, other: Binding) -> bool:
    """Return True if one message could match both bindings."""
    return (one.cc, one.note) == (other.cc, other.note) and (
        one.channel == other.channel or None in (one.channel, other.channel)
    )


def _refuse_clash(named: Mapping[str, Binding], knob: str, binding: Binding) -> None:
    """Raise OptionError if another knob in the table has this controller or note."""
    for other, taken in named.items():
        if other != knob and _clash(taken, binding):
            raise OptionError(
                f"{other} ({taken}) and {knob} ({binding}) have the same controller; give each its "
                "own, or a channel of its own"
            )


_LIMITS = {"cc": (0, FIRST_MODE_MESSAGE - 1), "note": (0, MOST), "channel": (1, 16)}


def _binding(name: str, entry: Any) -> Binding | None:
    """Return the binding in a table entry, None for ``{}``; raise OptionError if it is invalid."""
    example = f"{name} = {{ cc = 74 }}"
    if not isinstance(entry, dict):
        raise OptionError(f"{name} is {entry!r}; write it as: {example}")
    for key, value in entry.items():
        if key not in _LIMITS:
            raise OptionError(f"{name} has {key!r}; allowed are {', '.join(_LIMITS)}")
        low, high = _LIMITS[key]
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise OptionError(f"{name}: {key} is {value!r}; allowed are {low} to {high}")
    if not entry:
        return None
    if ("cc" in entry) == ("note" in entry):
        raise OptionError(f"{name} needs either cc or note, as in: {example}")
    if entry.get("cc") == SUSTAIN:
        raise OptionError(f"{name}: cc is {SUSTAIN}, the sustain pedal, which the model hears")
    return Binding(**entry)


def _inline(binding: Binding | None) -> str:
    if binding is None:
        return "{}"
    values = {"cc": binding.cc, "note": binding.note, "channel": binding.channel}
    inside = ", ".join(f"{key} = {value}" for key, value in values.items() if value is not None)
    return f"{{ {inside} }}"


def _describe(knob: Knob) -> str:
    free = "; at 0 the model is free" if knob.free else ""
    return f"{knob.summary} ({knob.allowed}{free})"
