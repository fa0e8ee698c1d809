"""Overload: is the model slower than its music, and how much must the music be thinned?"""

from __future__ import annotations

import math
from collections import deque

from midirnn.live.improviser.choice import MOST_THINNING

TOO_BUSY = 0.7
"""Over this share of the time spent planning, the music is made cheaper."""

IDLE_ENOUGH = 0.25
"""Under this share it may cost more again: a degree of thinning halves the cost, or less."""

MEASURED_TOKENS = 24
"""This many tokens are sampled before the next change."""

REQUEST_SECONDS = 0.03
"""A request should take about this long at most: meanwhile the model does not see the time."""

REMEMBERED = 16

MOST_TOKENS = 16


class Overload:
    """Says how thin to plan and how many tokens to ask for. Owns the recent cost.

    First velocities are left out, then onsets are spread, further with each degree. If that is not
    enough the model rests until the present each time that it has fallen behind.
    """

    def __init__(self) -> None:
        self.thinning = 0
        self._costs: deque[float] = deque(maxlen=REMEMBERED)
        self._spent = self._gained = 0.0
        self._tokens = 0
        self._was_busy = False

    @property
    def seconds_per_token(self) -> float:
        """What a token has cost recently, busy moments aside; infinite before the first."""
        return sorted(self._costs)[len(self._costs) // 4] if self._costs else math.inf

    @property
    def tokens(self) -> int:
        """The number of tokens to ask for at a time."""
        affordable = REQUEST_SECONDS / max(self.seconds_per_token, 1e-9)
        return max(1, min(MOST_TOKENS, int(affordable)))

    def note(self, tokens: int, seconds_spent: float, seconds_gained: float) -> None:
        """Take note of what some tokens cost, and how much music they are."""
        if not tokens:
            return
        self._costs.append(seconds_spent / tokens)
        self._spent += seconds_spent
        self._gained += max(seconds_gained, 0.0)
        self._tokens += tokens
        if self._tokens >= MEASURED_TOKENS:
            self._decide(self._spent / max(self._gained, 1e-9))

    def _decide(self, share: float) -> None:
        if share > TOO_BUSY and self._was_busy:  # once may have been a hiccup
            self.thinning = min(self.thinning + 1, MOST_THINNING)
        elif share < IDLE_ENOUGH:
            self.thinning = max(self.thinning - 1, 0)
        self._was_busy = share > TOO_BUSY
        self._spent = self._gained = 0.0
        self._tokens = 0
