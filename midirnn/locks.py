"""Locks between processes: who else writes to the same place is refused at once."""

from __future__ import annotations

import errno
import os
import weakref
from importlib.util import find_spec
from pathlib import Path

from midirnn.errors import MidirnnError
from midirnn.files import one_line_errors

_HAS_LOCKS = find_spec("fcntl") is not None


class FileLock:
    """A lock on a file, held by one process at a time.

    Owns the file, which is there while the lock is held. The system releases the lock when the
    process ends, however it ends. Where the system or the file system has no such locks, nothing is
    locked. ``taken`` is the message of the ``error`` for a lock that another process holds.
    """

    def __init__(self, path: Path, error: type[MidirnnError], taken: str) -> None:
        self.path = path
        self._error, self._taken = error, taken
        self._release: weakref.finalize[..., FileLock] | None = None

    def acquire(self) -> None:
        """Take or keep the lock. Raises the error if another process holds it."""
        if not _HAS_LOCKS or (self._release is not None and self._release.alive):
            return
        with one_line_errors(self.path.parent, self._error):
            file = _lock(self.path)
        if file is None:
            raise self._error(self._taken)
        self._release = weakref.finalize(self, _unlock, self.path, file)

    def release(self) -> None:
        """Release the lock."""
        if self._release is not None:
            self._release()


def lock_folder(folder: Path) -> int:
    """Lock a folder until the returned descriptor is closed or the process ends.

    The folder may be renamed meanwhile. Returns -1 if another process holds the lock, and where
    the system or the file system cannot lock folders.
    """
    if not _HAS_LOCKS:
        return -1
    import fcntl

    file = -1
    try:
        file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        if file >= 0:
            os.close(file)
        return -1
    return file


def _lock(path: Path) -> int | None:
    """Open and lock the file at the path; return None if another process has locked it."""
    import fcntl

    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                os.close(file)
                return None
        if path.exists() and os.path.samestat(os.fstat(file), path.stat()):
            return file
        os.close(file)  # its owner has just removed it


def _unlock(path: Path, file: int) -> None:
    path.unlink(missing_ok=True)  # before the lock goes, so that nobody else's is removed
    os.close(file)
