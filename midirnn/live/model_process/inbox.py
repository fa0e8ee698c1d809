"""Objects sent from one process to another through a pipe, one at a time.

The pipe is read in the thread that uses the objects: a separate reading thread would have to wake
up first, and then wake the other.
"""

from __future__ import annotations

import os
import pickle
import select
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

LENGTH_BYTES = 4
CHUNK_BYTES = 1 << 16


def parcel(thing: object) -> bytes:
    """Return an object serialised for an :class:`Inbox`: its length, then a pickle."""
    data = pickle.dumps(thing, pickle.HIGHEST_PROTOCOL)
    return len(data).to_bytes(LENGTH_BYTES, "little") + data


class Inbox:
    """Objects that have come in and were not taken yet. Owns the reading end of a pipe.

    None is the last object; ``orphaned`` is True if the pipe has ended without it.
    """

    def __init__(self, pipe: int) -> None:
        self.ended = False
        self.orphaned = False
        self._pipe = pipe
        self._things: deque[Any] = deque()
        self._begun = bytearray()
        """The bytes of an object that has not come in completely."""

    def take(self, meanwhile: Callable[[], bool] = lambda: False) -> Any:
        """Wait for the next object and return it; None at the end.

        While waiting, ``meanwhile`` is called repeatedly, as long as it returns True.
        """
        while not (self._things or self.ended):
            if has_come(self._pipe) or not meanwhile():
                self._read()
        return None if self.ended else self._things.popleft()

    def look(self) -> Sequence[Any]:
        """Return everything that has come in by now and was not taken yet."""
        while not self.ended and has_come(self._pipe):
            self._read()
        return self._things

    def _read(self) -> None:
        """Wait for bytes, and queue the objects that they complete."""
        chunk = os.read(self._pipe, CHUNK_BYTES)
        if not chunk:
            self.ended = self.orphaned = True
        self._begun += chunk
        while len(self._begun) >= (end := LENGTH_BYTES + self._length()):
            thing = pickle.loads(self._begun[LENGTH_BYTES:end])
            del self._begun[:end]
            if thing is None:
                self.ended = True
                return
            self._things.append(thing)

    def _length(self) -> int:
        """Return the length of the next object; too small while the length itself is incomplete."""
        return int.from_bytes(self._begun[:LENGTH_BYTES], "little")


if sys.platform == "win32":
    import _winapi
    import msvcrt

    def has_come(pipe: int) -> bool:
        """Return True if reading from the pipe would not block: it has bytes, or has ended."""
        try:
            return _winapi.PeekNamedPipe(msvcrt.get_osfhandle(pipe))[0] != 0
        except BrokenPipeError:
            return True

else:

    def has_come(pipe: int) -> bool:
        """Return True if reading from the pipe would not block: it has bytes, or has ended."""
        return bool(select.select([pipe], [], [], 0)[0])
