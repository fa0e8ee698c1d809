"""The bank: states of the model kept on pads, blended on a wheel, and undone.

A state is what the model has in mind: h and c of its layers. To have another in mind changes
neither what sounds nor what may be played next; it changes what is likely to come.
"""

from __future__ import annotations

from midirnn.errors import OptionError
from midirnn.live.base.messages import Blend, Recall, Request, Reset, Store

UNDO_DEPTH = 16
"""So many changes can be undone."""

CROSSFADE_MOODS = (1, 2)
"""The moods that the wheel goes between."""


class StateBank:
    """Says what to ask of the model for each pad and wheel. Owns which moods are kept.

    The states themselves stay with the model, under names. Each change of state keeps the one
    before it, for :meth:`undo`; a wheel that is turned is one change, however often it moves.
    """

    def __init__(self) -> None:
        self.kept: set[int] = set()
        """The moods that hold a state."""
        self._undo: list[int] = []
        self._next_undo = 0
        self._fading = False

    def store(self, mood: int) -> list[Request]:
        """What to ask so that a mood is the present state."""
        self.kept.add(mood)
        return [Store(_mood(mood))]

    def recall(self, mood: int) -> list[Request]:
        """What to ask so that the present state is a mood; nothing if it holds none."""
        if mood not in self.kept:
            return []
        return [*self._keep(), Recall(_mood(mood))]

    def crossfade(self, share: float) -> list[Request]:
        """What to ask for a blend: 0 is the first mood of the wheel, 1 the second.

        Nothing unless both hold a state.
        """
        first, second = CROSSFADE_MOODS
        if not {first, second} <= self.kept:
            return []
        if not 0.0 <= share <= 1.0:
            raise OptionError(f"the crossfade is {share:g}; allowed are 0 to 1")
        kept = [] if self._fading else self._keep()
        self._fading = True
        return [*kept, Blend(((_mood(first), 1.0 - share), (_mood(second), share)))]

    def reset(self) -> list[Request]:
        """What to ask so that the model forgets all that it has heard; moods stay."""
        return [*self._keep(), Reset()]

    def undo(self) -> list[Request]:
        """What to ask so that the last change of state was none; nothing if there was none."""
        self._fading = False
        return [Recall(_undo(self._undo.pop()))] if self._undo else []

    def _keep(self) -> list[Request]:
        """Keep the present state, to come back to."""
        self._fading = False
        slot = self._next_undo % UNDO_DEPTH
        self._next_undo += 1
        self._undo = [*self._undo[-(UNDO_DEPTH - 1) :], slot]
        return [Store(_undo(slot))]


def _mood(mood: int) -> str:
    return f"mood {mood}"


def _undo(slot: int) -> str:
    return f"undo {slot}"
