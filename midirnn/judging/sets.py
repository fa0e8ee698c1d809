"""Compare two sets of pieces by their features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from midirnn.errors import OptionError
from midirnn.judging.report import Passage, compare_passages
from midirnn.performance import Performance

FEWEST_PIECES = 2
"""The fewest pieces in a set, so that there are distances within it."""

FEWEST_FOR_OVERLAP = 10
"""With fewer pieces in a set the overlaps say little: two identical sets of 2 have 0.03, of 6 have
0.83 to 0.90."""

FEWEST_FOR_SCALE = 4
"""With this many pieces the second set is also compared with itself, half against half."""


def compare_two(
    first: Sequence[Performance], second: Sequence[Performance], seconds: float
) -> dict[str, Any]:
    """Compare the first ``seconds`` of each piece of two sets; return figures for JSON.

    ``features`` describes both sets by each feature, and how far the first is from the second.
    ``scale`` is how far one half of the second set is from the other half, if it has enough pieces:
    no two sets of the same kind can be expected to be closer. A shorter piece is measured up to its
    end.
    """
    for name, pieces in (("first", first), ("second", second)):
        if len(pieces) < FEWEST_PIECES:
            raise OptionError(
                f"the {name} set has {len(pieces)} of the {FEWEST_PIECES} pieces that are needed"
            )
    a, b = ([beginning(piece, seconds) for piece in pieces] for pieces in (first, second))
    report = {
        "seconds": seconds,
        "pieces": {"first": len(a), "second": len(b)},
        "features": compare_passages({"first": a, "second": b}, "second"),
    }
    if len(b) >= FEWEST_FOR_SCALE:
        halves = {"half": b[::2], "other half": b[1::2]}
        compared = compare_passages(halves, "other half")
        report["scale"] = {name: sets["half"] for name, sets in compared.items()}
    return report


def beginning(piece: Performance, seconds: float) -> Passage:
    """Return the first ``seconds`` of a piece, or all of a shorter one, and how long that is."""
    return piece.slice(0.0, seconds), min(seconds, piece.duration)


def table_of_two(report: Mapping[str, Any], first: str, second: str) -> Iterator[str]:
    """Yield the lines of a table of the result of :func:`compare_two`."""
    row = "{:<22}{:>18}{:>18}{:>9}{:>8}{:>14}"
    yield row.format("", _short(first), _short(second), "overlap", "KL", "second alone")
    scale = report.get("scale", {})
    for name, sets in report["features"].items():
        of_first, of_second = sets["first"], sets["second"]
        yield row.format(
            name.replace("_", " "),
            _mean(of_first),
            _mean(of_second),
            f"{of_first['overlapping_area']:.2f}",
            f"{of_first['kl_divergence']:.2f}",
            f"{scale[name]['overlapping_area']:.2f}" if scale else "",
        )


def _short(name: str, most: int = 16) -> str:
    return name if len(name) <= most else f"...{name[3 - most :]}"


def _mean(described: Mapping[str, Any]) -> str:
    """Return a mean and a deviation as text; empty for a histogram."""
    if "deviation" not in described:
        return ""
    return f"{described['mean']:.2f} +- {described['deviation']:.2f}"
