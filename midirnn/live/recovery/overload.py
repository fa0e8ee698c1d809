"""Overload: notices that the model is slower than its music, and thins the music."""

from __future__ import annotations

import math
from collections import deque

from midirnn.live.improviser.choice import MOST_THINNING

TOO_BUSY = 0.7
"""If planning takes more than this share of the music's time, the music is thinned."""

IDLE_ENOUGH = 0.25
"""Below this share it is thinned less again: one level of thinning at most halves the cost."""

MEASURED_TOKENS = 24
"""This many tokens are sampled before the next change."""

REQUEST_SECONDS = 0.03
"""A request should take about this long at most: meanwhile the model does not know the time."""

REMEMBERED = 16

MOST_TOKENS = 16


class Overload:
    """Decides how much to thin the music and how many tokens to ask for. Owns the recent costs.

    First velocities are left out, then onsets are spread, further with each level. If that is not
    enough, the model rests until the present each time it has fallen behind.
    """

    def __init__(self) -> None:
        self.thinning = 0
        self._costs: deque[float] = deque(maxlen=REMEMBERED)
        self._spent = self._gained = 0.0
        self._tokens = 0
        self._was_busy = False

    @property
    def seconds_per_token(self) -> float:
        """The lower quartile of the recent costs of a token; infinite before the first."""
        return sorted(self._costs)[len(self._costs) // 4] if self._costs else math.inf

    @property
    def tokens(self) -> int:
        """The number of tokens to ask for at a time."""
        affordable = REQUEST_SECONDS / max(self.seconds_per_token, 1e-9)
        return max(1, min(MOST_TOKENS, int(affordable)))

    def note(self, tokens: int, seconds_spent: float, seconds_gained: float) -> None:
        """Take note of the time that some tokens cost, and the seconds of music they gave."""
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
