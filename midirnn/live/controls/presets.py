"""Presets: hidden states of the model stored on pads and crossfaded by a wheel, with undo.

Loading a hidden state changes neither the sounding notes nor the tokens that are allowed next, only
how likely they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from midirnn.codecs.style import Style
from midirnn.errors import OptionError
from midirnn.live.base.messages import Blend, Recall, Request, Reset, Store
from midirnn.live.controls.knobs import Value

UNDO_DEPTH = 16
"""How many changes can be undone."""

CROSSFADE_PRESETS = (1, 2)
"""The presets that the wheel crossfades between."""


@dataclass(frozen=True)
class Before:
    """What undoing a change restores besides the model's state: the followed style, and knobs.

    ``heard_at`` is when the performer last played in that style.
    """

    style: Style | None
    heard_at: float
    knobs: Mapping[str, Value] = field(default_factory=dict)


class PresetBank:
    """Makes the requests to the model for pads and wheel. Owns which presets hold a state.

    The states themselves are stored with the model, by name. Each change of state first stores the
    present one, for :meth:`undo`; a crossfade is one change, however often the wheel moves.
    """

    def __init__(self, kept: Iterable[int] = ()) -> None:
        self.kept = set(kept)
        """The presets that hold a state."""
        self._undo: list[tuple[int, Before | None]] = []
        self._next_undo = 0
        self._fading = False

    def store(self, preset: int) -> list[Request]:
        """Return the requests that store the present state as a preset."""
        self.kept.add(preset)
        return [Store(preset_name(preset))]

    def load(self, preset: int, before: Before | None = None) -> list[Request]:
        """Return the requests that load a preset; none if it holds no state."""
        if preset not in self.kept:
            return []
        return [*self._keep(before), Recall(preset_name(preset))]

    def crossfade(self, share: float) -> list[Request]:
        """Return the requests for a blend: 0 is the wheel's first preset, 1 the second.

        There are none unless both hold a state.
        """
        first, second = CROSSFADE_PRESETS
        if not {first, second} <= self.kept:
            return []
        if not 0.0 <= share <= 1.0:
            raise OptionError(f"the crossfade is {share:g}; allowed are 0 to 1")
        kept = [] if self._fading else self._keep()
        self._fading = True
        return [*kept, Blend(((preset_name(first), 1.0 - share), (preset_name(second), share)))]

    def reset(self, before: Before | None = None) -> list[Request]:
        """Return the requests that make the model forget all it has heard, but no presets."""
        return [*self._keep(before), Reset()]

    @property
    def before(self) -> Before | None:
        """What :meth:`undo` would restore besides the state; None if nothing."""
        return self._undo[-1][1] if self._undo else None

    def undo(self) -> list[Request]:
        """Return the requests that undo the last change of state; none if there was none."""
        self._fading = False
        if not self._undo:
            return []
        slot, _ = self._undo.pop()
        self._next_undo = slot  # free again; all others are still needed
        return [Recall(_undo(slot))]

    def _keep(self, before: Before | None = None) -> list[Request]:
        """Return the requests that store the present state, for :meth:`undo`."""
        self._fading = False
        slot = self._next_undo
        self._next_undo = (slot + 1) % UNDO_DEPTH
        self._undo = [*self._undo[-(UNDO_DEPTH - 1) :], (slot, before)]
        return [Store(_undo(slot))]


def preset_name(preset: int) -> str:
    """Return the name under which the model stores a preset."""
    return f"preset {preset}"


def _undo(slot: int) -> str:
    return f"undo {slot}"
