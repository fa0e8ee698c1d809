"""Files and processors: all that midirnn asks of the operating system, in one place.

Atomic writes of files and folders, one-line reasons of errors, the search for a folder, and the
number of usable processors.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from midirnn.errors import MidirnnError

_LONGEST_REASON = 200
"""Characters. Only the first line of a longer message is kept: the rest is a listing."""

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")


# Reasons.


def reason_of(error: BaseException) -> str:
    """Return why something failed, in one line and without the path, which the caller names."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)  # libraries put messages of their own into strerror
    if isinstance(error, KeyError) and error.args:
        return f"{error.args[0]} is missing"
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    whole = " ".join(lines) or type(error).__name__
    return whole if len(whole) <= _LONGEST_REASON else lines[0]


@contextmanager
def one_line_errors(
    path: str | os.PathLike[str], error: type[MidirnnError], failed: str = "cannot be written"
) -> Iterator[None]:
    """Turn an :class:`OSError` in the block into ``error``: "PATH cannot be written (REASON)".

    The same for a :class:`UnicodeError`: the file is not UTF-8 text.
    """
    try:
        yield
    except (OSError, UnicodeError) as cause:
        raise error(f"{path} {failed} ({reason_of(cause)})") from cause


# Files.


@contextmanager
def replacing_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a new file that takes the place of ``path`` once the block ends without an error.

    Missing folders are created. Whatever happens, ``path`` is the old file or the new one, whole,
    and no other file is left. Raises :class:`OSError` if it cannot be written.
    """
    if "\0" in os.fspath(path):
        raise OSError("its name holds a null byte")
    path.parent.mkdir(parents=True, exist_ok=True)
    # A short name: one made from the file's own could exceed the length limit.
    fresh = path.parent / f".midirnn-{secrets.token_hex(8)}"
    try:
        with fresh.open("xb") as file:
            yield file
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def write_file(path: Path, content: bytes | str) -> None:
    """Write a file whole or not at all; text in UTF-8. See :func:`replacing_file`."""
    with replacing_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


# Folders.


@contextmanager
def replacing_folder(target: Path, error: type[MidirnnError]) -> Iterator[Path]:
    """Create a folder to fill, which takes the place of ``target`` once the block ends.

    Whatever happens, ``target`` is the old folder or the new one, whole. Only a process that is
    killed between two renames leaves neither: :func:`recover_folder` brings the old one back.
    Raises ``error`` if the folder cannot be written.
    """
    fresh, _ = _beside(target)
    try:
        with one_line_errors(target, error):
            recover_folder(target)
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(parents=True)
            yield fresh
            for file in fresh.iterdir():
                with file.open("rb") as opened:
                    os.fsync(opened.fileno())
            put_in_place(fresh, target)
    finally:
        recover_folder(target)
        shutil.rmtree(fresh, ignore_errors=True)


def put_in_place(fresh: Path, target: Path) -> None:
    """Rename ``fresh`` to ``target``, keeping what was there beside it until that succeeds.

    If the process is killed between the two renames, :func:`recover_folder` brings it back.
    """
    target = target.absolute()  # no system renames "."
    _, old = _beside(target)
    if target.exists():
        _clear(old)
        target.rename(old)
    try:
        fresh.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    _clear(old)


def _clear(path: Path) -> None:
    """Remove a folder as far as possible; of a link to one, the link alone."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def recover_folder(target: Path) -> None:
    """Bring back the folder that a process set aside before it was killed."""
    _, old = _beside(target)
    if old.exists() and not target.exists():
        old.rename(target)


def set_aside(target: Path) -> Path:
    """Return where a folder is while another takes its place."""
    return _beside(target)[1]


def remove_folder(target: Path) -> None:
    """Remove a folder, if it is there, and what :func:`replacing_folder` left beside it."""
    for folder in (*_beside(target), target):
        if folder.exists():
            shutil.rmtree(folder)


def _beside(target: Path) -> tuple[Path, Path]:
    """Return the temporary paths of the new folder and of the old one."""
    target = target.absolute()  # the folder "." has no name
    return target.with_name(f".{target.name}.new"), target.with_name(f".{target.name}.old")


def find_folder(candidates: Iterable[Path], holding: str) -> Path | None:
    """Return the first folder that holds a file of that name; None if there is none."""
    return next((folder for folder in candidates if (folder / holding).is_file()), None)


# Processors.


def usable_processors() -> int:
    """Return how many processors this process may use; at least 1.

    Counts what its affinity allows, within the quota of a container (Linux control groups, both
    versions): a quota of 1.5 processors counts as 1.
    """
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    return max(1, int(min([allowed, *_quotas(_OWN_CGROUPS, _CGROUPS)])))


def _quotas(own: Path, mounted: Path) -> Iterator[float]:
    """Yield the quota, in processors, of each limited control group of this process.

    ``own`` names the groups, one per line ("hierarchy:controllers:/path"); they are folders below
    ``mounted``. The limits of a group's parents apply to it too. In a container the path may be
    the host's, of which only the top is visible.
    """
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = mounted / controllers
        group = top / path.lstrip("/")
        for folder in (group, *group.parents):
            if not folder.is_relative_to(top):
                break
            quota = _quota(folder)
            if quota is not None:
                yield quota


def _quota(group: Path) -> float | None:
    """Return how many processors a control group may use; None if it is not limited."""
    try:
        if (group / "cpu.max").exists():
            used, period = (group / "cpu.max").read_text(encoding="utf-8").split()
        else:
            used, period = (
                (group / f"cpu.cfs_{name}_us").read_text(encoding="utf-8")
                for name in ("quota", "period")
            )
        return int(used) / int(period) if int(used) > 0 and int(period) > 0 else None
    except (OSError, ValueError):  # no such file, or "max"
        return None
