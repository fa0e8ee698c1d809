"""Judge generated music in numbers: compared with real music, and searched for copies."""

from __future__ import annotations

from midirnn.judging.excerpts import openings
from midirnn.judging.report import judge, table

__all__ = ["judge", "openings", "table"]
