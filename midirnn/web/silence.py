"""Detection of a peer that is gone, from the lack of its regular messages."""

from __future__ import annotations

LOOK_SECONDS = 0.05
"""Time between two looks at whether something was heard."""

MOST_LOOKS = 8
"""A peer is gone after this many looks in a row without a message."""


class Silence:
    """Counts the looks at which nothing was heard.

    It counts looks, not seconds: while the whole machine stalls, nobody looks either, and what has
    arrived in the meantime is heard before the peer counts as gone.
    """

    def __init__(self) -> None:
        self._looks = 0

    def hear(self) -> None:
        """Note that something was heard."""
        self._looks = 0

    def look(self) -> bool:
        """Count a look, to be made every :data:`LOOK_SECONDS`; return True if the peer is gone."""
        self._looks += 1
        return self._looks >= MOST_LOOKS
