"""Judging generated music by numbers: beside real music, and against what was learned from."""

from __future__ import annotations

from midirnn.judging.excerpts import openings
from midirnn.judging.report import judge, table

__all__ = ["judge", "openings", "table"]
