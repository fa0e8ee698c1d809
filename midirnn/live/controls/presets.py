"""Presets: states of the model kept on pads, blended by a wheel, and undone.

A state is what the network remembers: the recurrent state of its layers. Loading another one
changes neither what sounds nor what may be played next; it changes what is likely to come.
"""

from __future__ import annotations

from collections.abc import Iterable

from midirnn.errors import OptionError
from midirnn.live.base.messages import Blend, Recall, Request, Reset, Store

UNDO_DEPTH = 16
"""How many changes can be undone."""

CROSSFADE_PRESETS = (1, 2)
"""The presets that the wheel crossfades between."""


class PresetBank:
    """Says what to ask of the model for each pad and wheel. Owns which presets hold a state.

    The states themselves stay with the model, under names. Each change of state stores the one
    before it, for :meth:`undo`; turning a wheel is one change, however often it moves.
    """

    def __init__(self, kept: Iterable[int] = ()) -> None:
        self.kept = set(kept)
        """The presets that hold a state."""
        self._undo: list[int] = []
        self._next_undo = 0
        self._fading = False

    def store(self, preset: int) -> list[Request]:
        """Return what to ask to store the present state as a preset."""
        self.kept.add(preset)
        return [Store(preset_name(preset))]

    def load(self, preset: int) -> list[Request]:
        """Return what to ask to load a preset; nothing if it holds no state."""
        if preset not in self.kept:
            return []
        return [*self._keep(), Recall(preset_name(preset))]

    def crossfade(self, share: float) -> list[Request]:
        """Return what to ask for a blend: 0 is the first preset of the wheel, 1 the second.

        Nothing unless both hold a state.
        """
        first, second = CROSSFADE_PRESETS
        if not {first, second} <= self.kept:
            return []
        if not 0.0 <= share <= 1.0:
            raise OptionError(f"the crossfade is {share:g}; allowed are 0 to 1")
        kept = [] if self._fading else self._keep()
        self._fading = True
        return [*kept, Blend(((preset_name(first), 1.0 - share), (preset_name(second), share)))]

    def reset(self) -> list[Request]:
        """Return what to ask so that the model forgets all it has heard; presets stay."""
        return [*self._keep(), Reset()]

    def undo(self) -> list[Request]:
        """Return what to ask to undo the last change of state; nothing if there was none."""
        self._fading = False
        return [Recall(_undo(self._undo.pop()))] if self._undo else []

    def _keep(self) -> list[Request]:
        """Store the present state, to come back to."""
        self._fading = False
        slot = self._next_undo % UNDO_DEPTH
        self._next_undo += 1
        self._undo = [*self._undo[-(UNDO_DEPTH - 1) :], slot]
        return [Store(_undo(slot))]


def preset_name(preset: int) -> str:
    """Return the name under which the model stores a preset."""
    return f"preset {preset}"


def _undo(slot: int) -> str:
    return f"undo {slot}"
