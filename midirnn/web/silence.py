"""Whether somebody is gone who says several times a second that it is there."""

from __future__ import annotations

LOOK_SECONDS = 0.05
"""How often it is looked whether something was heard."""

MOST_LOOKS = 8
"""Somebody of whom nothing was heard at so many looks in a row is gone."""


class Silence:
    """Counts the looks at which nothing was heard.

    Looks, not seconds: when the whole machine stands still for a moment, nobody looks either, so
    that what has arrived meanwhile is heard before anybody counts as gone.
    """

    def __init__(self) -> None:
        self._looks = 0

    def hear(self) -> None:
        """Take note that something was heard."""
        self._looks = 0

    def look(self) -> bool:
        """Count a look, one of those every :data:`LOOK_SECONDS`; return True if they are gone."""
        self._looks += 1
        return self._looks >= MOST_LOOKS
