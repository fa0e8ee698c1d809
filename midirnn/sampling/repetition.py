"""How much of what is drawn only repeats itself, and what is done about it.

What comes back is recalled all the better the next time, and a trill begets a trill: without an
end to either a model goes round in circles for minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from midirnn.performance import NUM_PITCHES

LONGEST_REPEAT_NOTES = 16
"""After so many notes in a row that came back as they were, what was played before is forgotten,"""

FORGETFUL_NOTES = 32
"""and nothing is recalled for so many notes."""

LONGEST_TRILL_NOTES = 20
"""After so many notes in a row on one or two pitches, or up or down by the same one or two steps in
turn (a chromatic scale, in broken thirds, say), the next one is another. Real ones are longer now
and then; a model's tend to be."""


@dataclass(frozen=True)
class Repetition:
    """What the last notes drawn say about repetition: part of the sampler's state."""

    repeated: int = 0
    """how many of them were those recalled; below 0, how long to recall none"""
    pitches: bytes = b""
    """the pitches of the last ones, a byte each"""

    def after(self, pitch: int, recalled: int | None) -> Repetition:
        """The same once a pitch was drawn where ``recalled`` (None: nothing) had been expected."""
        repeated = self.repeated
        if repeated >= 0:
            repeated = repeated + 1 if pitch == recalled else 0
            if repeated >= LONGEST_REPEAT_NOTES:
                repeated = -FORGETFUL_NOTES
        if repeated < 0:
            repeated += 1
        return Repetition(repeated, self.pitches[1 - LONGEST_TRILL_NOTES :] + bytes((pitch,)))

    @property
    def forgets(self) -> bool:
        """Whether nothing is to be recalled."""
        return self.repeated < 0

    @cached_property
    def worn_out(self) -> list[int]:
        """The pitches that would go on with what has gone on for long enough; mostly none."""
        if len(self.pitches) < LONGEST_TRILL_NOTES:
            return []
        trilled = set(self.pitches)
        if len(trilled) <= 2:
            return sorted(trilled)
        steps = [after - before for before, after in pairwise(self.pitches)]
        following = self.pitches[-1] + steps[-2]
        goes_on = steps[2:] == steps[:-2] and 0 <= following < NUM_PITCHES
        return [following] if goes_on else []
