"""Data sets of encoded pieces, stored as Parquet files."""

from __future__ import annotations

from midirnn.datasets.clean import clean_files
from midirnn.datasets.encode import encode_files
from midirnn.datasets.filters import PieceFilter
from midirnn.datasets.report import EncodeReport
from midirnn.datasets.similar import SimilarPieces
from midirnn.datasets.sources import Refusal
from midirnn.datasets.splits import SplitShares, SplitTable
from midirnn.datasets.store import Dataset, SplitCounts

__all__ = [
    "Dataset",
    "EncodeReport",
    "PieceFilter",
    "Refusal",
    "SimilarPieces",
    "SplitCounts",
    "SplitShares",
    "SplitTable",
    "clean_files",
    "encode_files",
]
