"""What a step frees is there for the next one."""

from __future__ import annotations

import subprocess
import sys

import pytest

from midirnn.training.memory import keep_freed_memory

PROGRAM = """
import resource, sys
import numpy as np
if sys.argv[1] == "kept":
    from midirnn.training.memory import keep_freed_memory
    keep_freed_memory()
faults = []
for _ in range(4):
    np.ones(50_000_000, np.uint8)
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(faults[-1] - faults[1])
"""


@pytest.mark.skipif(not keep_freed_memory(), reason="needs glibc")
def test_the_system_is_not_asked_again_for_memory_that_was_freed() -> None:
    faults = {
        how: int(subprocess.check_output([sys.executable, "-c", PROGRAM, how], timeout=60))
        for how in ("kept", "given back")
    }
    assert faults["kept"] < 0.1 * faults["given back"]
