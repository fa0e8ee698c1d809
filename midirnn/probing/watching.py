"""The units of a model that are worth watching while it plays: a file next to its weights.

``midirnn cells MODEL FILES --save`` writes it. The model process reads the values of these units
after each step, which costs a few microseconds; see :mod:`midirnn.live.view.units`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from midirnn.engines.adapters import ADAPTER_FILE, read_adapter
from midirnn.engines.load import find_model
from midirnn.engines.state import EngineState
from midirnn.errors import CheckpointError, MidirnnError, OptionError
from midirnn.files import one_line_errors, reason_of, write_file
from midirnn.models.cells import find_cell
from midirnn.models.config import ModelConfig

if TYPE_CHECKING:
    from midirnn.probing.tracing import Trace
    from midirnn.probing.units import FoundUnit

UNITS_FILE = "units.json"
FORMAT_VERSION = 1

LEAST_CORRELATION = 0.3
"""The least correlation with its signal, on the data not used to choose it, of a watched unit."""

USUAL = (5.0, 95.0)
"""The percentiles between which a unit's value goes from 0 to 1."""

DIGITS = 3


@dataclass(frozen=True)
class WatchedUnit:
    """A unit that follows a signal. Its value is 0 at ``low`` and 1 at ``high``, clipped there.

    ``low`` is above ``high`` for a unit that falls when its signal rises, so that its value rises.
    """

    signal: str
    """The signal that it follows: loudness, density, ..."""
    state: str
    layer: int
    """From 0."""
    place: int
    low: float
    high: float
    correlation: float
    """With its signal, on the data not used to choose it."""

    @property
    def name(self) -> str:
        """The unit in the notation of ``midirnn cells``: c1[37]."""
        return f"{self.state}{self.layer + 1}[{self.place}]"


class Watcher:
    """Reads the values of some units from the states of an engine. Stateless."""

    def __init__(self, units: Sequence[WatchedUnit], config: ModelConfig) -> None:
        states = find_cell(config.cell).states
        self._where = [(states.index(unit.state), unit.layer, unit.place) for unit in units]
        self._low = np.array([unit.low for unit in units])
        self._span = np.array([unit.high - unit.low or 1.0 for unit in units])

    def values(self, state: EngineState) -> tuple[float, ...]:
        """Return the value of each unit, from 0 to 1; empty if the state is not computed yet.

        It never computes a step, so that it never blocks.
        """
        if not (self._where and state.is_computed):
            return ()
        arrays = state.state
        raw = np.array([arrays[which][layer, place] for which, layer, place in self._where])
        scaled = np.clip((raw - self._low) / self._span, 0.0, 1.0)
        return tuple(round(value, DIGITS) for value in scaled.tolist())


def watched_of(
    traces: Sequence[Trace], found: Mapping[str, list[FoundUnit]]
) -> tuple[WatchedUnit, ...]:
    """Return the units to watch: the best of each signal, if it follows it on unseen data too.

    Raises :class:`OptionError` if none does.
    """
    from midirnn.probing.units import strongest

    watched = []
    for one in strongest(found):
        if one.fitted * one.shown <= 0 or abs(one.shown) < LEAST_CORRELATION:
            continue
        unit = one.unit
        values = np.concatenate([t.states[unit.state][:, unit.layer, unit.place] for t in traces])
        low, high = (float(value) for value in np.percentile(values, USUAL))
        if one.fitted < 0:
            low, high = high, low
        watched.append(
            WatchedUnit(
                one.signal,
                unit.state,
                unit.layer,
                unit.place,
                round(low, 4),
                round(high, 4),
                round(one.shown, DIGITS),
            )
        )
    if not watched:
        raise OptionError(
            f"no unit follows anything by {LEAST_CORRELATION:g} or more where it was not chosen; "
            "read more files"
        )
    return tuple(watched)


def write_watched(folder: Path, units: Sequence[WatchedUnit]) -> None:
    """Write the units to watch into a model's folder."""
    content = {"format_version": FORMAT_VERSION, "units": [asdict(unit) for unit in units]}
    path = folder / UNITS_FILE
    with one_line_errors(path, OptionError):
        write_file(path, json.dumps(content, indent=2) + "\n")


def read_watched(folder: Path, config: ModelConfig) -> tuple[WatchedUnit, ...]:
    """Return the units to watch of the model in a folder; none if it has no such file.

    A tuned model without one has those of its base. Raises :class:`CheckpointError` for a damaged
    file, and for units that the model lacks.
    """
    path = folder / UNITS_FILE
    if not path.exists():
        return _of_base(folder, config)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format version {content['format_version']} is not known")
        units = tuple(WatchedUnit(**unit) for unit in content["units"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be read ({reason_of(error)})") from None
    states = find_cell(config.cell).states
    for unit in units:
        fits = unit.layer in range(config.num_layers) and unit.place in range(config.hidden_size)
        if unit.state not in states or not fits:
            raise CheckpointError(f"{path} names unit {unit.name}, which the model lacks")
    return units


def _of_base(folder: Path, config: ModelConfig) -> tuple[WatchedUnit, ...]:
    if not (folder / ADAPTER_FILE).exists():
        return ()
    try:
        base = find_model(read_adapter(folder).base)
    except MidirnnError:
        return ()
    return read_watched(base, config) if (base / UNITS_FILE).exists() else ()
