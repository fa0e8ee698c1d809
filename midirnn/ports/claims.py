"""Claims on outputs, so that two midirnn sessions on one port are noticed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def claims_folder() -> Path:
    """Return the folder of the files that processes lock while they play."""
    return Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())


@contextmanager
def claimed(port_name: str) -> Iterator[bool]:
    """Claim an output for the ``with`` block; yield False if another process has it already.

    The claim is a lock on a file, which is released when the process ends in any way. Yields True
    on systems without such locks.
    """
    digest = hashlib.sha256(port_name.encode()).hexdigest()[:16]
    user = os.getuid() if hasattr(os, "getuid") else 0
    path = claims_folder() / f"midirnn-{user}-{digest}.lock"
    with contextlib.ExitStack() as stack:
        yield _lock(path, stack)


def _lock(path: Path, stack: contextlib.ExitStack) -> bool:
    try:
        import fcntl

        file = stack.enter_context(path.open("w"))
    except (ImportError, OSError):
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
