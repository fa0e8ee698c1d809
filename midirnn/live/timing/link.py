"""Ableton Link: beats shared over the network, by the library aalink (the extra ``link``)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from midirnn.errors import MissingExtraError
from midirnn.live.base.clock import Clock


class LinkBeats:
    """The beats of a Link session, as ``midirnn.live.timing.tempo.Beats``. Owns the peer.

    Use it in a ``with`` statement, which leaves the session at its end. Link reports the present
    beat; the beat at another time is extrapolated at the session's tempo.
    """

    def __init__(self, clock: Clock, bpm: float = 120.0) -> None:
        try:
            import aalink
        except ImportError:
            raise MissingExtraError("aalink", "link", "following Ableton Link") from None
        self._clock = clock
        self._link: Any = asyncio.run(_join(aalink.Link, bpm))
        self._link.enabled = True

    @property
    def bpm(self) -> float | None:
        """The session's tempo, in quarter notes per minute."""
        return float(self._link.tempo)

    def set_bpm(self, bpm: float) -> None:
        """Set the tempo of the whole session."""
        self._link.tempo = bpm

    @property
    def running(self) -> bool:
        """Always True: a Link session has beats whether or not somebody plays."""
        return True

    @property
    def peers(self) -> int:
        """The number of others in the session."""
        return int(self._link.num_peers)

    def beat_at(self, seconds: float) -> float | None:
        """Return the position at that time, in quarter notes."""
        ahead = seconds - self._clock.now()
        return float(self._link.beat) + ahead * float(self._link.tempo) / 60.0

    def close(self) -> None:
        """Leave the session."""
        self._link.enabled = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


async def _join(make: Callable[[float], Any], bpm: float) -> Any:
    """Create the peer while an event loop runs, which aalink needs."""
    return make(bpm)
