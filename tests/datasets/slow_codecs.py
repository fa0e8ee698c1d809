"""Codecs that take their time or end their process, in a module that a cluster's workers import."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

from midirnn.codecs import PerformanceCodec, Tokens
from midirnn.performance import Performance

DEADLY_NOTES = 7
HANGING_NOTES = 8


@dataclass(frozen=True)
class TroubledCodec(PerformanceCodec):
    """Takes 20 ms for each file; hangs at one with eight notes, and ends its process at seven."""

    def encode(self, performance: Performance, **options: Any) -> Tokens:
        time.sleep(0.02)
        if len(performance) == DEADLY_NOTES:
            os._exit(9)
        while len(performance) == HANGING_NOTES:
            time.sleep(0.01)
        return super().encode(performance, **options)
