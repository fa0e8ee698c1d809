"""Detection of JACK clients that their server cannot reach.

All JACK clients of a process share a table of semaphores, one for each client of the server. When
another program's client has just closed, its number may be given to a second client of this process
before its semaphore has left the table. The new client then uses the old semaphore: it hears
nothing, and the server waits for it in every period, up to a timeout. (Seen with jackd 1.9.21 while
a program listed the ports ten times a second.) The semaphores are memory-mapped files, so the
process can check whether it has the right one.
"""

from __future__ import annotations

import re
from pathlib import Path

Semaphores = frozenset[tuple[str, str]]
"""The inode and the path of each semaphore."""

MAPS = Path("/proc/self/maps")
_PART = "/jack_sem."


def mapped_semaphores(maps: Path = MAPS) -> Semaphores:
    """Return the JACK semaphores of this process; none except on Linux with jackd's library."""
    try:
        lines = maps.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    found = (line.split(maxsplit=5) for line in lines if _PART in line)
    return frozenset((fields[4], fields[5]) for fields in found if len(fields) == 6)


def is_reachable(client_name: str, before: Semaphores, after: Semaphores) -> bool:
    """Return True if a client has a semaphore, given those before and after it was made.

    The server may have appended a number to its name. The first client of a process always has
    one.
    """
    in_path = client_name.replace("/", "_").replace("\\", "_")
    own = re.compile(rf"_{re.escape(in_path)}(-\d+)?( \(deleted\))?$")
    return not before or any(own.search(path) for _, path in after - before)
