"""Convert what a user may pass for an argument of :func:`~midirnn.generate`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

from midirnn.codecs.controls import Controls, parse_pitch_classes
from midirnn.errors import OptionError
from midirnn.midifile import from_pretty_midi, is_pretty_midi, read_midi
from midirnn.performance import Performance
from midirnn.sampling.constraints import Constraints
from midirnn.sampling.filters import SamplingConfig

Settings = TypeVar("Settings", Controls, SamplingConfig, Constraints)


def as_controls(given: Controls | Mapping[str, Any] | str | None) -> Controls | None:
    """Return controls; text is a key or pitch classes."""
    if isinstance(given, str):
        return Controls(pitch_classes=parse_pitch_classes(given))
    return _settings("controls", Controls, given)


def as_sampling(given: SamplingConfig | Mapping[str, Any] | None) -> SamplingConfig | None:
    """Return sampling settings, given as they are or as a mapping."""
    return _settings("sampling", SamplingConfig, given)


def as_constraints(given: Constraints | Mapping[str, Any] | None) -> Constraints | None:
    """Return constraints, given as they are or as a mapping."""
    return _settings("constraints", Constraints, given)


def check_seed(seed: int | None) -> None:
    """Raise :class:`OptionError` for what is no seed; None stands for a random one."""
    if seed is None:
        return
    if not isinstance(seed, int | np.integer):
        raise OptionError(f"seed is {seed!r}; it must be a whole number, 0 or more")
    if seed < 0:
        raise OptionError(f"seed is {seed}; it must be 0 or more")


def as_piece(given: Any) -> Any:
    """Return a piece as it is, but a ``pretty_midi.PrettyMIDI`` as a performance."""
    return from_pretty_midi(given, drums=True) if is_pretty_midi(given) else given


def as_music(given: Any, what: str = "the piece") -> Performance:
    """Return as a performance: one, a ``pretty_midi.PrettyMIDI`` or the path of a MIDI file.

    Raises :class:`OptionError` for anything else, and :class:`MidiFileError` for a file that is not
    a MIDI file.
    """
    if isinstance(given, str | os.PathLike):
        return read_midi(given, drums=True)
    music = as_piece(given)
    if not isinstance(music, Performance):
        raise OptionError(
            f"{what} is of type {type(given).__name__}; allowed are a Performance, a "
            "pretty_midi.PrettyMIDI and the path of a MIDI file"
        )
    return music


def as_primer(given: Any) -> Performance | None:
    """Return music to continue; None for nothing."""
    return None if given is None else as_music(given, "the primer")


def _settings(
    name: str, kind: type[Settings], given: Settings | Mapping[str, Any] | None
) -> Settings | None:
    """Return settings, given as they are or as a mapping of their fields."""
    if given is None or isinstance(given, kind):
        return given
    known = [field.name for field in fields(kind)]
    if not isinstance(given, Mapping):
        raise OptionError(
            f"{name} is {given!r}; allowed are {kind.__name__}(...) or a dictionary of its fields: "
            f"{', '.join(known)}"
        )
    for key in given:
        if key not in known:
            raise OptionError(f"{name} holds {key!r}; allowed are {', '.join(known)}")
    return kind(**given)
