"""Child processes of midirnn, and a head start for those that a command will need.

A child process imports the code that it runs, then waits for its input. With a head start it does
so while its parent imports its own code.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

_HOME = str(Path(__file__).parents[1])

_waiting: dict[tuple[str, ...], subprocess.Popen[bytes]] = {}


def command_of(module: str) -> tuple[str, ...]:
    """Return the command that runs ``main`` of a module in a process of its own.

    It imports nothing from the current folder.
    """
    program = f"import sys; sys.path.append({_HOME!r}); from {module} import main; main()"
    return (sys.executable, "-P", "-c", program)


def start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Return a process that runs the command: one that was given a head start, or a new one.

    The terminal's Ctrl-C does not reach it, and it ends when its standard input is closed. It stays
    in the same session, because Linux compares priorities only within one.
    """
    waiting = _waiting.pop(tuple(command), None)
    if waiting is not None and waiting.poll() is None:
        return waiting
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        process_group=0,
    )


def end(process: subprocess.Popen[Any], seconds: float) -> None:
    """Close the input of a process, so that it ends; kill it if it takes longer than that."""
    with contextlib.suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def head_start(*modules: str) -> Iterator[None]:
    """Start processes of these modules early; at the end of the block, kill those not used."""
    for command in map(command_of, modules):
        _waiting[command] = start(command)
    try:
        yield
    finally:
        while _waiting:
            _, unwanted = _waiting.popitem()
            unwanted.kill()
            unwanted.communicate()
