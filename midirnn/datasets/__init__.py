"""Data sets of encoded pieces, stored as Parquet files."""

from __future__ import annotations

from midirnn.datasets.encode import encode_files
from midirnn.datasets.report import EncodeReport
from midirnn.datasets.sources import Refusal
from midirnn.datasets.splits import SplitShares, SplitTable
from midirnn.datasets.store import Dataset, SplitCounts

__all__ = [
    "Dataset",
    "EncodeReport",
    "Refusal",
    "SplitCounts",
    "SplitShares",
    "SplitTable",
    "encode_files",
]
