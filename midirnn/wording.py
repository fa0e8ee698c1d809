"""Words that depend on numbers."""

from __future__ import annotations


def counted(count: int, one: str = "file", many: str = "files") -> str:
    """Return a number with what is counted: 1 file, 2 files."""
    return f"{count:,} {one if count == 1 else many}"
