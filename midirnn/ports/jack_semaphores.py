"""JACK clients that their server cannot reach, and how they are recognised.

All JACK clients of a process share a table of semaphores, one for each client of the server. Where
another program's client has just closed, the number that it had may go to a second client of this
process before its semaphore has left the table. Then that is taken for the new client's own: it
hears nothing, and the server waits for it in every period, up to a timeout. (Seen with jackd 1.9.21
while a program listed the ports ten times a second.) The semaphores are files in memory, so the
process sees whether it has its own.
"""

from __future__ import annotations

import re
from pathlib import Path

Semaphores = frozenset[tuple[str, str]]
"""The inode and the path of each."""

MAPS = Path("/proc/self/maps")
_PART = "/jack_sem."


def mapped_semaphores(maps: Path = MAPS) -> Semaphores:
    """Return JACK's semaphores that this process has; none but on Linux with jackd's library."""
    try:
        lines = maps.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    found = (line.split(maxsplit=5) for line in lines if _PART in line)
    return frozenset((fields[4], fields[5]) for fields in found if len(fields) == 6)


def is_reachable(client_name: str, before: Semaphores, after: Semaphores) -> bool:
    """Whether a client has a semaphore, from those before it was made and those after.

    The server may have numbered its name. The first client of a process always has one.
    """
    in_path = client_name.replace("/", "_").replace("\\", "_")
    own = re.compile(rf"_{re.escape(in_path)}(-\d+)?( \(deleted\))?$")
    return not before or any(own.search(path) for _, path in after - before)
