"""A call that never returns ends the process, also where no thread of Python can run."""

from __future__ import annotations

import subprocess
import sys

import pytest

STUCK = """
import ctypes, threading, time
from midirnn.ports.time_limit import time_limit
holding_the_lock = ctypes.PyDLL(None).usleep
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
with time_limit(0.3, quiet=%s):
    holding_the_lock(60_000_000)
"""

IN_TIME = """
import threading, time
from midirnn.ports.time_limit import time_limit
with time_limit(30):
    with time_limit(0.1):  # within another one there is no second limit
        time.sleep(0.15)
def briefly():
    with time_limit(30):
        time.sleep(0.01)
threads = [threading.Thread(target=briefly) for _ in range(20)]
for thread in threads: thread.start()
for thread in threads: thread.join()
time.sleep(0.4)
print("still here")
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.skipif(sys.platform == "win32", reason="the test sleeps in C as POSIX does")
@pytest.mark.parametrize("quiet", [True, False])
def test_a_call_that_holds_the_lock_ends_the_process(quiet: bool) -> None:
    ended = run(STUCK % quiet)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("Timeout") != quiet


def test_what_is_done_in_time_goes_on() -> None:
    ended = run(IN_TIME)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "still here\n", "")
