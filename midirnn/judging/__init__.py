"""Judge generated music in numbers: beside real music, and for copies of training pieces."""

from __future__ import annotations

from midirnn.judging.excerpts import openings
from midirnn.judging.report import judge, table

__all__ = ["judge", "openings", "table"]
