"""What benchmarks report about the machine: its name, and what else was running."""

from __future__ import annotations

import os
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

MOST_OTHER_CORES = 0.2
"""No timing is reported if other processes use more than this share of a core."""


class OtherLoad:
    """The average number of cores that other processes have used since this was created."""

    def __init__(self) -> None:
        self._seconds = time.monotonic()
        self._busy = busy_seconds()
        self._own = sum(os.times()[:4])

    def cores(self) -> float:
        """Return the number of cores in use; if it is not known, the load average minus 1."""
        if self._busy is None or (busy := busy_seconds()) is None:
            return max(0.0, os.getloadavg()[0] - 1.0) if hasattr(os, "getloadavg") else 0.0
        others = busy - self._busy - (sum(os.times()[:4]) - self._own)
        return max(0.0, others / (time.monotonic() - self._seconds))


def busy_seconds() -> float | None:
    """Return the processor seconds used since boot; None if the system does not provide them."""
    try:
        fields = Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0].split()
    except OSError:
        return None
    user, nice, system, _idle, _waiting, irq, soft_irq, stolen = map(int, fields[1:9])
    ticks = user + nice + system + irq + soft_irq + stolen
    return ticks / float(os.sysconf("SC_CLK_TCK"))


def processor_name() -> str:
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def installed(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def refuse(cores: float) -> int:
    print(
        f"other processes use {cores:.2f} of a core, over {MOST_OTHER_CORES}: nothing that is "
        "measured now can be trusted. Try again on a quiet machine, or with --anyway",
        file=sys.stderr,
    )
    return 1
