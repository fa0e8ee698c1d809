"""The state of a session at one moment, for display."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Self

from midirnn.live.base.playing import Stance
from midirnn.live.controls.console import Console
from midirnn.live.controls.knobs import Value
from midirnn.live.output.ledger import SoundingNote
from midirnn.live.output.scheduler import Scheduler
from midirnn.live.view.display import UnitView


@dataclass(frozen=True)
class SessionView:
    """The state of a session. Times are seconds of its clock.

    ``stance`` is what the model does (None before the session runs), ``knobs`` the value of every
    knob, ``presets`` those that hold a state, ``preset_names`` the names of those in the set list.
    ``frozen`` means that the model does not hear the performer. ``bpm``, ``clock_runs`` and
    ``beat`` (the position in quarter notes, from 0) belong to the clock that is followed or sent.
    ``sounding`` are the notes that sound on the output, ``planned_until`` is the time that the
    model's plan reaches. ``has_model`` is False while a model process is being replaced,
    ``has_output`` while the output is gone. ``remedies`` counts the guard's actions, by fault.
    ``units`` are the present values of the hidden units that follow a musical signal; there are
    none unless they have been found for this model (``midirnn cells MODEL FILES --save``).
    """

    mode: str
    stance: Stance | None
    knobs: Mapping[str, Value]
    presets: frozenset[int]
    frozen: bool
    bpm: float | None
    clock_runs: bool
    sounding: tuple[SoundingNote, ...]
    planned_until: float
    has_model: bool
    has_output: bool
    remedies: Mapping[str, int]
    beat: float | None = None
    units: tuple[UnitView, ...] = ()
    preset_names: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        console: Console,
        scheduler: Scheduler,
        *,
        mode: str,
        stance: Stance | None,
        planned_until: float,
        has_model: bool,
        has_output: bool,
        now: float,
        units: tuple[UnitView, ...] = (),
    ) -> Self:
        """Gather the present state. Thread-safe: what the session's thread may change is copied."""
        values = console.panel.values
        remedies = console.guard.acted.copy()
        return cls(
            mode=mode,
            stance=stance,
            knobs=values | {"mode": mode},
            presets=frozenset(console.bank.kept),
            preset_names=console.scenes.names,
            frozen=bool(values["freeze"]),
            bpm=console.beats.bpm,
            beat=console.beats.beat_at(now),
            clock_runs=console.beats.running,
            sounding=tuple(scheduler.sounding),
            planned_until=planned_until,
            has_model=has_model,
            has_output=has_output,
            units=units,
            remedies={str(fault): count for fault, count in remedies.items()},
        )

    def __post_init__(self) -> None:
        for name in ("knobs", "remedies", "preset_names"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def __reduce__(self) -> tuple[Any, ...]:
        values = (getattr(self, each.name) for each in fields(self))
        return type(self), tuple(dict(v) if isinstance(v, MappingProxyType) else v for v in values)

    @property
    def plays(self) -> bool:
        """True while the model plays."""
        return self.has_output and self.stance is not None and Stance.PLAYS in self.stance
